using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>A RECEIVE command whose turn has come and that waits for its message.</summary>
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

    /// <summary>True when it is also given the oldest message that was sent to no receive in particular.</summary>
    public bool TakeQueued { get; }

    /// <summary>True when the variable is to hold the message in place.</summary>
    public bool Lease { get; }

    /// <summary>Set under the inbox's lock when it is stopped while its message comes in.</summary>
    public bool Withdrawn { get; set; }
}
