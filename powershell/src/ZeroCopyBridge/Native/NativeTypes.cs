using System.Runtime.InteropServices;

namespace ZeroCopyBridge.Native;

// The structures of zcb.h, field by field. zcb.h documents them. tests/powershell/mirror.tests.ps1 compares them.

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbDetail
{
    public const int Size = 1024;

    public fixed byte Text[Size];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbWait
{
    public long DeadlineNs;
    public nint Cancel;
    public nint Interrupted;
    public nint Arg;
    public nint Watch;
    public nint InterruptEvent;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ZcbRuntime
{
    public nint Arg;
    public nint Allocate;
    public nint Release;
    public nint Reclaim;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbCommand
{
    public ulong Id;
    public ZcbOp Op;
    public ZcbCommandFlags Flags;
    public uint Channel;
    public uint Depth;
    public ZcbPart* Parts;
    public nuint PartCount;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ZcbArrival
{
    public ulong Id;
    public ZcbCommandFlags Flags;
    public ZcbKind Kind;
    public ulong Bytes;
    public nint Target;
    public nint Memory;
    public nint Lease;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ZcbWork
{
    public ZcbWorkType Type;
    public ZcbCommand Command;
    public ZcbArrival Arrival;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZcbPart
{
    public ZcbPartKind Kind;
    public uint Flags;
    public byte* Data;
    public nuint Bytes;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ZcbCompletion
{
    public ZcbStatus Status;
    public byte Success;
    public byte Refused;
    public int ExitCode;
    public long ExecutionNs;
}

internal enum ZcbPartKind : uint
{
    Text = 1,
    Out = 16,
    Err = 17,
    Warning = 18,
    Verbose = 19,
    Debug = 20,
    Information = 21,
    Progress = 22,
}

internal enum ZcbKind : uint
{
    Bytes = 1,
    CliXml = 2,
    Error = 3,
    Control = 4,
}

internal enum ZcbWorkType : uint
{
    Command = 1,
    Arrival = 2,
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
    Lost = 5,
}
