using System;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Engine;

/// <summary>A byte buffer that is reused for each command.</summary>
internal sealed class Utf8Buffer
{
    private const int KeptBytes = 1024 * 1024;

    private byte[] _bytes = [];
    private int _count;

    public int Length => _count;

    public ReadOnlySpan<byte> Written => _bytes.AsSpan(0, _count);

    public Span<byte> GetSpan(int atLeast)
    {
        if (atLeast > _bytes.Length - _count)
        {
            int wanted = checked(_count + atLeast);
            int doubled = (int)Math.Min(2L * _bytes.Length, Runtime.MostElements);
            Array.Resize(ref _bytes, Math.Max(wanted, doubled));
        }

        return _bytes.AsSpan(_count);
    }

    public void Advance(int count) => _count += count;

    public void Append(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(GetSpan(bytes.Length));
        Advance(bytes.Length);
    }

    public void Clear()
    {
        _count = 0;
        if (_bytes.Length > KeptBytes)
        {
            _bytes = [];
        }
    }
}
