using System.Management.Automation;

namespace ZeroCopyBridge.Engine;

/// <summary>Runs the session's commands inside its outer pipeline. That makes them behave as at a prompt.</summary>
[Cmdlet("Invoke", "ZeroCopyLoop")]
internal sealed class LoopCommand : PSCmdlet
{
    public static readonly CmdletInfo Info = new("Invoke-ZeroCopyLoop", typeof(LoopCommand));

    [Parameter(Mandatory = true)]
    public EngineSession Session { get; set; } = null!;

    protected override void EndProcessing() => Session.RunSteps(this);
}
