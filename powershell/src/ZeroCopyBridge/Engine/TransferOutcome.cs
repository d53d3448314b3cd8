using System;

namespace ZeroCopyBridge.Engine;

/// <summary>How the part of a transfer that needs the engine ended.</summary>
/// <param name="Error">Why it failed, or null.</param>
/// <param name="StopRequested">True if the transfer was stopped, whether or not its work was done.</param>
/// <param name="Elapsed">The time it took.</param>
internal readonly record struct TransferOutcome(string? Error, bool StopRequested, TimeSpan Elapsed)
{
    public bool Done => Error is null;
}
