using System;
using System.IO;
using System.Text;

namespace ZeroCopyBridge.Engine;

/// <summary>While this object lives, text that is written to <see cref="Console"/> in this process goes to a collector.</summary>
internal sealed class ConsoleCapture : IDisposable
{
    private readonly TextWriter _out = Console.Out;
    private readonly TextWriter _error = Console.Error;

    public ConsoleCapture(OutputCollector output)
    {
        var utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        Console.OutputEncoding = utf8;
        Console.InputEncoding = utf8;
        Console.SetOut(new ConsoleWriter(output, OutputField.Out));
        Console.SetError(new ConsoleWriter(output, OutputField.Err));
    }

    public void Dispose()
    {
        Console.SetOut(_out);
        Console.SetError(_error);
    }
}
