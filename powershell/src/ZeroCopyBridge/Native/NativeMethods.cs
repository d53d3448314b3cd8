using System.Runtime.InteropServices;

[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]

namespace ZeroCopyBridge.Native;

/// <summary>The functions of zcb.h that the agent calls, under their own names. zcb.h documents them.</summary>
internal static unsafe class NativeMethods
{
    private const string Library = "libzcb";

    [DllImport(Library)]
    public static extern byte* zcb_error_text(int error);

    [DllImport(Library)]
    public static extern ZcbError zcb_cancel_create(out nint cancel);

    [DllImport(Library)]
    public static extern void zcb_cancel_set(CancelHandle cancel);

    [DllImport(Library)]
    public static extern void zcb_cancel_free(nint cancel);

    [DllImport(Library)]
    public static extern void zcb_advise_huge(void* memory, nuint bytes);

    [DllImport(Library)]
    public static extern void* zcb_block_data(nint block);

    [DllImport(Library)]
    public static extern ulong zcb_block_bytes(nint block);

    [DllImport(Library)]
    public static extern void zcb_block_free(nint block);

    [DllImport(Library)]
    public static extern void* zcb_lease_data(nint lease);

    [DllImport(Library)]
    public static extern ulong zcb_lease_bytes(nint lease);

    [DllImport(Library)]
    public static extern void zcb_lease_free(nint lease);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_open(byte[] version, in ZcbRuntime runtime, out nint agent, out ZcbDetail why);

    [DllImport(Library)]
    public static extern void zcb_agent_free(nint agent);

    [DllImport(Library)]
    public static extern uint zcb_agent_width(AgentHandle agent);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_next(AgentHandle agent, out ZcbWork work, ZcbWait* wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_output(AgentHandle agent, ulong id, ZcbPart* parts, nuint count);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_complete(
        AgentHandle agent, ulong id, in ZcbCompletion completion, ZcbPart* parts, nuint count, byte lazy);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_post_receive(AgentHandle agent, nint target);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_post_send(AgentHandle agent, ZcbKind kind, nint data, ulong bytes, nint owner);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_end_transfer(AgentHandle agent, byte* reason, nuint bytes);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_listen(AgentHandle agent, out ulong id, ZcbWait* wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_allocate(
        AgentHandle agent, byte[] label, ulong bytes, out nint block, out ZcbDetail why, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_console(AgentHandle agent, int stream, void* buffer, nuint capacity, out nuint bytes);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_wait_program(AgentHandle agent, ZcbWait* wait);

    [DllImport(Library)]
    public static extern void zcb_agent_end_process(int exitCode);
}
