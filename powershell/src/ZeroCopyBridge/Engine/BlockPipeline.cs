using System;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// Runs a command text that is a script block's body (param, begin, process, end) in a pipeline of its own. As plain
/// statements its blocks would be refused, and its mandatory parameters would silently be null.
/// </summary>
internal static class BlockPipeline
{
    private const string AtThePrompt = ". $args[0] | & $args[1] -Runner $args[2]";
    private const string InAChildScope = "& $args[0] | & $args[1] -Runner $args[2]";

    public static void Invoke(PSCmdlet context, CommandRunner runner, ScriptBlock block, bool localScope) =>
        context.InvokeCommand.InvokeScript(
            localScope ? InAChildScope : AtThePrompt,
            useNewScope: false,
            PipelineResultTypes.Output | PipelineResultTypes.Error,
            Array.Empty<object>(),
            block,
            SinkCommand.Info,
            runner);
}
