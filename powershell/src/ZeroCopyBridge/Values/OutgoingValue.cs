using System.Management.Automation;

namespace ZeroCopyBridge.Values;

/// <summary>A value in the form in which it crosses: a byte[] or a lease unchanged, everything else as CliXml.</summary>
/// <param name="Bytes">The payload; for a byte[] the user's own array, not a copy.</param>
/// <param name="IsCliXml">True if the payload is CliXml text.</param>
/// <param name="Lease">The lease that holds the payload instead of <paramref name="Bytes"/>, or null.</param>
internal readonly record struct OutgoingValue(byte[] Bytes, bool IsCliXml, Lease? Lease = null)
{
    /// <exception cref="TransferException">The value can't be serialized.</exception>
    public static OutgoingValue From(object? value, int depth)
    {
        object? bare = value is PSObject wrapped ? wrapped.BaseObject : value;
        return bare switch
        {
            byte[] bytes => new OutgoingValue(bytes, IsCliXml: false),
            Lease lease => new OutgoingValue([], IsCliXml: false, lease),
            _ => new OutgoingValue(CliXml.Serialize(value, depth == 0 ? CliXml.DefaultDepth : depth), IsCliXml: true),
        };
    }
}
