using System;
using System.Text;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// Answers the program. An error of the connection isn't reported: it means that the program is gone, and
/// the listener ends the process for that.
/// </summary>
internal sealed unsafe class Replies
{
    private readonly AgentConnection _connection;
    private readonly OutputCollector _output;
    private readonly OutputTexts _texts = new();
    private int _pipelineThreadId;

    public Replies(AgentConnection connection, OutputCollector output)
    {
        _connection = connection;
        _output = output;
    }

    /// <summary>Makes the calling thread the pipeline's.</summary>
    public void Own() => _pipelineThreadId = Environment.CurrentManagedThreadId;

    /// <summary>Sends what the command has written so far. The pipeline's thread only.</summary>
    public void SendOutput(ulong id, bool last)
    {
        _output.MoveTo(_texts, last);
        if (_texts.IsEmpty)
        {
            return;
        }

        fixed (byte* bytes = _texts.Bytes)
        {
            Span<ZcbPart> parts = stackalloc ZcbPart[OutputTexts.Fields];
            _connection.Output(id, parts.Slice(0, Parts(bytes, parts)));
        }

        _texts.Clear();
    }

    /// <summary>Ends a RUN command with what is left of its text. The pipeline's thread only.</summary>
    public void CompleteRun(ulong id, in CommandOutcome outcome)
    {
        _output.MoveTo(_texts, last: true);
        fixed (byte* bytes = _texts.Bytes)
        {
            Span<ZcbPart> parts = stackalloc ZcbPart[OutputTexts.Fields];
            var completion = new ZcbCompletion
            {
                Status = outcome.Exited ? ZcbStatus.Exited : outcome.Stopped ? ZcbStatus.Stopped : ZcbStatus.Done,
                Success = outcome.Success ? (byte)1 : (byte)0,
                ExitCode = outcome.ExitCode,
                ExecutionNs = Nanoseconds(outcome.Elapsed),
            };
            Complete(id, in completion, parts.Slice(0, Parts(bytes, parts)));
        }

        _texts.Clear();
    }

    /// <summary>Ends a transfer that arrived. Any thread.</summary>
    public void CompleteTransfer(ulong id, TimeSpan elapsed) =>
        Complete(id, new ZcbCompletion { Status = ZcbStatus.Done, Success = 1, ExecutionNs = Nanoseconds(elapsed) }, []);

    /// <summary>Ends a transfer that failed. Any thread.</summary>
    /// <param name="id">The transfer.</param>
    /// <param name="error">Why, for the user.</param>
    /// <param name="refused">True for a receive that took no message.</param>
    /// <param name="elapsed">The time the engine spent on it.</param>
    public void FailTransfer(ulong id, string error, bool refused, TimeSpan elapsed = default) =>
        Complete(id, ZcbStatus.Done, error, refused, elapsed);

    /// <summary>Ends a command that was stopped before it was done. Any thread.</summary>
    public void CompleteStopped(ulong id, bool refused = false) =>
        Complete(id, ZcbStatus.Stopped, string.Empty, refused, default);

    private void Complete(ulong id, ZcbStatus status, string error, bool refused, TimeSpan elapsed)
    {
        byte[] text = Encoding.UTF8.GetBytes(error);
        var completion = new ZcbCompletion
        {
            Status = status,
            Refused = refused ? (byte)1 : (byte)0,
            ExitCode = 1,
            ExecutionNs = Nanoseconds(elapsed),
        };
        fixed (byte* bytes = text)
        {
            var part = new ZcbPart { Kind = ZcbPartKind.Err, Data = bytes, Bytes = (nuint)text.Length };
            Complete(id, in completion, new ReadOnlySpan<ZcbPart>(&part, text.Length > 0 ? 1 : 0));
        }
    }

    private void Complete(ulong id, in ZcbCompletion completion, ReadOnlySpan<ZcbPart> parts) =>
        _connection.Complete(id, in completion, parts, soon: Environment.CurrentManagedThreadId == _pipelineThreadId);

    /// <summary>The texts that are there as parts; returns how many.</summary>
    private int Parts(byte* bytes, Span<ZcbPart> parts)
    {
        int count = 0;
        for (int i = 0; i < OutputTexts.Fields; i++)
        {
            int length = _texts.Lengths[i];
            if (length > 0)
            {
                parts[count++] = new ZcbPart { Kind = ZcbPartKind.Out + (uint)i, Data = bytes, Bytes = (nuint)length };
            }

            bytes += length;
        }

        return count;
    }

    private const long NanosecondsPerTick = 100;

    private static long Nanoseconds(TimeSpan elapsed) => elapsed.Ticks * NanosecondsPerTick;
}
