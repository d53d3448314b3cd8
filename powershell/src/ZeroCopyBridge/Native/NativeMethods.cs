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
    public static extern void zcb_cancel_reset(CancelHandle cancel);

    [DllImport(Library)]
    public static extern void zcb_cancel_free(nint cancel);

    [DllImport(Library)]
    public static extern void zcb_advise_huge(void* memory, nuint bytes);

    [DllImport(Library)]
    public static extern void zcb_channel_close(ChannelHandle channel);

    [DllImport(Library)]
    public static extern void zcb_channel_free(nint channel);

    [DllImport(Library)]
    public static extern ulong zcb_channel_frame_bytes(ChannelHandle channel);

    [DllImport(Library)]
    public static extern ZcbError zcb_send(ChannelHandle channel, in ZcbMessage message, void* payload, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_send_begin(ChannelHandle channel, in ZcbMessage message, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_send_write(ChannelHandle channel, void* data, nuint bytes, ref nuint done, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_send_end(ChannelHandle channel);

    [DllImport(Library)]
    public static extern void zcb_send_drop(ChannelHandle channel);

    [DllImport(Library)]
    public static extern ZcbError zcb_block_allocate(ChannelHandle channel, ulong bytes, out nint block, in ZcbWait wait);

    [DllImport(Library)]
    public static extern void* zcb_block_data(nint block);

    [DllImport(Library)]
    public static extern ulong zcb_block_bytes(nint block);

    [DllImport(Library)]
    public static extern void zcb_block_free(nint block);

    [DllImport(Library)]
    public static extern ZcbError zcb_receive_begin(ChannelHandle channel, ZcbWish wish, out ZcbMessage message, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_receive_read(ChannelHandle channel, void* destination, nuint bytes, ref nuint done, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_receive_lease(ChannelHandle channel, out nint lease, in ZcbWait wait);

    [DllImport(Library)]
    public static extern void* zcb_lease_data(nint lease);

    [DllImport(Library)]
    public static extern ulong zcb_lease_bytes(nint lease);

    [DllImport(Library)]
    public static extern void zcb_lease_free(nint lease);

    [DllImport(Library)]
    public static extern ZcbError zcb_receive_end(ChannelHandle channel);

    [DllImport(Library)]
    public static extern void zcb_receive_drop(ChannelHandle channel);

    [DllImport(Library)]
    public static extern void zcb_channel_counts(ChannelHandle channel, out ulong sent, out ulong received);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_open(byte[] version, out nint agent, out ZcbDetail why);

    [DllImport(Library)]
    public static extern void zcb_agent_free(nint agent);

    [DllImport(Library)]
    public static extern uint zcb_agent_width(AgentHandle agent);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_next(AgentHandle agent, out ZcbCommand command, in ZcbWait wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_output(AgentHandle agent, ulong id, ZcbFields* fields);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_complete(AgentHandle agent, in ZcbResult result, byte soon);

    [DllImport(Library)]
    public static extern void zcb_agent_flush(AgentHandle agent);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_listen(AgentHandle agent, out ZcbUrgent request, out ulong id, ZcbWait* wait);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_channel(AgentHandle agent, uint number, out nint channel);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_find_channel(AgentHandle agent, byte[] label, out uint number);

    [DllImport(Library)]
    public static extern nint zcb_agent_commands(AgentHandle agent);

    [DllImport(Library)]
    public static extern void zcb_agent_forget_channel(AgentHandle agent, uint number);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_console(AgentHandle agent, int stream, void* buffer, nuint capacity, out nuint bytes);

    [DllImport(Library)]
    public static extern ZcbError zcb_agent_wait_program(AgentHandle agent, ZcbWait* wait);

    [DllImport(Library)]
    public static extern void zcb_agent_end_process(int exitCode);
}
