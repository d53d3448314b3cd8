using System;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>
/// Answers the program's RUN commands. An error of the connection isn't reported: it means that the program is gone,
/// and the listener ends the process for that.
/// </summary>
internal sealed unsafe class Replies
{
    private const long NanosecondsPerTick = 100;

    private readonly AgentConnection _connection;
    private readonly OutputCollector _output;
    private readonly OutputTexts _texts = new();

    public Replies(AgentConnection connection, OutputCollector output)
    {
        _connection = connection;
        _output = output;
    }

    /// <summary>Sends what the command has written so far.</summary>
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

    /// <summary>Ends a RUN command with what is left of its text.</summary>
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
                ExecutionNs = outcome.Elapsed.Ticks * NanosecondsPerTick,
            };
            _connection.Complete(id, in completion, parts.Slice(0, Parts(bytes, parts)));
        }

        _texts.Clear();
    }

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
}
