using System;
using System.Collections.Generic;

namespace ZeroCopyBridge.Values;

/// <summary>Keeps what was parsed before: a program uses few variables and expressions, many times.</summary>
/// <typeparam name="T">What a text means.</typeparam>
internal sealed class TextCache<T>
{
    private const int Capacity = 256;

    private readonly Dictionary<string, T> _known = new(StringComparer.Ordinal);
    private readonly Func<string, T> _parse;

    /// <param name="parse">Finds out what a text means; may throw.</param>
    public TextCache(Func<string, T> parse) => _parse = parse;

    /// <summary>What the text means; throws what parsing it throws.</summary>
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
