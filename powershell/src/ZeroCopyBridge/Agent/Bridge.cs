using System;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>The engine's end of one bridge.</summary>
internal sealed class Bridge
{
    public const string ClosedText = "The bridge was closed.";

    private readonly Channel _channel;

    public Bridge(Channel channel, Arrivals arrivals, Replies replies)
    {
        _channel = channel;
        Inbox = new Inbox(channel, arrivals, replies);
        Outbox = new Outbox(channel, arrivals, replies);
    }

    public Inbox Inbox { get; }

    public Outbox Outbox { get; }

    /// <summary>Takes memory that can be sent on this bridge without a copy.</summary>
    /// <exception cref="ZcbException">There is none.</exception>
    public Lease Allocate(ulong bytes, in ZcbWait wait)
    {
        ZcbError error = ZcbError.Closed;
        Lease? lease = null;
        if (_channel.TryAddUser())
        {
            error = _channel.Allocate(bytes, out lease, in ZcbWait.Never);
            if (error == ZcbError.Timeout)
            {
                // Unreachable leases keep their memory until they are collected.
                GC.Collect();
                GC.WaitForPendingFinalizers();
                error = _channel.Allocate(bytes, out lease, in wait);
            }

            _channel.RemoveUser();
        }

        return lease ?? throw (error switch
        {
            ZcbError.Closed or ZcbError.PeerClosed => new ZcbException(ClosedText),
            ZcbError.TooLarge => new ZcbException(
                $"Data exceeds frame size: {bytes} bytes can't be allocated in a frame of {_channel.FrameBytes}. Give the bridge a larger frame_mb."),
            _ => new ZcbException($"allocating {bytes} bytes", error),
        });
    }

    /// <summary>Ends all transfers. The channel is freed when the last thread has left it.</summary>
    public void Close()
    {
        _channel.Close();
        Inbox.End(ClosedText);
        Outbox.End(ClosedText);
        _channel.RemoveUser();
    }
}
