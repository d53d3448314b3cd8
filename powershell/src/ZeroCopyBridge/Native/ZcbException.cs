using System;

namespace ZeroCopyBridge.Native;

/// <summary>A call into libzcb that failed.</summary>
internal sealed class ZcbException : Exception
{
    public ZcbException(string what, ZcbError error, string? detail = null)
        : base($"{what}: {(string.IsNullOrEmpty(detail) ? NativeText.Of(error) : detail)}") => Error = error;

    public ZcbException(string message)
        : base(message)
    {
    }

    public ZcbError Error { get; }
}
