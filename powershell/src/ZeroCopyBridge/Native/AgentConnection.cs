using System;

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
        ZcbError error = NativeMethods.zcb_agent_open(NativeText.For(engineVersion), out nint agent, out ZcbDetail why);
        return error == ZcbError.Ok
            ? new AgentConnection(new AgentHandle(agent))
            : throw new ZcbException("connecting to the program that started this engine", error, NativeText.Of(in why));
    }

    /// <summary>Waits for the next command. Its text is in native memory and valid until the next call.</summary>
    public ZcbError Next(out ZcbCommand command, in ZcbWait wait) =>
        NativeMethods.zcb_agent_next(_handle, out command, in wait);

    /// <summary>A wait that ends when a command comes, or with <paramref name="source"/>. Valid while both objects live.</summary>
    public ZcbWait UntilCommand(CancelSource source) =>
        source.Wait with { Watch = NativeMethods.zcb_agent_commands(_handle) };

    public ZcbError Listen(out ZcbUrgent request, out ulong id) =>
        NativeMethods.zcb_agent_listen(_handle, out request, out id, null);

    /// <summary>Sends text ahead of the completion of a command; <paramref name="fields"/> point into pinned memory.</summary>
    public ZcbError Output(ulong id, ref ZcbFields fields)
    {
        fixed (ZcbFields* pointer = &fields)
        {
            return NativeMethods.zcb_agent_output(_handle, id, pointer);
        }
    }

    /// <summary>Ends a command.</summary>
    /// <param name="result">How it ended.</param>
    /// <param name="soon">True on the pipeline thread: a program that has only a callback need not be woken before <see cref="Flush"/>.</param>
    public ZcbError Complete(in ZcbResult result, bool soon) =>
        NativeMethods.zcb_agent_complete(_handle, in result, soon ? (byte)1 : (byte)0);

    /// <summary>Wakes the program for commands that were completed with soon. The pipeline thread calls it before it does something that may take long.</summary>
    public void Flush() => NativeMethods.zcb_agent_flush(_handle);

    /// <summary>The channel of a bridge; null if the bridge was closed.</summary>
    /// <exception cref="ZcbException">The channel can't be opened.</exception>
    public Channel? OpenChannel(uint number)
    {
        ZcbError error = NativeMethods.zcb_agent_channel(_handle, number, out nint channel);
        return error switch
        {
            ZcbError.Ok => new Channel(channel),
            ZcbError.NotFound => null,
            _ => throw new ZcbException("opening the bridge's channel", error),
        };
    }

    /// <summary>The number of the bridge with this name; null if there is none.</summary>
    public uint? FindChannel(string name) =>
        NativeMethods.zcb_agent_find_channel(_handle, NativeText.For(name), out uint number) == ZcbError.Ok ? number : null;

    public void ForgetChannel(uint number) => NativeMethods.zcb_agent_forget_channel(_handle, number);

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
}
