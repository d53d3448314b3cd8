using System.Collections.Generic;
using System.Globalization;
using System.Management.Automation;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// Turns objects into the text that PowerShell prints for them. Out-Default does the work. It is started only if a
/// command writes an object that is more than plain text, because starting it costs 70 µs.
/// </summary>
internal sealed class OutputFormatter
{
    private readonly OutputCollector _output;
    private readonly ScriptBlock _outDefault = ScriptBlock.Create(@"Microsoft.PowerShell.Core\Out-Default");
    private SteppablePipeline? _pipeline;

    public OutputFormatter(OutputCollector output) => _output = output;

    public void Write(object? value)
    {
        if (_pipeline is null && TryWritePlain(value))
        {
            return;
        }

        _pipeline ??= Start();
        _pipeline.Process(value);
    }

    /// <summary>Writes the rest that Out-Default still holds, such as the rows of a table.</summary>
    public void End()
    {
        SteppablePipeline? pipeline = _pipeline;
        _pipeline = null;
        if (pipeline is not null)
        {
            using (pipeline)
            {
                pipeline.End();
            }
        }
    }

    /// <summary>Discards the formatter of a command that was stopped.</summary>
    public void Abandon()
    {
        _pipeline?.Dispose();
        _pipeline = null;
    }

    /// <summary>Writes error records as the console does, to the error text.</summary>
    /// <param name="errors">The records.</param>
    /// <param name="written">How many of them have been written, even if this throws.</param>
    public void WriteErrors(IReadOnlyList<ErrorRecord> errors, ref int written)
    {
        _output.BeginErrors();
        try
        {
            using SteppablePipeline pipeline = Start();
            for (; written < errors.Count; written++)
            {
                pipeline.Process(errors[written]);
            }

            pipeline.End();
        }
        finally
        {
            _output.EndErrors();
        }
    }

    private bool TryWritePlain(object? value)
    {
        switch (Unwrap(value))
        {
            case string text when !AnsiText.Contains(text):
                _output.WriteLine(OutputField.Out, text);
                return true;
            case int number:
                _output.WriteLine(OutputField.Out, number.ToString(CultureInfo.CurrentCulture));
                return true;
            default:
                return false;
        }
    }

    // A type name that was added to an object may select a view for it. So only unchanged objects are plain.
    private static object? Unwrap(object? value) => value switch
    {
        PSObject { BaseObject: string } wrapped when wrapped.TypeNames is ["System.String", ..] => wrapped.BaseObject,
        PSObject { BaseObject: int } wrapped when wrapped.TypeNames is ["System.Int32", ..] => wrapped.BaseObject,
        _ => value,
    };

    private SteppablePipeline Start()
    {
        SteppablePipeline pipeline = _outDefault.GetSteppablePipeline(CommandOrigin.Internal);
        pipeline.Begin(expectInput: true);
        return pipeline;
    }
}
