using System;
using System.Text;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Engine;

/// <summary>A growing text that is taken out as UTF-8, in pieces. A surrogate pair may span two pieces.</summary>
internal sealed class TextField
{
    private const int InitialChars = 1024;
    private const int KeptChars = 256 * 1024;

    private readonly Encoder _encoder = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false).GetEncoder();
    private char[] _chars = new char[InitialChars];
    private int _count;

    public int Length => _count;

    public void Append(ReadOnlySpan<char> text)
    {
        if (text.Length > _chars.Length - _count)
        {
            Grow(text.Length);
        }

        text.CopyTo(_chars.AsSpan(_count));
        _count += text.Length;
    }

    /// <summary>Appends this field's text to a buffer, as UTF-8, and empties the field.</summary>
    /// <param name="target">The buffer.</param>
    /// <param name="last">True if nothing follows. Half a surrogate pair then becomes U+FFFD.</param>
    public void MoveTo(Utf8Buffer target, bool last)
    {
        if (_count > 0 || last)
        {
            ReadOnlySpan<char> text = _chars.AsSpan(0, _count);
            Span<byte> room = target.GetSpan(_encoder.GetByteCount(text, last));
            target.Advance(_encoder.GetBytes(text, room, last));
        }

        _count = 0;
        if (_chars.Length > KeptChars)
        {
            _chars = new char[InitialChars];
        }
    }

    private void Grow(int extra)
    {
        int wanted = checked(_count + extra);
        int doubled = (int)Math.Min(2L * _chars.Length, Runtime.MostElements);
        Array.Resize(ref _chars, Math.Max(wanted, doubled));
    }
}
