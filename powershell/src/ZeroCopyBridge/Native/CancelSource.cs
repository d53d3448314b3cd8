using System;

namespace ZeroCopyBridge.Native;

/// <summary>Ends another thread's wait in libzcb.</summary>
internal sealed class CancelSource : IDisposable
{
    private readonly CancelHandle _handle;

    public CancelSource()
    {
        ZcbError error = NativeMethods.zcb_cancel_create(out nint cancel);
        if (error != ZcbError.Ok)
        {
            throw new ZcbException("making a cancel handle", error);
        }

        _handle = new CancelHandle(cancel);
    }

    private CancelSource(nint cancel) => _handle = new CancelHandle(cancel);

    /// <summary>Makes one; null if the system has no handle for it.</summary>
    public static CancelSource? TryCreate() =>
        NativeMethods.zcb_cancel_create(out nint cancel) == ZcbError.Ok ? new CancelSource(cancel) : null;

    /// <summary>A wait without limit that this object can end. Valid while this object lives.</summary>
    public unsafe ZcbWait Wait => new() { DeadlineNs = long.MaxValue, Cancel = _handle.DangerousGetHandle() };

    public void Set() => NativeMethods.zcb_cancel_set(_handle);

    public void Reset() => NativeMethods.zcb_cancel_reset(_handle);

    public void Dispose() => _handle.Dispose();
}
