namespace ZeroCopyBridge.Native;

/// <summary>The error numbers of zcb.h that this module distinguishes.</summary>
internal enum ZcbError
{
    Ok = 0,
    Closed = 4,
    Aborted = 8,
    NotFound = 14,
}
