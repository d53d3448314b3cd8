using System;
using System.Collections.Generic;

namespace ZeroCopyBridge.Values;

/// <summary>Caches parsed texts, because a program uses few variables and expressions many times.</summary>
/// <typeparam name="T">The type of a parsed text.</typeparam>
internal sealed class TextCache<T>
{
    private const int Capacity = 256;

    private readonly Dictionary<string, T> _known = new(StringComparer.Ordinal);
    private readonly Func<string, T> _parse;

    /// <param name="parse">Parses a text; may throw.</param>
    public TextCache(Func<string, T> parse) => _parse = parse;

    /// <summary>The parsed text. Throws what parsing it throws.</summary>
    public T Get(string text)
    {
        if (_known.TryGetValue(text, out T? known))
        {
            return known;
        }

        T parsed = _parse(text);
        if (_known.Count == Capacity)
        {
            _known.Clear();
        }

        _known.Add(text, parsed);
        return parsed;
    }
}
