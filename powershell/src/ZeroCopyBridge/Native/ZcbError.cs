namespace ZeroCopyBridge.Native;

/// <summary>The error numbers of zcb.h that this module distinguishes.</summary>
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

/// <summary>Groups of errors.</summary>
internal static class ZcbErrors
{
    /// <summary>True if only a wait has ended, so that the call may be repeated.</summary>
    public static bool IsPassing(this ZcbError error) =>
        error is ZcbError.Timeout or ZcbError.Cancelled or ZcbError.Interrupted or ZcbError.Watched;

    /// <summary>True if the system had too little of something, as error_is_shortage in libzcb.</summary>
    public static bool IsShortage(this ZcbError error) =>
        error is ZcbError.NoMemory or ZcbError.NoHandles or ZcbError.System;
}
