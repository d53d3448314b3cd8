using System;

namespace ZeroCopyBridge.Engine;

/// <summary>The texts of all fields as UTF-8, one after the other in one buffer that is reused.</summary>
internal sealed class OutputTexts
{
    /// <summary>The number of fields.</summary>
    public const int Fields = (int)OutputField.Progress + 1;

    private readonly Utf8Buffer _buffer = new();
    private readonly int[] _lengths = new int[Fields];

    public bool IsEmpty => _buffer.Length == 0;

    /// <summary>All texts; field i begins where field i - 1 ends.</summary>
    public ReadOnlySpan<byte> Bytes => _buffer.Written;

    public ReadOnlySpan<int> Lengths => _lengths;

    /// <summary>Moves the text of <paramref name="field"/> here, as the field <paramref name="index"/>. Call it with ascending indexes.</summary>
    public void Take(int index, TextField field, bool last)
    {
        int before = _buffer.Length;
        field.MoveTo(_buffer, last);
        _lengths[index] = _buffer.Length - before;
    }

    public void Clear() => _buffer.Clear();
}
