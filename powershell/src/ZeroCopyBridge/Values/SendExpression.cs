using System;
using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Internal;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;

namespace ZeroCopyBridge.Values;

/// <summary>Evaluates what is to be sent: one expression or pipeline, at the prompt's scope.</summary>
internal static class SendExpression
{
    /// <summary>
    /// The value of the expression, as an assignment would store it: several outputs become object[], a single
    /// one stays itself, a collection is not taken apart.
    /// </summary>
    /// <exception cref="TransferException">It isn't one expression, a variable doesn't exist, or it throws.</exception>
    public static object? Evaluate(PSCmdlet context, string text)
    {
        ScriptBlockAst script = Parser.ParseInput(text, out _, out ParseError[] errors);
        if (errors.Length > 0)
        {
            throw new TransferException($"'{text}' cannot be sent: {errors[0].Message}");
        }

        PipelineBaseAst pipeline = OnlyPipeline(script) ?? throw new TransferException(
            $"'{text}' cannot be sent: it is not a single expression or pipeline");
        RequireVariable(context, text, pipeline);
        return Invoke(context, text);
    }

    private static PipelineBaseAst? OnlyPipeline(ScriptBlockAst script)
    {
        bool plain = script is { ParamBlock: null, BeginBlock: null, ProcessBlock: null, DynamicParamBlock: null, EndBlock.Unnamed: true }
            && script.UsingStatements.Count == 0;
        return plain && script.EndBlock.Statements is [PipelineBaseAst and not AssignmentStatementAst and var only]
            ? (PipelineBaseAst)only
            : null;
    }

    private static void RequireVariable(PSCmdlet context, string text, PipelineBaseAst pipeline)
    {
        Ast? root = pipeline is PipelineAst { PipelineElements: [CommandExpressionAst only] } ? only.Expression : null;
        while (root is MemberExpressionAst or IndexExpressionAst)
        {
            root = root is MemberExpressionAst member ? member.Expression : ((IndexExpressionAst)root).Target;
        }

        if (root is VariableExpressionAst { Splatted: false, VariablePath: var path } variable && !Exists(context, path))
        {
            string subject = variable.Extent.Text == text.Trim() ? string.Empty : $"'{text}' cannot be sent: ";
            throw new TransferException($"{subject}the variable '{variable.Extent.Text}' does not exist");
        }
    }

    private static bool Exists(PSCmdlet context, VariablePath path) => path.IsDriveQualified
        ? context.SessionState.InvokeProvider.Item.Exists(path.UserPath, force: false, literalPath: true)
        : context.SessionState.PSVariable.Get(path.UserPath) is not null;

    private static object? Invoke(PSCmdlet context, string text)
    {
        // The text is one pipeline, so the parentheses hold it whole; the line break ends a comment in it. Two
        // commas, because both the pipeline and InvokeScript take a collection apart.
        string oneValue = ",,(" + text + "\n)";
        try
        {
            Collection<PSObject> values = context.InvokeCommand.InvokeScript(
                oneValue, useNewScope: false, PipelineResultTypes.None, Array.Empty<object>());
            return values.Count == 0 || ReferenceEquals(values[0], AutomationNull.Value) ? null : values[0];
        }
        catch (Exception failure) when (failure is RuntimeException and not PipelineStoppedException)
        {
            throw new TransferException($"'{text}' cannot be sent: {failure.Message}", failure);
        }
        catch (FlowControlException failure)
        {
            throw new TransferException($"'{text}' cannot be sent: it leaves by break, continue or exit", failure);
        }
    }
}
