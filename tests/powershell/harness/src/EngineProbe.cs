using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using System.Threading;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Testing;

/// <summary>An engine session on a thread of its own, driven as the agent drives it but without a channel.</summary>
public sealed class EngineProbe : IDisposable
{
    private readonly BlockingCollection<Action<CommandRunner>> _work = [];
    private readonly StringBuilder[] _texts = new StringBuilder[7];
    private readonly OutputTexts _pieces = new();
    private readonly TextCache<VariableTarget> _targets = new(VariableTarget.Parse);
    private readonly EngineSession _session;
    private readonly Thread _thread;
    private int _largestPiece;
    private ulong _lastId;

    public EngineProbe(int width = 120)
    {
        for (int i = 0; i < _texts.Length; i++)
        {
            _texts[i] = new StringBuilder();
        }

        var output = new OutputCollector();
        output.Large = () => Take(last: false);
        _session = new EngineSession(output, width);
        _thread = new Thread(() => _session.Run(Step), EngineSession.StackBytes) { IsBackground = true, Name = "engine probe" };
        _thread.Start();
    }

    public ProbeResult Run(string text, bool localScope = false)
    {
        ProbeResult? result = null;
        Do(runner =>
        {
            CommandOutcome outcome = runner.Run(++_lastId, text, localScope);
            Take(last: true);
            result = Describe(outcome);
        });
        return result!;
    }

    /// <summary>Starts a command, stops it after a while and returns its result with the time from the stop to the end.</summary>
    public (ProbeResult Result, TimeSpan Latency) RunAndStop(string text, int afterMilliseconds)
    {
        ulong id = _lastId + 1;
        long stopped = 0;
        using var timer = new Timer(
            _ =>
            {
                stopped = Stopwatch.GetTimestamp();
                _session.Stop(id);
            },
            null, afterMilliseconds, Timeout.Infinite);
        ProbeResult result = Run(text);
        return (result, Stopwatch.GetElapsedTime(stopped));
    }

    /// <summary>The median cost in microseconds of running the same text again and again, collector and formatter included.</summary>
    public double Measure(string text, int count, bool fresh = false)
    {
        double median = 0;
        Do(runner =>
        {
            var ticks = new long[count];
            for (int i = 0; i < count; i++)
            {
                string command = fresh ? text + " #" + i : text;
                long start = Stopwatch.GetTimestamp();
                runner.Run(++_lastId, command, localScope: false);
                Take(last: true);
                ticks[i] = Stopwatch.GetTimestamp() - start;
                Array.ForEach(_texts, static text => text.Clear());
            }

            Array.Sort(ticks);
            median = ticks[count / 2] * 1e6 / Stopwatch.Frequency;
        });
        return median;
    }

    /// <summary>Catches the console of this process until the result is disposed.</summary>
    public IDisposable CaptureConsole() => new ConsoleCapture(_session.Output);

    /// <summary>Assigns a value as a posted receive does; returns why not, or null.</summary>
    public string? Assign(string target, object? value)
    {
        string? error = null;
        Do(runner => error = runner.Transfer(++_lastId, () => _targets.Get(target).Assign(runner.Context, value)));
        return error;
    }

    /// <summary>Evaluates an expression as a posted send does.</summary>
    public ProbeValue Evaluate(string expression, int depth = 0)
    {
        ProbeValue? result = null;
        Do(runner =>
        {
            OutgoingValue value = default;
            string? error = runner.Transfer(++_lastId, () => value = runner.Evaluate(expression, depth));
            Take(last: true);
            Array.ForEach(_texts, static text => text.Clear());
            result = new ProbeValue { Error = error, IsCliXml = value.IsCliXml, Bytes = value.Bytes };
        });
        return result!;
    }

    /// <summary>Runs a piece of work on the session's thread and waits for it.</summary>
    internal void Do(Action<CommandRunner> work)
    {
        using var done = new ManualResetEventSlim();
        Exception? failure = null;
        _work.Add(runner =>
        {
            try
            {
                work(runner);
            }
            catch (Exception error)
            {
                failure = error;
            }
            finally
            {
                done.Set();
            }
        });
        done.Wait();
        if (failure is not null)
        {
            throw new InvalidOperationException(failure.Message, failure);
        }
    }

    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }

    private bool Step(CommandRunner runner)
    {
        if (!_work.TryTake(out Action<CommandRunner>? work, Timeout.Infinite))
        {
            return false;
        }

        work(runner);
        return true;
    }

    private void Take(bool last)
    {
        _session.Output.MoveTo(_pieces, last);
        ReadOnlySpan<byte> rest = _pieces.Bytes;
        for (int i = 0; i < OutputTexts.Fields; i++)
        {
            ReadOnlySpan<byte> utf8 = rest[.._pieces.Lengths[i]];
            rest = rest[utf8.Length..];
            _largestPiece = Math.Max(_largestPiece, utf8.Length);
            if (utf8.Length > 0)
            {
                _texts[i].Append(Encoding.UTF8.GetString(utf8));
            }
        }

        _pieces.Clear();
    }

    private ProbeResult Describe(CommandOutcome outcome)
    {
        string Text(OutputField field)
        {
            string text = _texts[(int)field].ToString();
            _texts[(int)field].Clear();
            return text;
        }

        int largest = _largestPiece;
        _largestPiece = 0;
        return new ProbeResult
        {
            Out = Text(OutputField.Out),
            Err = Text(OutputField.Err),
            Warning = Text(OutputField.Warning),
            Verbose = Text(OutputField.Verbose),
            Debug = Text(OutputField.Debug),
            Information = Text(OutputField.Information),
            Progress = Text(OutputField.Progress),
            Success = outcome.Success,
            ExitCode = outcome.ExitCode,
            Exited = outcome.Exited,
            Stopped = outcome.Stopped,
            Elapsed = outcome.Elapsed,
            LargestPiece = largest,
        };
    }
}
