using System;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace ZeroCopyBridge.Values;

/// <summary>
/// A place to assign a value to: <c>$x</c>, <c>$env:X</c>, <c>$h.key</c>, <c>$a[3]</c>, <c>[byte[]]$x</c>. The text
/// is parsed and checked. It is never pasted into a script.
/// </summary>
internal sealed class VariableTarget
{
    private readonly string _text;
    private readonly string? _plainName;
    private readonly ExpressionAst _place;
    private readonly ValueBox _box = new();
    private ScriptBlock? _assignment;

    private VariableTarget(string text, ExpressionAst place)
    {
        _text = text;
        _place = place;
        _plainName = place is VariableExpressionAst { VariablePath.IsDriveQualified: false } variable
            ? variable.VariablePath.UserPath
            : null;
    }

    /// <exception cref="TransferException">The text names no place that can be assigned to.</exception>
    public static VariableTarget Parse(string text)
    {
        ScriptBlockAst script = Parser.ParseInput(text, out _, out ParseError[] errors);
        if (errors.Length > 0)
        {
            throw Refuse(text, errors[0].Message);
        }

        ExpressionAst place = OnlyExpression(script)
            ?? throw Refuse(text, "it is not a single variable, property or element");
        if (TargetRules.WhyNot(place) is string reason)
        {
            throw Refuse(text, reason);
        }

        return new VariableTarget(text, place);
    }

    /// <exception cref="TransferException">PowerShell refused the assignment.</exception>
    public void Assign(PSCmdlet context, object? value)
    {
        try
        {
            if (_plainName is not null)
            {
                context.SessionState.PSVariable.Set(_plainName, value);
            }
            else
            {
                AssignByStatement(context, value);
            }
        }
        catch (Exception failure) when (failure is RuntimeException and not PipelineStoppedException)
        {
            throw new TransferException($"The value cannot be assigned to '{_text}': {failure.Message}", failure);
        }
    }

    private static ExpressionAst? OnlyExpression(ScriptBlockAst script)
    {
        bool plain = script is { ParamBlock: null, BeginBlock: null, ProcessBlock: null, DynamicParamBlock: null, EndBlock: { Unnamed: true, Traps: null or { Count: 0 } } };
        return plain
            && script.UsingStatements.Count == 0
            && script.EndBlock.Statements is [PipelineAst { PipelineElements: [CommandExpressionAst { Redirections.Count: 0 } only] }]
            ? only.Expression
            : null;
    }

    private static TransferException Refuse(string text, string reason) =>
        new($"'{text}' cannot receive a value: {reason}");

    private void AssignByStatement(PSCmdlet context, object? value)
    {
        _box.Value = value;
        try
        {
            _assignment ??= BuildAssignment();
            context.InvokeCommand.InvokeScript(useLocalScope: false, _assignment, Array.Empty<object>());
        }
        finally
        {
            _box.Value = null;
        }
    }

    // The statement reads the value from a box, so that it is compiled once for all values.
    private ScriptBlock BuildAssignment()
    {
        IScriptExtent extent = _place.Extent;
        var value = new MemberExpressionAst(
            extent,
            new ConstantExpressionAst(extent, _box),
            new StringConstantExpressionAst(extent, nameof(ValueBox.Value), StringConstantType.BareWord),
            @static: false);
        var assignment = new AssignmentStatementAst(
            extent,
            (ExpressionAst)_place.Copy(),
            TokenKind.Equals,
            new CommandExpressionAst(extent, value, redirections: null),
            extent);
        var statements = new StatementBlockAst(extent, [assignment], traps: null);
        return new ScriptBlockAst(extent, paramBlock: null, statements, isFilter: false).GetScriptBlock();
    }
}
