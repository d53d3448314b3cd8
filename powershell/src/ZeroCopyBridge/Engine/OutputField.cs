namespace ZeroCopyBridge.Engine;

/// <summary>The texts that a command produces, one for each PowerShell stream.</summary>
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
