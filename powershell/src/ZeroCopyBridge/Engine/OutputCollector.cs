using System;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// Collects what the running command writes. Any thread may write, because timers and parallel runspaces use the same
/// host. Only the thread that runs the commands empties the collector.
/// </summary>
internal sealed class OutputCollector
{
    private readonly object _lock = new();
    private readonly TextField[] _fields = new TextField[OutputTexts.Fields];
    private readonly int _pieceChars;
    private int _ownerThreadId;
    private int _errorDepth;

    /// <param name="pieceChars">A field longer than this counts as large.</param>
    public OutputCollector(int pieceChars = 64 * 1024)
    {
        _pieceChars = pieceChars;
        for (int i = 0; i < _fields.Length; i++)
        {
            _fields[i] = new TextField();
        }
    }

    /// <summary>Called on the owner's thread when a field has become large. It empties the collector while the command runs.</summary>
    public Action? Large { get; set; }

    /// <summary>Makes the calling thread the owner, which runs the commands.</summary>
    public void Own() => _ownerThreadId = Environment.CurrentManagedThreadId;

    public void Write(OutputField field, ReadOnlySpan<char> text) => Append(field, text, line: false);

    public void WriteLine(OutputField field, ReadOnlySpan<char> text) => Append(field, text, line: true);

    /// <summary>Until <see cref="EndErrors"/>, output of the owner's thread goes to the error text.</summary>
    public void BeginErrors() => _errorDepth++;

    public void EndErrors() => _errorDepth--;

    /// <summary>Moves all collected text into <paramref name="texts"/>.</summary>
    /// <param name="texts">Must be empty.</param>
    /// <param name="last">True at the end of a command.</param>
    public void MoveTo(OutputTexts texts, bool last)
    {
        lock (_lock)
        {
            for (int i = 0; i < _fields.Length; i++)
            {
                texts.Take(i, _fields[i], last);
            }
        }
    }

    private void Append(OutputField field, ReadOnlySpan<char> text, bool line)
    {
        bool owner = Environment.CurrentManagedThreadId == _ownerThreadId;
        if (owner && _errorDepth > 0 && field == OutputField.Out)
        {
            field = OutputField.Err;
        }

        bool large;
        lock (_lock)
        {
            TextField target = _fields[(int)field];
            target.Append(text);
            if (line)
            {
                target.Append(Environment.NewLine);
            }

            large = target.Length > _pieceChars;
        }

        if (large && owner)
        {
            Large?.Invoke();
        }
    }
}
