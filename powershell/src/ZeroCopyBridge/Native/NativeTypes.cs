using System.Runtime.InteropServices;

namespace ZeroCopyBridge.Native;

// The structures of zcb.h, field by field. zcb.h documents them.

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbDetail
{
    public fixed byte Text[1024];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbWait
{
    public long DeadlineNs;
    public nint Cancel;
    public nint Interrupted;
    public nint Argument;
    public nint Watch;
    public nint InterruptEvent;

    /// <summary>A wait that ends at once.</summary>
    public static readonly ZcbWait Never;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ZcbMessage
{
    public ZcbKind Kind;
    public uint Flags;
    public ulong Id;
    public ulong Bytes;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbCommand
{
    public ulong Id;
    public ZcbOp Op;
    public ZcbCommandFlags Flags;
    public uint Channel;
    public uint Depth;
    public byte* Text;
    public nuint TextBytes;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbText
{
    public byte* Text;
    public nuint Bytes;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbResult
{
    public ulong Id;
    public uint Op;
    public ZcbStatus Status;
    public byte Success;
    public byte Refused;
    public int ExitCode;
    public long ExecutionNs;
    public ZcbFields Fields;
}

/// <summary>ZCB_FIELDS texts, in the order of OutputField.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbFields
{
    public const int Count = 7;

    private fixed long _texts[2 * Count]; // a ZcbText is a pointer and a length, of 8 bytes each

    public ZcbText this[int index]
    {
        set
        {
            if ((uint)index >= Count)
            {
                throw new System.ArgumentOutOfRangeException(nameof(index));
            }

            _texts[2 * index] = (long)value.Text;
            _texts[2 * index + 1] = (long)value.Bytes;
        }
    }
}

internal enum ZcbKind : uint
{
    Bytes = 1,
    CliXml = 2,
    Error = 3,
    Control = 4,
}

internal enum ZcbWish
{
    Copy = 1,
    Lease = 2,
}

internal enum ZcbOp : uint
{
    Run = 1,
    Receive = 2,
    Send = 3,
}

[System.Flags]
internal enum ZcbCommandFlags : uint
{
    None = 0,
    LocalScope = 1,
    TakeQueued = 2,
    Notify = 4,
    Lease = 8,
}

internal enum ZcbStatus : uint
{
    Done = 1,
    Stopped = 2,
    TimedOut = 3,
    Exited = 4,
}

internal enum ZcbUrgent
{
    Stop = 1,
    CloseChannel = 2,
}
