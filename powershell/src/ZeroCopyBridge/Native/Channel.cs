using System;
using System.Threading;

namespace ZeroCopyBridge.Native;

/// <summary>The engine's end of a bridge's channel.</summary>
internal sealed unsafe class Channel
{
    private readonly ChannelHandle _handle;
    private int _users = 1;

    public Channel(nint channel) => _handle = new ChannelHandle(channel);

    /// <summary>How many messages the other side has sent completely, and how many of those were received or dropped.</summary>
    public (ulong Sent, ulong Received) Counts
    {
        get
        {
            NativeMethods.zcb_channel_counts(_handle, out ulong sent, out ulong received);
            return (sent, received);
        }
    }

    /// <summary>Sends a whole message; without a cancel source it doesn't wait.</summary>
    public ZcbError Send(ZcbKind kind, ulong id, ReadOnlySpan<byte> payload, CancelSource? waitUntil)
    {
        var message = new ZcbMessage { Kind = kind, Id = id, Bytes = (ulong)payload.Length };
        ZcbWait wait = WaitFor(waitUntil);
        fixed (byte* bytes = payload)
        {
            return NativeMethods.zcb_send(_handle, in message, bytes, &wait);
        }
    }

    /// <summary>Takes the receiving turn for the next message; without a cancel source it doesn't wait.</summary>
    public ZcbError Begin(out ZcbMessage message, CancelSource? waitUntil)
    {
        ZcbWait wait = WaitFor(waitUntil);
        return NativeMethods.zcb_receive_begin(_handle, ZcbWish.Copy, out message, &wait);
    }

    /// <summary>Reads the whole payload of the message that was begun and ends its turn.</summary>
    public ZcbError ReadAll(Span<byte> destination, CancelSource? waitUntil)
    {
        ZcbWait wait = WaitFor(waitUntil);
        fixed (byte* bytes = destination)
        {
            NativeMethods.zcb_advise_huge(bytes, (nuint)destination.Length);
            ZcbError error = NativeMethods.zcb_receive_read(_handle, bytes, (nuint)destination.Length, &wait);
            return error == ZcbError.Ok ? NativeMethods.zcb_receive_end(_handle) : error;
        }
    }

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

    private static ZcbWait WaitFor(CancelSource? source) => source is null ? default : source.Wait;
}
