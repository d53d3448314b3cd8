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

    /// <summary>How many messages the other side has sent completely, and how many of those were received or dropped.</summary>
    public (ulong Sent, ulong Received) Counts
    {
        get
        {
            NativeMethods.zcb_channel_counts(_handle, out ulong sent, out ulong received);
            return (sent, received);
        }
    }

    /// <summary>Takes the sending turn for a message of this size.</summary>
    public ZcbError BeginSend(ZcbKind kind, ulong id, ulong bytes, in ZcbWait wait)
    {
        var message = new ZcbMessage { Kind = kind, Id = id, Bytes = bytes };
        return NativeMethods.zcb_send_begin(_handle, in message, in wait);
    }

    /// <summary>Sends the payload from <paramref name="written"/> on, which counts up, also on errors.</summary>
    public ZcbError Write(ReadOnlySpan<byte> payload, ref nuint written, in ZcbWait wait)
    {
        fixed (byte* bytes = payload)
        {
            return NativeMethods.zcb_send_write(
                _handle, bytes + written, (nuint)payload.Length - written, ref written, in wait);
        }
    }

    public void EndSend() => NativeMethods.zcb_send_end(_handle);

    /// <summary>Ends the sending turn and gives the message up.</summary>
    public void DropSend() => NativeMethods.zcb_send_drop(_handle);

    /// <summary>Sends what a lease holds, which its caller keeps, without a copy where it is memory of this channel that was not sent yet.</summary>
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

    /// <summary>Takes the receiving turn for the next message.</summary>
    public ZcbError Begin(ZcbWish wish, out ZcbMessage message, in ZcbWait wait) =>
        NativeMethods.zcb_receive_begin(_handle, wish, out message, in wait);

    /// <summary>Reads the payload of the message that was begun from <paramref name="read"/> on, which counts up, also on errors.</summary>
    public ZcbError Read(Span<byte> payload, ref nuint read, in ZcbWait wait)
    {
        fixed (byte* bytes = payload)
        {
            return NativeMethods.zcb_receive_read(_handle, bytes + read, (nuint)payload.Length - read, ref read, in wait);
        }
    }

    /// <summary>Takes the message that was begun in place.</summary>
    public ZcbError TakeLease(out Lease? lease, in ZcbWait wait)
    {
        ZcbError error = NativeMethods.zcb_receive_lease(_handle, out nint taken, in wait);
        lease = error == ZcbError.Ok ? new Lease(new LeasedMemory(taken), isReadOnly: true, isInPlace: true) : null;
        return error;
    }

    /// <summary>Ends the turn of a message that was read or leased.</summary>
    public void End() => NativeMethods.zcb_receive_end(_handle);

    /// <summary>Ends the turn of the message that was begun and discards what is left of it.</summary>
    public void Drop() => NativeMethods.zcb_receive_drop(_handle);

    /// <summary>Ends every wait, on this side and the other.</summary>
    public void Close() => NativeMethods.zcb_channel_close(_handle);

    /// <summary>Keeps the channel for the caller's calls; false when it is gone.</summary>
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

    /// <summary>The last user's end frees it. Its maker is the first user.</summary>
    public void RemoveUser()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _handle.Dispose();
        }
    }
}
