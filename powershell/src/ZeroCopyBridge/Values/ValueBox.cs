namespace ZeroCopyBridge.Values;

/// <summary>Holds the value that a compiled assignment reads. It is public because PowerShell reads it as a property.</summary>
public sealed class ValueBox
{
    /// <summary>The value to assign.</summary>
    public object? Value { get; set; }
}
