using System;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Internal;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;

namespace ZeroCopyBridge.Values;

/// <summary>The expression or pipeline of a SEND command. It is evaluated in the prompt's scope.</summary>
internal sealed class SendExpression
{
    // Variables that have another meaning inside the script that evaluates an expression than outside it.
    private static readonly HashSet<string> s_local = new(StringComparer.OrdinalIgnoreCase)
    {
        "_", "args", "input", "this", "PSItem", "MyInvocation", "PSBoundParameters", "PSCmdlet", "PSScriptRoot", "PSCommandPath",
    };

    private readonly string _text;
    private readonly PipelineBaseAst _pipeline;
    private readonly string? _variable; // the name, if the expression is a bare variable

    private SendExpression(string text, PipelineBaseAst pipeline)
    {
        _text = text;
        _pipeline = pipeline;
        _variable = RootOf(pipeline, membersToo: false) is { VariablePath: { IsDriveQualified: false } path }
            && !s_local.Contains(path.UserPath)
            ? path.UserPath
            : null;
    }

    /// <exception cref="TransferException">The text isn't a single expression or pipeline.</exception>
    public static SendExpression Parse(string text)
    {
        ScriptBlockAst script = Parser.ParseInput(text, out _, out ParseError[] errors);
        if (errors.Length > 0)
        {
            throw new TransferException($"'{text}' cannot be sent: {errors[0].Message}");
        }

        return new SendExpression(text, OnlyPipeline(script) ?? throw new TransferException(
            $"'{text}' cannot be sent: it is not a single expression or pipeline"));
    }

    /// <summary>
    /// The value of the expression, as an assignment would store it: several outputs become an object[], a single
    /// output stays itself, and a collection is not unrolled.
    /// </summary>
    /// <exception cref="TransferException">A variable doesn't exist, or the expression throws.</exception>
    public object? Evaluate(PSCmdlet context)
    {
        // The engine's own variables, such as $?, have derived types and may compute their values.
        if (_variable is not null
            && context.SessionState.PSVariable.Get(_variable) is PSVariable variable
            && variable.GetType() == typeof(PSVariable))
        {
            return ReferenceEquals(variable.Value, AutomationNull.Value) ? null : variable.Value;
        }

        RequireVariable(context);
        return Invoke(context, _text);
    }

    private static PipelineBaseAst? OnlyPipeline(ScriptBlockAst script)
    {
        bool plain = script is { ParamBlock: null, BeginBlock: null, ProcessBlock: null, DynamicParamBlock: null, EndBlock.Unnamed: true }
            && script.UsingStatements.Count == 0;
        return plain && script.EndBlock.Statements is [PipelineBaseAst and not AssignmentStatementAst and var only]
            ? (PipelineBaseAst)only
            : null;
    }

    /// <summary>The variable at the beginning of the expression; null if it begins with something else.</summary>
    private static VariableExpressionAst? RootOf(PipelineBaseAst pipeline, bool membersToo)
    {
        Ast? root = pipeline is PipelineAst { PipelineElements: [CommandExpressionAst only] }
            && (membersToo || only.Redirections.Count == 0) ? only.Expression : null;
        while (membersToo && (root is MemberExpressionAst or IndexExpressionAst))
        {
            root = root is MemberExpressionAst member ? member.Expression : ((IndexExpressionAst)root).Target;
        }

        return root is VariableExpressionAst { Splatted: false } variable ? variable : null;
    }

    private void RequireVariable(PSCmdlet context)
    {
        if (RootOf(_pipeline, membersToo: true) is VariableExpressionAst variable && !Exists(context, variable.VariablePath))
        {
            string subject = variable.Extent.Text == _text.Trim() ? string.Empty : $"'{_text}' cannot be sent: ";
            throw new TransferException($"{subject}the variable '{variable.Extent.Text}' does not exist");
        }
    }

    private static bool Exists(PSCmdlet context, VariablePath path) => path.IsDriveQualified
        ? context.SessionState.InvokeProvider.Item.Exists(path.UserPath, force: false, literalPath: true)
        : context.SessionState.PSVariable.Get(path.UserPath) is not null;

    private static object? Invoke(PSCmdlet context, string text)
    {
        // The text is one pipeline, so the parentheses enclose all of it. The line break ends a comment in it. There are
        // two commas because both the pipeline and InvokeScript unroll a collection.
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
