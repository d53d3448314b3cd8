using System;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Host;

namespace ZeroCopyBridge.Engine;

/// <summary>The host of the session's runspace. There is no user at it, and its text goes to a collector.</summary>
internal sealed class EngineHost : PSHost
{
    private readonly EngineHostUserInterface _ui;

    public EngineHost(OutputCollector output, int width) => _ui = new EngineHostUserInterface(output, width);

    /// <summary>The code of a <c>$Host.SetShouldExit(n)</c> that was not handled yet, or null.</summary>
    public int? ExitRequest { get; set; }

    // Only for a host with this name does formatting use the built-in widths of wide characters.
    public override string Name => "ConsoleHost";

    public override Version Version { get; } = typeof(PSObject).Assembly.GetName().Version ?? new Version(7, 4);

    public override Guid InstanceId { get; } = Guid.NewGuid();

    public override PSHostUserInterface UI => _ui;

    public override CultureInfo CurrentCulture { get; } = CultureInfo.CurrentCulture;

    public override CultureInfo CurrentUICulture { get; } = CultureInfo.CurrentUICulture;

    public int Width
    {
        get => _ui.Width;
        set => _ui.Width = value;
    }

    public override void SetShouldExit(int exitCode) => ExitRequest = exitCode;

    public override void EnterNestedPrompt() =>
        throw new PSNotSupportedException("A nested prompt needs a person at a terminal, and this session has none.");

    public override void ExitNestedPrompt()
    {
    }

    public override void NotifyBeginApplication()
    {
    }

    public override void NotifyEndApplication()
    {
    }
}
