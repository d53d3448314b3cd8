using System;
using System.IO;
using System.Text;

namespace ZeroCopyBridge.Engine;

/// <summary>Replaces <see cref="Console.Out"/> or <see cref="Console.Error"/> and writes to the collector.</summary>
internal sealed class ConsoleWriter : TextWriter
{
    private readonly OutputCollector _output;
    private readonly OutputField _field;

    public ConsoleWriter(OutputCollector output, OutputField field)
    {
        _output = output;
        _field = field;
    }

    public override Encoding Encoding { get; } = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

    public override unsafe void Write(char value) => _output.Write(_field, new ReadOnlySpan<char>(&value, 1));

    public override void Write(char[] buffer, int index, int count) => _output.Write(_field, buffer.AsSpan(index, count));

    public override void Write(string? value) => _output.Write(_field, value);

    public override void WriteLine(string? value) => _output.WriteLine(_field, value);

#if NET
    public override void Write(ReadOnlySpan<char> buffer) => _output.Write(_field, buffer);

    public override void WriteLine(ReadOnlySpan<char> buffer) => _output.WriteLine(_field, buffer);
#endif
}
