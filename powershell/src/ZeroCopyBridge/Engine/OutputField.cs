namespace ZeroCopyBridge.Engine;

/// <summary>The texts of a command, one for each PowerShell stream.</summary>
/// <remarks>The numbers are the order of the fields in a collector, not a wire format.</remarks>
internal enum OutputField
{
    Out,
    Err,
    Warning,
    Verbose,
    Debug,
    Information,
    Progress,
}
