using System;
using System.Collections.Generic;

namespace ZeroCopyBridge.Values;

/// <summary>Keeps the targets that were used before: a program receives into few variables, many times.</summary>
internal sealed class TargetCache
{
    private const int Capacity = 256;

    private readonly Dictionary<string, VariableTarget> _targets = new(StringComparer.Ordinal);

    /// <exception cref="TransferException">The text names no place that can be assigned to.</exception>
    public VariableTarget Get(string text)
    {
        if (_targets.TryGetValue(text, out VariableTarget? known))
        {
            return known;
        }

        VariableTarget target = VariableTarget.Parse(text);
        if (_targets.Count == Capacity)
        {
            _targets.Clear();
        }

        _targets.Add(text, target);
        return target;
    }
}
