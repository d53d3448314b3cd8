using System;
using System.Text;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// Sends results to the program. Errors of the connection aren't reported: they mean that the program is gone, and
/// then the listener ends the process.
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

    /// <summary>Makes the calling thread the pipeline thread.</summary>
    public void Own() => _pipelineThreadId = Environment.CurrentManagedThreadId;

    /// <summary>Sends what the command has written so far. The pipeline thread only.</summary>
    public void SendOutput(ulong id, bool last)
    {
        _output.MoveTo(_texts, last);
        if (_texts.IsEmpty)
        {
            return;
        }

        fixed (byte* bytes = _texts.Bytes)
        {
            ZcbFields fields = Fields(bytes);
            _connection.Output(id, ref fields);
        }

        _texts.Clear();
    }

    /// <summary>Ends a RUN command with the rest of its text. The pipeline thread only.</summary>
    public void CompleteRun(ulong id, in CommandOutcome outcome)
    {
        _output.MoveTo(_texts, last: true);
        fixed (byte* bytes = _texts.Bytes)
        {
            Complete(new ZcbResult
            {
                Id = id,
                Status = outcome.Exited ? ZcbStatus.Exited : outcome.Stopped ? ZcbStatus.Stopped : ZcbStatus.Done,
                Success = outcome.Success ? (byte)1 : (byte)0,
                ExitCode = outcome.ExitCode,
                ExecutionNs = Nanoseconds(outcome.Elapsed),
                Fields = Fields(bytes),
            });
        }

        _texts.Clear();
    }

    /// <summary>Ends a transfer that arrived. Any thread.</summary>
    public void CompleteTransfer(ulong id, TimeSpan elapsed) =>
        Complete(new ZcbResult { Id = id, Status = ZcbStatus.Done, Success = 1, ExecutionNs = Nanoseconds(elapsed) });

    /// <summary>Ends a transfer that failed. Any thread.</summary>
    /// <param name="id">The transfer.</param>
    /// <param name="error">Why, for the user.</param>
    /// <param name="refused">True if it is a receive that took no message.</param>
    /// <param name="elapsed">The time the engine spent on it.</param>
    public void FailTransfer(ulong id, string error, bool refused, TimeSpan elapsed = default) =>
        Complete(id, ZcbStatus.Done, error, refused, elapsed);

    /// <summary>Ends a command that was stopped before it was done. Any thread.</summary>
    public void CompleteStopped(ulong id, bool refused = false) =>
        Complete(id, ZcbStatus.Stopped, string.Empty, refused, default);

    private void Complete(ulong id, ZcbStatus status, string error, bool refused, TimeSpan elapsed)
    {
        byte[] text = Encoding.UTF8.GetBytes(error);
        var result = new ZcbResult
        {
            Id = id,
            Status = status,
            Refused = refused ? (byte)1 : (byte)0,
            ExitCode = 1,
            ExecutionNs = Nanoseconds(elapsed),
        };
        fixed (byte* bytes = text)
        {
            result.Fields[(int)OutputField.Err] = new ZcbText { Text = bytes, Bytes = (nuint)text.Length };
            Complete(in result);
        }
    }

    /// <summary>If there is no memory for the texts, the program still learns that the command has ended.</summary>
    private void Complete(in ZcbResult result)
    {
        bool soon = Environment.CurrentManagedThreadId == _pipelineThreadId;
        if (_connection.Complete(in result, soon) == ZcbError.NoMemory)
        {
            ZcbResult bare = result;
            bare.Fields = default;
            _connection.Complete(in bare, soon);
        }
    }

    private ZcbFields Fields(byte* bytes)
    {
        ZcbFields fields = default;
        for (int i = 0; i < OutputTexts.Fields; i++)
        {
            int length = _texts.Lengths[i];
            fields[i] = new ZcbText { Text = length > 0 ? bytes : null, Bytes = (nuint)length };
            bytes += length;
        }

        return fields;
    }

    private const long NanosecondsPerTick = 100;

    private static long Nanoseconds(TimeSpan elapsed) => elapsed.Ticks * NanosecondsPerTick;
}
