using System;

namespace ZeroCopyBridge.Testing;

/// <summary>What a command left behind, for a test to look at.</summary>
public sealed class ProbeResult
{
    public string Out { get; init; } = "";
    public string Err { get; init; } = "";
    public string Warning { get; init; } = "";
    public string Verbose { get; init; } = "";
    public string Debug { get; init; } = "";
    public string Information { get; init; } = "";
    public string Progress { get; init; } = "";
    public bool Success { get; init; }
    public int ExitCode { get; init; }
    public bool Exited { get; init; }
    public bool Stopped { get; init; }
    public TimeSpan Elapsed { get; init; }
    public int LargestPiece { get; init; }
}

/// <summary>What a send expression gave.</summary>
public sealed class ProbeValue
{
    public string? Error { get; init; }
    public bool IsCliXml { get; init; }
    public byte[]? Bytes { get; init; }
}
