using System.Text.RegularExpressions;

namespace ZeroCopyBridge.Engine;

/// <summary>Removes the escape sequences that PowerShell itself removes if the output isn't a terminal.</summary>
internal static partial class AnsiText
{
    private const char Escape = '\x1b';

    // The three groups of PSStyle's plain text rendering: graphics mode, private modes, hyperlinks.
    private const string Pattern = @"\x1b\[\d*(;\d+)*m|\x1b\[\?\d+[hl]|\x1b\]8;;.*?\x1b\\";

    public static bool Contains(string text) => text.IndexOf(Escape) >= 0;

    public static string Strip(string text) => Contains(text) ? Sequences().Replace(text, string.Empty) : text;

#if NET
    [GeneratedRegex(Pattern, RegexOptions.CultureInvariant)]
    private static partial Regex Sequences();
#else
    private static readonly Regex _sequences = new Regex(Pattern, RegexOptions.CultureInvariant);

    private static Regex Sequences() => _sequences;
#endif
}
