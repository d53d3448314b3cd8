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
            ZcbFields fields = Fields(bytes);
            _connection.Output(id, ref fields);
        }

        _texts.Clear();
    }

    /// <summary>Ends a RUN command with what is left of its text.</summary>
    public void CompleteRun(ulong id, in CommandOutcome outcome)
    {
        _output.MoveTo(_texts, last: true);
        fixed (byte* bytes = _texts.Bytes)
        {
            _connection.Complete(new ZcbResult
            {
                Id = id,
                Status = outcome.Exited ? ZcbStatus.Exited : outcome.Stopped ? ZcbStatus.Stopped : ZcbStatus.Done,
                Success = outcome.Success ? (byte)1 : (byte)0,
                ExitCode = outcome.ExitCode,
                ExecutionNs = outcome.Elapsed.Ticks * NanosecondsPerTick,
                Fields = Fields(bytes),
            });
        }

        _texts.Clear();
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
}
