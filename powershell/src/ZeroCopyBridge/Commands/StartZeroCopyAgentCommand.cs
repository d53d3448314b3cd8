using System;
using System.Collections;
using System.Management.Automation;
using ZeroCopyBridge.Agent;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Commands;

/// <summary>
/// Serves the program that started this engine until that program ends the session. Then ends the engine. libzcb runs
/// this command; it is of no use at a prompt.
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
            : throw new PSInvalidOperationException("$PSVersionTable has no PSVersion, so the version of this PowerShell is unknown.");
}
