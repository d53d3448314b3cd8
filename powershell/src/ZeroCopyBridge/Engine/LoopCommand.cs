using System.Management.Automation;

namespace ZeroCopyBridge.Engine;

/// <summary>Runs the session's commands from inside its outer pipeline, which is what gives them a prompt's semantics.</summary>
[Cmdlet("Invoke", "ZeroCopyLoop")]
internal sealed class LoopCommand : PSCmdlet
{
    public static readonly CmdletInfo Info = new("Invoke-ZeroCopyLoop", typeof(LoopCommand));

    [Parameter(Mandatory = true)]
    public EngineSession Session { get; set; } = null!;

    protected override void EndProcessing() => Session.RunSteps(this);
}
