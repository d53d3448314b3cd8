using System;
using System.Management.Automation.Language;

namespace ZeroCopyBridge.Values;

/// <summary>Decides which expressions may be assigned to: those whose evaluation calls nothing.</summary>
internal static class TargetRules
{
    /// <summary>Why <paramref name="place"/> can't be assigned to; null if it can.</summary>
    public static string? WhyNot(ExpressionAst place) => place switch
    {
        ConvertExpressionAst cast => cast.Child is VariableExpressionAst or ConvertExpressionAst
            ? WhyNot(cast.Child)
            : "a type can only stand before a variable",
        _ => WhyNotReadable(place),
    };

    private static string? WhyNotReadable(ExpressionAst place) => place switch
    {
        VariableExpressionAst variable => WhyNotVariable(variable),
        InvokeMemberExpressionAst => "it calls a method",
        MemberExpressionAst { Static: true } => "it names a static member",
        MemberExpressionAst member => member.Member is StringConstantExpressionAst
            ? WhyNotReadable(member.Expression)
            : "the name of its property is computed",
        IndexExpressionAst index => WhyNotIndex(index.Index) ?? WhyNotReadable(index.Target),
        ArrayLiteralAst => "it names more than one place",
        ParenExpressionAst or SubExpressionAst or ArrayExpressionAst or ScriptBlockExpressionAst =>
            "it contains a command",
        _ => "it is not a variable, a property or an element",
    };

    private static string? WhyNotVariable(VariableExpressionAst variable)
    {
        if (variable.Splatted)
        {
            return "it is splatted";
        }

        if (variable.VariablePath.IsDriveQualified
            && !string.Equals(variable.VariablePath.DriveName, "env", StringComparison.OrdinalIgnoreCase))
        {
            return $"'{variable.VariablePath.DriveName}:' is neither a scope nor the env: drive";
        }

        return null;
    }

    private static string? WhyNotIndex(ExpressionAst index) => index switch
    {
        ConstantExpressionAst => null,
        UnaryExpressionAst { TokenKind: TokenKind.Minus, Child: ConstantExpressionAst } => null,
        VariableExpressionAst variable => WhyNotVariable(variable),
        _ => "its index is neither a constant nor a variable",
    };
}
