using System.Management.Automation;

namespace ZeroCopyBridge.Values;

/// <summary>A value in the form in which it crosses: a byte[] as it is, everything else as CliXml.</summary>
/// <param name="Bytes">The payload; for a byte[] the user's own array, not a copy.</param>
/// <param name="IsCliXml">True when the payload is CliXml text.</param>
internal readonly record struct OutgoingValue(byte[] Bytes, bool IsCliXml)
{
    /// <exception cref="TransferException">The value can't be serialized.</exception>
    public static OutgoingValue From(object? value, int depth)
    {
        object? bare = value is PSObject wrapped ? wrapped.BaseObject : value;
        return bare is byte[] bytes
            ? new OutgoingValue(bytes, IsCliXml: false)
            : new OutgoingValue(CliXml.Serialize(value, depth == 0 ? CliXml.DefaultDepth : depth), IsCliXml: true);
    }
}
