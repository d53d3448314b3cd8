using System;

/// <summary>The reference bytes on PowerShell's side of the soak, and comparisons with them.</summary>
public static class Soak
{
    public static byte[] Pool = Array.Empty<byte>();

    public static bool Holds(object data, int offset, int length)
    {
        ReadOnlySpan<byte> bytes = data is ZeroCopyBridge.Lease lease ? lease.Span : (byte[])data;
        return bytes.Length == length && bytes.SequenceEqual(Pool.AsSpan(offset, length));
    }

    public static byte[] Part(int offset, int length) => Pool.AsSpan(offset, length).ToArray();

    public static void Fill(ZeroCopyBridge.Lease lease, int offset) =>
        Pool.AsSpan(offset, (int)lease.Length).CopyTo(lease.WritableSpan);
}
