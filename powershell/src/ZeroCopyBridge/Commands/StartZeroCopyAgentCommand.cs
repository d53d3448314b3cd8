using System;
using System.Collections;
using System.Management.Automation;
using ZeroCopyBridge.Agent;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Commands;

/// <summary>
/// Serves the program that started this engine until that program ends the session, then ends the engine.
/// libzcb starts it; a person has no use for it.
/// </summary>
[Cmdlet(VerbsLifecycle.Start, "ZeroCopyAgent")]
public sealed class StartZeroCopyAgentCommand : PSCmdlet
{
    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        int exitCode;
        try
        {
            exitCode = AgentSession.Serve(EngineVersion(), SessionState.PSVariable.GetValue("PROFILE"));
        }
        catch (ZcbException failure)
        {
            ThrowTerminatingError(new ErrorRecord(failure, "ZeroCopyAgent", ErrorCategory.ConnectionError, targetObject: null));
            return;
        }

        Environment.Exit(exitCode);
    }

    private string EngineVersion() =>
        SessionState.PSVariable.GetValue("PSVersionTable") is IDictionary table && table["PSVersion"] is object version
            ? version.ToString()!
            : throw new PSInvalidOperationException("The engine doesn't tell its version.");
}
