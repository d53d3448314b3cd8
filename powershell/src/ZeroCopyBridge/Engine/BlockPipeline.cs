using System;
using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// Runs a command text that is a script block's body (param, begin, process, end) as <c>. $block | sink</c>:
/// run as plain statements its blocks are refused and its mandatory parameters are silently null.
/// </summary>
internal static class BlockPipeline
{
    public static void Invoke(PSCmdlet context, CommandRunner runner, ScriptBlock block, bool localScope)
    {
        ScriptBlock pipeline = Build(runner, block, localScope);
        context.InvokeCommand.InvokeScript(useLocalScope: false, pipeline, Array.Empty<object>());
    }

    private static ScriptBlock Build(CommandRunner runner, ScriptBlock block, bool localScope)
    {
        IScriptExtent extent = block.Ast.Extent;
        TokenKind invocation = localScope ? TokenKind.Ampersand : TokenKind.Dot;
        var body = new CommandAst(extent, [new ConstantExpressionAst(extent, block)], invocation, redirections: null);
        var runnerArgument = new CommandParameterAst(extent, nameof(SinkCommand.Runner), new ConstantExpressionAst(extent, runner), extent);
        var sink = new CommandAst(extent, [new ConstantExpressionAst(extent, SinkCommand.Info), runnerArgument], TokenKind.Ampersand, redirections: null);
        var statements = new StatementBlockAst(extent, [new PipelineAst(extent, [body, sink])], traps: null);
        return new ScriptBlockAst(extent, paramBlock: null, statements, isFilter: false).GetScriptBlock();
    }
}
