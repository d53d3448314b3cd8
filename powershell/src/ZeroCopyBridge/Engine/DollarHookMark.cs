using System;
using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;

namespace ZeroCopyBridge.Engine;

/// <summary>Sets <c>$?</c> and nothing else: runs a command that does nothing, or one that fails with its error ignored.</summary>
[Cmdlet("Set", "ZeroCopyDollarHook")]
internal sealed class DollarHookMark : PSCmdlet
{
    private static readonly CmdletInfo s_info = new("Set-ZeroCopyDollarHook", typeof(DollarHookMark));
    private static readonly ErrorRecord s_error = new(new InvalidOperationException(), "Failure", ErrorCategory.NotSpecified, targetObject: null);

    public static void Set(PSCmdlet context, bool value)
    {
        if (value)
        {
            context.InvokeCommand.InvokeScript("$null = 0", useNewScope: false, PipelineResultTypes.None, Array.Empty<object>());
        }
        else
        {
            context.InvokeCommand.InvokeScript(useLocalScope: false, FailingCommand(), Array.Empty<object>());
        }
    }

    protected override void EndProcessing() => WriteError(s_error);

    private static ScriptBlock FailingCommand()
    {
        IScriptExtent extent = ScriptBlock.Create(string.Empty).Ast.Extent;
        var command = new CommandAst(
            extent,
            [
                new ConstantExpressionAst(extent, s_info),
                new CommandParameterAst(extent, "ErrorAction", new ConstantExpressionAst(extent, ActionPreference.Ignore), extent),
            ],
            TokenKind.Ampersand,
            redirections: null);
        var statements = new StatementBlockAst(extent, [new PipelineAst(extent, [command])], traps: null);
        return new ScriptBlockAst(extent, paramBlock: null, statements, isFilter: false).GetScriptBlock();
    }
}
