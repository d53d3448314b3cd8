using System.Runtime.InteropServices;

[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]

namespace ZeroCopyBridge.Native;

/// <summary>The functions of zcb.h that the agent calls, under their own names; there is their meaning.</summary>
internal static unsafe partial class NativeMethods
{
    private const string Library = "libzcb";

    [LibraryImport(Library)]
    public static partial byte* zcb_error_text(int error);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_cancel_create(out nint cancel);

    [LibraryImport(Library)]
    public static partial void zcb_cancel_set(CancelHandle cancel);

    [LibraryImport(Library)]
    public static partial void zcb_cancel_reset(CancelHandle cancel);

    [LibraryImport(Library)]
    public static partial void zcb_cancel_free(nint cancel);

    [LibraryImport(Library)]
    public static partial void zcb_advise_huge(void* memory, nuint bytes);

    [LibraryImport(Library)]
    public static partial void zcb_channel_close(ChannelHandle channel);

    [LibraryImport(Library)]
    public static partial void zcb_channel_free(nint channel);

    [LibraryImport(Library)]
    public static partial ulong zcb_channel_frame_bytes(ChannelHandle channel);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_send(ChannelHandle channel, in ZcbMessage message, void* payload, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_send_begin(ChannelHandle channel, in ZcbMessage message, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_send_write(ChannelHandle channel, void* data, nuint bytes, ref nuint done, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_send_end(ChannelHandle channel);

    [LibraryImport(Library)]
    public static partial void zcb_send_drop(ChannelHandle channel);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_block_allocate(ChannelHandle channel, ulong bytes, out nint block, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial void* zcb_block_data(nint block);

    [LibraryImport(Library)]
    public static partial ulong zcb_block_bytes(nint block);

    [LibraryImport(Library)]
    public static partial void zcb_block_free(nint block);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_receive_begin(ChannelHandle channel, ZcbWish wish, out ZcbMessage message, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_receive_read(ChannelHandle channel, void* destination, nuint bytes, ref nuint done, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_receive_lease(ChannelHandle channel, out nint lease, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial void* zcb_lease_data(nint lease);

    [LibraryImport(Library)]
    public static partial ulong zcb_lease_bytes(nint lease);

    [LibraryImport(Library)]
    public static partial void zcb_lease_free(nint lease);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_receive_end(ChannelHandle channel);

    [LibraryImport(Library)]
    public static partial void zcb_receive_drop(ChannelHandle channel);

    [LibraryImport(Library)]
    public static partial void zcb_channel_counts(ChannelHandle channel, out ulong sent, out ulong received);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial ZcbError zcb_agent_open(string version, out nint agent, out ZcbDetail why);

    [LibraryImport(Library)]
    public static partial void zcb_agent_free(nint agent);

    [LibraryImport(Library)]
    public static partial uint zcb_agent_width(AgentHandle agent);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_next(AgentHandle agent, out ZcbCommand command, in ZcbWait wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_output(AgentHandle agent, ulong id, ZcbFields* fields);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_complete(AgentHandle agent, in ZcbResult result, byte soon);

    [LibraryImport(Library)]
    public static partial void zcb_agent_flush(AgentHandle agent);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_listen(AgentHandle agent, out ZcbUrgent request, out ulong id, ZcbWait* wait);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_channel(AgentHandle agent, uint number, out nint channel);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial ZcbError zcb_agent_find_channel(AgentHandle agent, string label, out uint number);

    [LibraryImport(Library)]
    public static partial nint zcb_agent_commands(AgentHandle agent);

    [LibraryImport(Library)]
    public static partial void zcb_agent_forget_channel(AgentHandle agent, uint number);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_console(AgentHandle agent, int stream, void* buffer, nuint capacity, out nuint bytes);

    [LibraryImport(Library)]
    public static partial ZcbError zcb_agent_wait_program(AgentHandle agent, ZcbWait* wait);

    [LibraryImport(Library)]
    public static partial void zcb_agent_end_process(int exitCode);
}
