using System;
using System.Threading;

namespace ZeroCopyBridge.Native;

/// <summary>The engine's end of a bridge's channel.</summary>
internal sealed unsafe class Channel
{
    private readonly ChannelHandle _handle;
    private int _users = 1;

    public Channel(nint channel)
    {
        _handle = new ChannelHandle(channel);
        FrameBytes = NativeMethods.zcb_channel_frame_bytes(_handle);
    }

    /// <summary>The largest message that can be held in place.</summary>
    public ulong FrameBytes { get; }

    /// <summary>How many messages the other side has sent completely, and how many of these were received or dropped.</summary>
    public (ulong Sent, ulong Received) Counts
    {
        get
        {
            NativeMethods.zcb_channel_counts(_handle, out ulong sent, out ulong received);
            return (sent, received);
        }
    }

    /// <summary>Begins a message of this size. No other thread can send until it is ended or dropped.</summary>
    public ZcbError BeginSend(ZcbKind kind, ulong id, ulong bytes, in ZcbWait wait)
    {
        var message = new ZcbMessage { Kind = kind, Id = id, Bytes = bytes };
        return NativeMethods.zcb_send_begin(_handle, in message, in wait);
    }

    /// <summary>Sends the payload from <paramref name="written"/> on. That number grows by what was sent, even on errors.</summary>
    public ZcbError Write(ReadOnlySpan<byte> payload, ref nuint written, in ZcbWait wait)
    {
        fixed (byte* bytes = payload)
        {
            return NativeMethods.zcb_send_write(
                _handle, bytes + written, (nuint)payload.Length - written, ref written, in wait);
        }
    }

    public void EndSend() => NativeMethods.zcb_send_end(_handle);

    /// <summary>Withdraws the message.</summary>
    public void DropSend() => NativeMethods.zcb_send_drop(_handle);

    /// <summary>Sends the bytes of a lease, which the caller keeps. Makes no copy if they are memory of this channel that was not sent yet.</summary>
    public ZcbError Send(ulong id, Lease lease, in ZcbWait wait)
    {
        var message = new ZcbMessage { Kind = ZcbKind.Bytes, Id = id, Bytes = (ulong)lease.Length };
        return NativeMethods.zcb_send(_handle, in message, (void*)lease.Memory.DangerousGetHandle(), in wait);
    }

    /// <summary>Takes memory that can be filled in place and sent on this channel without a copy.</summary>
    public ZcbError Allocate(ulong bytes, out Lease? lease, in ZcbWait wait)
    {
        ZcbError error = NativeMethods.zcb_block_allocate(_handle, bytes, out nint block, in wait);
        lease = error == ZcbError.Ok ? new Lease(new BlockMemory(block), isReadOnly: false, isInPlace: true) : null;
        return error;
    }

    /// <summary>Begins to receive the next message. No other thread can receive until it is ended or dropped.</summary>
    public ZcbError Begin(ZcbWish wish, out ZcbMessage message, in ZcbWait wait) =>
        NativeMethods.zcb_receive_begin(_handle, wish, out message, in wait);

    /// <summary>Reads the payload of the current message from <paramref name="read"/> on. That number grows by what was read, even on errors.</summary>
    public ZcbError Read(Span<byte> payload, ref nuint read, in ZcbWait wait)
    {
        fixed (byte* bytes = payload)
        {
            return NativeMethods.zcb_receive_read(_handle, bytes + read, (nuint)payload.Length - read, ref read, in wait);
        }
    }

    /// <summary>Takes the current message in place.</summary>
    public ZcbError TakeLease(out Lease? lease, in ZcbWait wait)
    {
        ZcbError error = NativeMethods.zcb_receive_lease(_handle, out nint taken, in wait);
        lease = error == ZcbError.Ok ? new Lease(new LeasedMemory(taken), isReadOnly: true, isInPlace: true) : null;
        return error;
    }

    /// <summary>Ends the receive of a message that was read or leased.</summary>
    public void End() => NativeMethods.zcb_receive_end(_handle);

    /// <summary>Ends the receive of the current message and discards the rest of it.</summary>
    public void Drop() => NativeMethods.zcb_receive_drop(_handle);

    /// <summary>Ends every wait on both sides.</summary>
    public void Close() => NativeMethods.zcb_channel_close(_handle);

    /// <summary>Keeps the channel alive while the caller uses it; false if it was freed.</summary>
    public bool TryAddUser()
    {
        for (int users = _users; users > 0; users = _users)
        {
            if (Interlocked.CompareExchange(ref _users, users + 1, users) == users)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Removes a user. The last one frees the channel. The constructor counts as the first user.</summary>
    public void RemoveUser()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _handle.Dispose();
        }
    }
}
