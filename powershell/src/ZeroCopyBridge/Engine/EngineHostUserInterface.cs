using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Security;
using ZeroCopyBridge.Compatibility;

namespace ZeroCopyBridge.Engine;

/// <summary>Writes the host's text to the collector and refuses every question.</summary>
internal sealed class EngineHostUserInterface : PSHostUserInterface
{
    private readonly OutputCollector _output;
    private readonly EngineRawUserInterface _raw;

    public EngineHostUserInterface(OutputCollector output, int width)
    {
        _output = output;
        _raw = new EngineRawUserInterface(width);
    }

    public int Width
    {
        get => _raw.Width;
        set => _raw.Width = value;
    }

    public override PSHostRawUserInterface RawUI => _raw;

    public override bool SupportsVirtualTerminal => false;

    public override void Write(string value) => _output.Write(OutputField.Out, AnsiText.Strip(value ?? string.Empty));

    public override void Write(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) => Write(value);

    public override void WriteLine() => WriteText(OutputField.Out, string.Empty);

    public override void WriteLine(string value) => WriteText(OutputField.Out, value);

    public override void WriteLine(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) => WriteLine(value);

    public override void WriteErrorLine(string value) => WriteText(OutputField.Err, value);

    public override void WriteWarningLine(string message) => WriteText(OutputField.Warning, message);

    public override void WriteVerboseLine(string message) => WriteText(OutputField.Verbose, message);

    public override void WriteDebugLine(string message) => WriteText(OutputField.Debug, message);

    public override void WriteInformation(InformationRecord record) => WriteText(OutputField.Information, record?.ToString());

    public override void WriteProgress(long sourceId, ProgressRecord record)
    {
        string percent = record.PercentComplete >= 0 ? $" ({record.PercentComplete}%)" : string.Empty;
        string status = record.RecordType == ProgressRecordType.Completed ? "completed" : record.StatusDescription;
        WriteText(OutputField.Progress, $"{record.Activity}: {status}{percent}");
    }

    public override string ReadLine() => throw Refuse("a line of text");

    public override SecureString ReadLineAsSecureString() => throw Refuse("a secret");

    public override Dictionary<string, PSObject> Prompt(string caption, string message, Collection<FieldDescription> descriptions) =>
        throw Refuse(Join("a value for ", descriptions, static field => field.Name));

    public override int PromptForChoice(string caption, string message, Collection<ChoiceDescription> choices, int defaultChoice) =>
        throw Refuse($"a confirmation: {FirstLine(caption, message)}");

    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName) =>
        throw Refuse("a credential");

    public override PSCredential PromptForCredential(
        string caption, string message, string userName, string targetName, PSCredentialTypes allowedCredentialTypes, PSCredentialUIOptions options) =>
        throw Refuse("a credential");

    private static PSInvalidOperationException Refuse(string what) => new(
        $"The command asks for {what}, and this session has nobody to answer. "
        + "Give the value as a parameter (or -Confirm:$false for a confirmation).");

    private static string FirstLine(string caption, string message) =>
        string.IsNullOrWhiteSpace(message) ? caption ?? string.Empty : message.Split('\n', 2)[0].TrimEnd('\r');

    private static string Join<T>(string lead, Collection<T> items, Func<T, string> name)
    {
        var names = new List<string>();
        foreach (T item in items ?? [])
        {
            names.Add(name(item));
        }

        return lead + string.Join(", ", names);
    }

    private void WriteText(OutputField field, string? value) => _output.WriteLine(field, AnsiText.Strip(value ?? string.Empty));
}
