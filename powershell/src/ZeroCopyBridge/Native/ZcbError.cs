namespace ZeroCopyBridge.Native;

/// <summary>The error numbers of zcb.h that this module tells apart.</summary>
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
    NotFound = 14,
    Refused = 17,
    System = 19,
    Watched = 20,
}

/// <summary>What the errors have in common.</summary>
internal static class ZcbErrors
{
    /// <summary>True for the end of a wait after which the call may be made again.</summary>
    public static bool IsPassing(this ZcbError error) =>
        error is ZcbError.Timeout or ZcbError.Cancelled or ZcbError.Interrupted or ZcbError.Watched;

    /// <summary>True where the system had too little of something: error_is_shortage in error.h.</summary>
    public static bool IsShortage(this ZcbError error) =>
        error is ZcbError.NoMemory or ZcbError.NoHandles or ZcbError.System;
}
