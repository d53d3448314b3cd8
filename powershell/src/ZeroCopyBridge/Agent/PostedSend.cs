using System;
using System.Diagnostics;
using System.Text;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Native;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>A message to the program: the value of a SEND command, or the reason why there is none.</summary>
internal sealed class PostedSend
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly byte[] _bytes;
    private readonly Lease? _lease;
    private nuint _written;

    private PostedSend(ulong id, ZcbKind kind, byte[] bytes, Lease? lease = null)
    {
        Id = id;
        Kind = kind;
        _bytes = bytes;
        _lease = lease;
    }

    public ulong Id { get; }

    public ZcbKind Kind { get; }

    /// <summary>True if the command ends with this message. The command of an error message has ended already.</summary>
    public bool Completes => Kind != ZcbKind.Error;

    /// <summary>True while this message has the channel's lock for sending.</summary>
    public bool Begun { get; private set; }

    /// <summary>Set under the outbox's lock when the message is stopped while it is being sent.</summary>
    public bool Withdrawn { get; set; }

    public TimeSpan Elapsed => Runtime.Elapsed(_start);

    /// <summary>The message for a value. It keeps the value's memory until <see cref="Release"/>; for a byte[] that is the user's own array.</summary>
    /// <returns>Null for a lease that was disposed of.</returns>
    public static PostedSend? TryValue(ulong id, in OutgoingValue value) => value.Lease is null || value.Lease.TryKeep()
        ? new PostedSend(id, value.IsCliXml ? ZcbKind.CliXml : ZcbKind.Bytes, value.Bytes, value.Lease)
        : null;

    public static PostedSend Error(ulong id, string text) => new(id, ZcbKind.Error, Encoding.UTF8.GetBytes(text));

    /// <summary>Sends the rest of the message. After a passing error, call it again, on any thread.</summary>
    public ZcbError Advance(Channel channel, in ZcbWait wait)
    {
        if (_lease is not null)
        {
            return channel.Send(Id, _lease, in wait);
        }

        if (!Begun)
        {
            ZcbError error = channel.BeginSend(Kind, Id, (ulong)_bytes.Length, in wait);
            if (error != ZcbError.Ok)
            {
                return error;
            }

            Begun = true;
        }

        ZcbError result = channel.Write(_bytes, ref _written, in wait);
        if (result == ZcbError.Ok)
        {
            channel.EndSend();
            Begun = false;
        }

        return result;
    }

    /// <summary>Releases the value's memory. Call it once, however the message ended.</summary>
    public void Release() => _lease?.LetGo();

    /// <summary>Releases the lock for sending. The receiver discards what was sent.</summary>
    public void GiveUp(Channel channel)
    {
        if (Begun)
        {
            Begun = false;
            channel.DropSend();
        }
    }
}
