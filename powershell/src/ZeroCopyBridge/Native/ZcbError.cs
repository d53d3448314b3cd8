namespace ZeroCopyBridge.Native;

/// <summary>The error numbers of zcb.h. tests/powershell/mirror.tests.ps1 compares them.</summary>
internal enum ZcbError
{
    Ok = 0,
    Timeout = 1,
    Cancelled = 2,
    Interrupted = 3,
    Closed = 4,
    PeerClosed = 5,
    PeerGone = 6,
    Protocol = 7,
    Aborted = 8,
    TooLarge = 9,
    NoMemory = 10,
    NoHandles = 11,
    Invalid = 12,
    Forked = 13,
    NotFound = 14,
    Version = 15,
    Start = 16,
    Refused = 17,
    TooLate = 18,
    System = 19,
    Watched = 20,
}
