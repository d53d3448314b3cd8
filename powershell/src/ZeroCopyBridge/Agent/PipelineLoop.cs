using System;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>The work of the pipeline's thread, as libzcb gives it: commands in their order, and what has arrived.</summary>
internal sealed class PipelineLoop
{
    private readonly AgentConnection _connection;
    private readonly Replies _replies;
    private readonly ConsoleDrain _console;
    private readonly TextCache<VariableTarget> _targets = new(VariableTarget.Parse);
    private readonly CommandText _text = new();
    private ulong _currentId;

    public PipelineLoop(AgentConnection connection, OutputCollector output)
    {
        _connection = connection;
        _replies = new Replies(connection, output);
        _console = new ConsoleDrain(connection, output);
        output.Large = () => _replies.SendOutput(_currentId, last: false);
    }

    /// <summary>The code of the <c>exit</c> that ended the session, otherwise 0.</summary>
    public int ExitCode { get; private set; }

    /// <summary>Does one piece of work; false when the session is over.</summary>
    public bool Step(CommandRunner runner)
    {
        switch (_connection.Next(out ZcbWork work))
        {
            case ZcbError.Ok:
                return Do(runner, in work);
            case ZcbError.Aborted:
                return true;
            case ZcbError.Closed:
                return false;
            default:
                AgentConnection.EndProcess();
                return false;
        }
    }

    private bool Do(CommandRunner runner, in ZcbWork work)
    {
        if (work.Type == ZcbWorkType.Arrival)
        {
            _currentId = work.Arrival.Id;
            Assign(runner, in work.Arrival);
            return true;
        }

        string text = _text.Of(in work.Command);
        _currentId = work.Command.Id;
        switch (work.Command.Op)
        {
            case ZcbOp.Receive:
                Receive(text);
                return true;
            case ZcbOp.Send:
                Send(runner, text, (int)work.Command.Depth);
                return true;
            default:
                return Run(runner, text, (work.Command.Flags & ZcbCommandFlags.LocalScope) != 0);
        }
    }

    private bool Run(CommandRunner runner, string text, bool localScope)
    {
        CommandOutcome outcome = runner.Run(_currentId, text, localScope);
        _console.Collect();
        _replies.CompleteRun(_currentId, in outcome);
        if (outcome.Exited)
        {
            ExitCode = outcome.ExitCode;
        }

        return !outcome.Exited;
    }

    private void Receive(string text)
    {
        try
        {
            _connection.PostReceive(_targets.Get(text));
        }
        catch (TransferException refusal)
        {
            _connection.EndTransfer(refusal.Message);
        }
    }

    private void Send(CommandRunner runner, string text, int depth)
    {
        OutgoingValue value = default;
        string? error = Transfer(runner, () => value = runner.Evaluate(text, depth));
        if (error is null && !_connection.PostSend(in value))
        {
            error = $"'{text}' cannot be sent: the lease was disposed of";
        }

        if (error is not null)
        {
            _connection.EndTransfer(error);
        }
    }

    private void Assign(CommandRunner runner, in ZcbArrival arrival)
    {
        var target = (VariableTarget)RuntimeCalls.Take(arrival.Target);
        object message = MessageOf(in arrival);
        bool serialized = arrival.Kind == ZcbKind.CliXml;
        string? error = Transfer(runner, () =>
            target.Assign(runner.Context, serialized ? CliXml.Deserialize((byte[])message) : message));
        _connection.EndTransfer(error);
    }

    private static object MessageOf(in ZcbArrival arrival)
    {
        if (arrival.Memory == 0)
        {
            return new Lease(new LeasedMemory(arrival.Lease), isReadOnly: true, isInPlace: true);
        }

        var array = (byte[])RuntimeCalls.Take(arrival.Memory);
        bool lease = (arrival.Flags & ZcbCommandFlags.Lease) != 0 && arrival.Kind == ZcbKind.Bytes;
        return lease ? Lease.Of(array) : array;
    }

    /// <summary>Does the part of a transfer that needs the engine, and sends what it has written; why it failed, or null.</summary>
    private string? Transfer(CommandRunner runner, Action work)
    {
        string? error = runner.Transfer(_currentId, work);
        _console.Collect();
        _replies.SendOutput(_currentId, last: true);
        return error;
    }
}
