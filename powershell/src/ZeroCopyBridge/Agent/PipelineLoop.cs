using System;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Agent;

/// <summary>The loop of the pipeline thread: takes the commands in order and executes them.</summary>
internal sealed class PipelineLoop
{
    private readonly AgentConnection _connection;
    private readonly EngineSession _session;
    private readonly Bridges _bridges;
    private readonly Arrivals _arrivals;
    private readonly Replies _replies;
    private readonly ConsoleDrain _console;
    private readonly TextCache<VariableTarget> _targets = new(VariableTarget.Parse);
    private readonly CommandText _text = new();
    private readonly ZcbWait _untilWoken;
    private readonly ZcbWait _untilCommand;
    private Inbox? _served;
    private ZcbCommand? _held; // taken, to be executed after a stop that hit something else
    private ulong _currentId;

    public PipelineLoop(AgentConnection connection, EngineSession session, Bridges bridges, Arrivals arrivals, Replies replies)
    {
        _connection = connection;
        _session = session;
        _bridges = bridges;
        _arrivals = arrivals;
        _replies = replies;
        _console = new ConsoleDrain(connection, session.Output);
        _untilWoken = arrivals.Wake.Wait;
        _untilCommand = connection.UntilCommand(arrivals.Wake);
        session.Output.Large = () => _replies.SendOutput(_currentId, last: false);
    }

    /// <summary>The code of the <c>exit</c> that ended the session, otherwise 0.</summary>
    public int ExitCode { get; private set; }

    /// <summary>Executes one command, or assigns what has arrived; false if the session is over.</summary>
    public bool Step(CommandRunner runner)
    {
        AssignArrivals(runner);
        if (_session.StopRequested)
        {
            return true; // a stop ends the outer pipeline; the next command runs in a new one
        }

        if (_held is ZcbCommand held)
        {
            _held = null;
            return Carry(runner, in held);
        }

        if (_served is not null)
        {
            _connection.Flush();
        }

        switch (_served?.Serve(in _untilCommand))
        {
            case Inbox.Served.Message:
                return true;
            case Inbox.Served.Over:
                _served = null;
                break;
        }

        ZcbError error = _connection.Next(out ZcbCommand command, in _untilWoken);
        switch (error)
        {
            case ZcbError.Ok:
                return Carry(runner, in command);
            case ZcbError.Cancelled:
                _arrivals.Wake.Reset();
                return true;
            case ZcbError.Aborted:
                return true;
            case ZcbError.Closed:
                return false;
            default:
                AgentConnection.EndProcess();
                return false;
        }
    }

    private bool Carry(CommandRunner runner, in ZcbCommand command)
    {
        // Data that was sent before this command was submitted must be in its variable before the command runs.
        _bridges.CatchUp();
        AssignArrivals(runner);
        if (_session.StopRequested)
        {
            _held = command; // its text stays valid until the next call of Next
            return true;
        }

        _connection.Flush();
        _currentId = command.Id;
        if (!_session.Take(command.Id))
        {
            Drop(in command);
            return true;
        }

        string text = _text.Of(in command);
        switch (command.Op)
        {
            case ZcbOp.Run:
                Serve(null);
                return Run(runner, in command, text);
            case ZcbOp.Receive:
                Receive(runner, in command, text);
                return true;
            case ZcbOp.Send:
                Serve(null);
                Send(runner, in command, text);
                return true;
            default:
                AgentConnection.EndProcess();
                return false;
        }
    }

    /// <summary>Switches to another inbox, or to none. The old inbox goes on without the pipeline.</summary>
    private void Serve(Inbox? inbox)
    {
        if (_served is not null && _served != inbox)
        {
            _served.HandOver();
        }

        _served = inbox;
    }

    /// <summary>Ends a command that was stopped before its turn.</summary>
    private void Drop(in ZcbCommand command)
    {
        switch (command.Op)
        {
            case ZcbOp.Receive:
                TryGetBridge(in command, out _)?.Inbox.Skip(command.Id);
                break;
            case ZcbOp.Send:
                TryGetBridge(in command, out _)?.Outbox.Post(PostedSend.Error(command.Id, Outbox.StoppedText), in _untilCommand);
                break;
        }

        _replies.CompleteStopped(command.Id, refused: command.Op == ZcbOp.Receive);
    }

    private bool Run(CommandRunner runner, in ZcbCommand command, string text)
    {
        CommandOutcome outcome = runner.Run(text, (command.Flags & ZcbCommandFlags.LocalScope) != 0);
        _console.Collect();
        _replies.CompleteRun(command.Id, in outcome);
        if (outcome.Exited)
        {
            ExitCode = outcome.ExitCode;
        }

        return !outcome.Exited;
    }

    private void Receive(CommandRunner runner, in ZcbCommand command, string text)
    {
        Bridge? bridge = TryGetBridge(in command, out string? failure);
        VariableTarget? target = null;
        if (bridge is not null)
        {
            target = TryGetTarget(text, out failure);
        }

        bool stopped = _session.Leave();
        if (target is null || stopped)
        {
            bridge?.Inbox.Skip(command.Id);
            if (stopped)
            {
                _replies.CompleteStopped(command.Id, refused: true);
            }
            else
            {
                _replies.FailTransfer(command.Id, failure!, refused: true);
            }

            return;
        }

        bool takeQueued = (command.Flags & ZcbCommandFlags.TakeQueued) != 0;
        bool lease = (command.Flags & ZcbCommandFlags.Lease) != 0;
        if (bridge!.Inbox.Post(new PostedReceive(command.Id, target, takeQueued, lease)))
        {
            Serve(bridge.Inbox);
        }
    }

    private void Send(CommandRunner runner, in ZcbCommand command, string text)
    {
        ulong id = command.Id;
        int depth = (int)command.Depth;
        if (TryGetBridge(in command, out string? failure) is not Bridge bridge)
        {
            _session.Leave();
            _replies.FailTransfer(id, failure!, refused: true);
            return;
        }

        OutgoingValue value = default;
        TransferOutcome outcome = runner.Transfer(id, () => value = runner.Evaluate(text, depth));
        SendText(id);
        if (outcome.StopRequested)
        {
            bridge.Outbox.Post(PostedSend.Error(id, Outbox.StoppedText), in _untilCommand);
            _replies.CompleteStopped(id);
        }
        else if (outcome.Done && PostedSend.TryValue(id, in value) is PostedSend message)
        {
            bridge.Outbox.Post(message, in _untilCommand);
        }
        else
        {
            string error = outcome.Error ?? $"'{text}' cannot be sent: the lease was disposed of";
            bridge.Outbox.Post(PostedSend.Error(id, error), in _untilCommand);
            _replies.FailTransfer(id, error, refused: false, outcome.Elapsed);
        }
    }

    private void AssignArrivals(CommandRunner runner)
    {
        while (!_session.StopRequested && _arrivals.TryTake(out Arrival arrival))
        {
            _connection.Flush();
            Assign(runner, arrival);
        }
    }

    private void Assign(CommandRunner runner, Arrival arrival)
    {
        ulong id = arrival.Receive.Id;
        _currentId = id;
        TransferOutcome outcome = runner.Transfer(id, () =>
        {
            object? value = arrival.Kind == ZcbKind.CliXml ? CliXml.Deserialize((byte[])arrival.Payload) : arrival.Payload;
            arrival.Receive.Target.Assign(runner.Context, value);
        });
        SendText(id);
        if (outcome.Done)
        {
            _replies.CompleteTransfer(id, outcome.Elapsed);
        }
        else if (outcome.StopRequested)
        {
            _replies.CompleteStopped(id);
        }
        else
        {
            _replies.FailTransfer(id, outcome.Error!, refused: false, outcome.Elapsed);
        }
    }

    private void SendText(ulong id)
    {
        _console.Collect();
        _replies.SendOutput(id, last: true);
    }

    private Bridge? TryGetBridge(in ZcbCommand command, out string? failure)
    {
        failure = Bridge.ClosedText;
        try
        {
            return _bridges.Get(command.Channel);
        }
        catch (ZcbException error)
        {
            failure = error.Message;
            return null;
        }
    }

    private VariableTarget? TryGetTarget(string text, out string? failure)
    {
        failure = null;
        try
        {
            return _targets.Get(text);
        }
        catch (TransferException error)
        {
            failure = error.Message;
            return null;
        }
    }
}
