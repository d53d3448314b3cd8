using System.Management.Automation;
using System.Management.Automation.Language;

namespace ZeroCopyBridge.Engine;

/// <summary>Recognizes commands that can't be run as plain statements.</summary>
internal static class CommandKind
{
    /// <summary>True for the body of a script block: a text with a parameter block, or with begin, process, end and the like.</summary>
    public static bool IsBlock(ScriptBlock command) =>
        command.Ast is ScriptBlockAst ast
        && (ast.ParamBlock is not null
            || ast.DynamicParamBlock is not null
            || ast.BeginBlock is not null
            || ast.ProcessBlock is not null
            || ast.EndBlock is not { Unnamed: true });
}
