using System;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Native;

/// <summary>This process's connection to the program that started it.</summary>
internal sealed unsafe class AgentConnection : IDisposable
{
    private const int HungUp = 129; // 128 + SIGHUP, the code that a shell reports

    private readonly AgentHandle _handle;

    private AgentConnection(AgentHandle handle) => _handle = handle;

    public int Width => (int)NativeMethods.zcb_agent_width(_handle);

    /// <param name="engineVersion">PowerShell's version, such as 7.6.9.</param>
    /// <exception cref="ZcbException">This process was not started by libzcb, or the two versions don't fit.</exception>
    public static AgentConnection Open(string engineVersion)
    {
        ZcbError error = NativeMethods.zcb_agent_open(
            NativeText.For(engineVersion), in RuntimeCalls.Table, out nint agent, out ZcbDetail why);
        return error == ZcbError.Ok
            ? new AgentConnection(new AgentHandle(agent))
            : throw new ZcbException("connecting to the program that started this engine", error, NativeText.Of(in why));
    }

    /// <summary>Waits for the pipeline's next piece of work; a command's text lies in native memory until the next call.</summary>
    public ZcbError Next(out ZcbWork work) => NativeMethods.zcb_agent_next(_handle, out work, null);

    /// <summary>Waits until a command is to be stopped that <see cref="Next"/> gave.</summary>
    public ZcbError Listen(out ulong id) => NativeMethods.zcb_agent_listen(_handle, out id, null);

    /// <summary>Lets the RECEIVE that was given last wait for its message.</summary>
    public void PostReceive(object target) => NativeMethods.zcb_agent_post_receive(_handle, RuntimeCalls.Keep(target));

    /// <summary>Sends the value of the SEND that was given last; its memory stays where it is until it has left.</summary>
    /// <returns>False for a lease that was disposed of.</returns>
    public bool PostSend(in OutgoingValue value)
    {
        if (value.Lease is Lease lease)
        {
            if (!lease.TryKeep())
            {
                return false;
            }

            PostSend(ZcbKind.Bytes, lease.Memory.DangerousGetHandle(), (ulong)lease.Length, RuntimeCalls.Keep(lease));
            return true;
        }

        nint owner = RuntimeCalls.Pin(value.Bytes, out nint data);
        PostSend(value.IsCliXml ? ZcbKind.CliXml : ZcbKind.Bytes, data, (ulong)value.Bytes.Length, owner);
        return true;
    }

    /// <summary>Ends the transfer that was given last.</summary>
    /// <param name="error">Why it failed, for the user; null when what arrived was assigned.</param>
    public void EndTransfer(string? error)
    {
        byte[]? utf8 = error is null ? null : NativeText.For(error);
        fixed (byte* bytes = utf8)
        {
            NativeMethods.zcb_agent_end_transfer(_handle, bytes, utf8 is null ? 0 : (nuint)utf8.Length - 1);
        }
    }

    /// <summary>Sends text ahead of the completion of a command; the parts point into pinned memory.</summary>
    public ZcbError Output(ulong id, ReadOnlySpan<ZcbPart> parts)
    {
        fixed (ZcbPart* first = parts)
        {
            return NativeMethods.zcb_agent_output(_handle, id, first, (nuint)parts.Length);
        }
    }

    /// <summary>Ends a RUN command. The pipeline's thread only.</summary>
    /// <param name="id">The command.</param>
    /// <param name="completion">How it ended.</param>
    /// <param name="parts">The last of its text; they point into pinned memory.</param>
    public void Complete(ulong id, in ZcbCompletion completion, ReadOnlySpan<ZcbPart> parts)
    {
        fixed (ZcbPart* first = parts)
        {
            NativeMethods.zcb_agent_complete(_handle, id, in completion, first, (nuint)parts.Length, lazy: 1);
        }
    }

    /// <summary>Takes memory of the bridge with this name, waiting for room; any thread.</summary>
    /// <exception cref="ZcbException">There is no such bridge, or no memory.</exception>
    public Lease Allocate(string channelName, ulong bytes, in ZcbWait wait)
    {
        ZcbError error = NativeMethods.zcb_agent_allocate(
            _handle, NativeText.For(channelName), bytes, out nint block, out ZcbDetail why, in wait);
        return error switch
        {
            ZcbError.Ok => new Lease(new BlockMemory(block), isReadOnly: false, isInPlace: true),
            ZcbError.NotFound => throw new ZcbException($"There is no open bridge with the channel_name '{channelName}'."),
            _ => throw new ZcbException(NativeText.Of(in why)),
        };
    }

    /// <summary>Reads what was written directly to the process's own output, not through <see cref="Console"/>; 0 if there is nothing.</summary>
    /// <param name="stream">1 for standard output, 2 for standard error.</param>
    /// <param name="buffer">Receives the bytes.</param>
    public int ReadConsole(int stream, Span<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            ZcbError error = NativeMethods.zcb_agent_console(_handle, stream, bytes, (nuint)buffer.Length, out nuint count);
            return error == ZcbError.Ok ? (int)count : 0;
        }
    }

    /// <summary>Waits until the program has ended.</summary>
    public void AwaitProgramEnd() => NativeMethods.zcb_agent_wait_program(_handle, null);

    /// <summary>Ends this process at once: the program that it serves is gone.</summary>
    public static void EndProcess() => NativeMethods.zcb_agent_end_process(HungUp);

    public void Dispose() => _handle.Dispose();

    private void PostSend(ZcbKind kind, nint data, ulong bytes, nint owner) =>
        NativeMethods.zcb_agent_post_send(_handle, kind, data, bytes, owner);
}
