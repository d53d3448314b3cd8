using System;
using System.Diagnostics;
using System.Text;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Native;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>A message on its way to the program: the value of a SEND command, or why there is none.</summary>
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

    /// <summary>True when its command ends with it; the command of an error message has ended already.</summary>
    public bool Completes => Kind != ZcbKind.Error;

    /// <summary>True from the moment it has the channel's sending turn.</summary>
    public bool Begun { get; private set; }

    /// <summary>Set under the outbox's lock when it is stopped while it goes out.</summary>
    public bool Withdrawn { get; set; }

    public TimeSpan Elapsed => Runtime.Elapsed(_start);

    /// <summary>The message for a value, whose memory it keeps until <see cref="Release"/>; for a byte[] it is the user's own array.</summary>
    /// <returns>Null when it is a lease that was disposed of.</returns>
    public static PostedSend? TryValue(ulong id, in OutgoingValue value) => value.Lease is null || value.Lease.TryKeep()
        ? new PostedSend(id, value.IsCliXml ? ZcbKind.CliXml : ZcbKind.Bytes, value.Bytes, value.Lease)
        : null;

    public static PostedSend Error(ulong id, string text) => new(id, ZcbKind.Error, Encoding.UTF8.GetBytes(text));

    /// <summary>Sends what has not left yet. After a passing error it can go on, on any thread.</summary>
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

    /// <summary>It is done with, in whatever way: once.</summary>
    public void Release() => _lease?.LetGo();

    /// <summary>Gives the sending turn back; the reader discards what has left.</summary>
    public void GiveUp(Channel channel)
    {
        if (Begun)
        {
            Begun = false;
            channel.DropSend();
        }
    }
}
