using System;
using System.Text;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>Makes strings of command texts. If a text comes again, it gives the same string.</summary>
internal sealed unsafe class CommandText
{
    private const int KeptBytes = 4096;

    // What a file was read into may begin with one. It is no text: PowerShell drops it from the files that it reads.
    private static ReadOnlySpan<byte> ByteOrderMark => "\uFEFF"u8;

    private byte[] _lastBytes = [];
    private string _last = string.Empty;

    public string Of(in ZcbCommand command)
    {
        var utf8 = new ReadOnlySpan<byte>(command.Parts->Data, checked((int)command.Parts->Bytes));
        if (utf8.StartsWith(ByteOrderMark))
        {
            utf8 = utf8.Slice(ByteOrderMark.Length);
        }

        if (utf8.SequenceEqual(_lastBytes))
        {
            return _last;
        }

        string text = Encoding.UTF8.GetString(utf8);
        if (utf8.Length <= KeptBytes)
        {
            _lastBytes = utf8.ToArray();
            _last = text;
        }

        return text;
    }
}
