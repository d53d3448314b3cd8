using System;
using System.Text;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// Moves output that went directly to descriptors 1 and 2, not through the host or <see cref="Console"/>, into the
/// running command's text.
/// </summary>
internal sealed class ConsoleDrain
{
    private const int BufferBytes = 32 * 1024;

    private readonly AgentConnection _connection;
    private readonly OutputCollector _output;
    private readonly byte[] _bytes = new byte[BufferBytes];
    private char[] _chars = [];
    private Encoding? _encoding;
    private Decoder? _out;
    private Decoder? _error;

    public ConsoleDrain(AgentConnection connection, OutputCollector output)
    {
        _connection = connection;
        _output = output;
    }

    public void Collect()
    {
        Collect(1, ref _out, OutputField.Out);
        Collect(2, ref _error, OutputField.Err);
    }

    private void Collect(int stream, ref Decoder? decoder, OutputField field)
    {
        int count;
        while ((count = _connection.ReadConsole(stream, _bytes)) > 0)
        {
            FollowEncoding();
            decoder ??= _encoding!.GetDecoder();
            int chars = decoder.GetChars(_bytes.AsSpan(0, count), _chars, flush: false);
            _output.Write(field, _chars.AsSpan(0, chars));
        }
    }

    // A script that sets [Console]::OutputEncoding means the programs that it starts from then on.
    private void FollowEncoding()
    {
        Encoding encoding = Runtime.ConsoleEncoding;
        if (encoding.CodePage == _encoding?.CodePage)
        {
            return;
        }

        _encoding = encoding;
        _out = _error = null;
        _chars = new char[encoding.GetMaxCharCount(BufferBytes)];
    }
}
