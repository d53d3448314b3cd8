using System;
using System.Text;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// Moves what was written past the host and past <see cref="Console"/>, straight to descriptors 1 and 2,
/// into the running command's text.
/// </summary>
internal sealed class ConsoleDrain
{
    private const int BufferBytes = 32 * 1024;

    private readonly AgentConnection _connection;
    private readonly OutputCollector _output;
    private readonly byte[] _bytes = new byte[BufferBytes];
    private readonly char[] _chars = new char[Encoding.UTF8.GetMaxCharCount(BufferBytes)];
    private readonly Decoder _out = Encoding.UTF8.GetDecoder();
    private readonly Decoder _error = Encoding.UTF8.GetDecoder();

    public ConsoleDrain(AgentConnection connection, OutputCollector output)
    {
        _connection = connection;
        _output = output;
    }

    public void Collect()
    {
        Collect(1, _out, OutputField.Out);
        Collect(2, _error, OutputField.Err);
    }

    private void Collect(int stream, Decoder decoder, OutputField field)
    {
        int count;
        while ((count = _connection.ReadConsole(stream, _bytes)) > 0)
        {
            int chars = decoder.GetChars(_bytes.AsSpan(0, count), _chars, flush: false);
            _output.Write(field, _chars.AsSpan(0, chars));
        }
    }
}
