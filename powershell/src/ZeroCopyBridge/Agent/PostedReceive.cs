using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>A RECEIVE command that was taken from the queue and waits for its message.</summary>
internal sealed class PostedReceive
{
    public PostedReceive(ulong id, VariableTarget target, bool takeQueued, bool lease)
    {
        Id = id;
        Target = target;
        TakeQueued = takeQueued;
        Lease = lease;
    }

    public ulong Id { get; }

    public VariableTarget Target { get; }

    /// <summary>True if it has to take the oldest message that was sent before any receive was posted.</summary>
    public bool TakeQueued { get; }

    /// <summary>True if the variable has to hold the message in place.</summary>
    public bool Lease { get; }

    /// <summary>Set under the inbox's lock when the receive is stopped while its message arrives.</summary>
    public bool Withdrawn { get; set; }
}
