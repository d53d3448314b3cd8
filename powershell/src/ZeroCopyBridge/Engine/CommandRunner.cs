using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Values;

namespace ZeroCopyBridge.Engine;

/// <summary>Runs commands as a prompt does, one after the other, on the session's thread.</summary>
internal sealed class CommandRunner
{
    private const PipelineResultTypes ToTheSink = PipelineResultTypes.Output | PipelineResultTypes.Error;

    private readonly EngineHost _host;
    private readonly OutputCollector _output;
    private readonly StopGate _gate;
    private readonly OutputFormatter _formatter;
    private readonly TextCache<SendExpression> _expressions = new(SendExpression.Parse);
    private readonly List<ErrorRecord> _errors = [];
    private LoopCommand _loop = null!;

    public CommandRunner(EngineHost host, OutputCollector output, StopGate gate)
    {
        _host = host;
        _output = output;
        _gate = gate;
        _formatter = new OutputFormatter(output);
    }

    /// <summary>The number of columns of formatted text.</summary>
    public int Width
    {
        get => _host.Width;
        set => _host.Width = value;
    }

    /// <summary>The session state in which commands run.</summary>
    public PSCmdlet Context => _loop;

    /// <summary>Runs a command, which can be stopped meanwhile; what it writes is in the collector when this returns.</summary>
    /// <param name="id">The command.</param>
    /// <param name="text">PowerShell source text.</param>
    /// <param name="localScope">True to run it in a child scope, false to run it as typed at a prompt.</param>
    public CommandOutcome Run(ulong id, string text, bool localScope)
    {
        long start = Stopwatch.GetTimestamp();
        _gate.Enter(id);
        object? exitCodeBefore = LastExitCode;
        Ending ending = Execute(text, localScope);
        if (!WriteErrors(plain: ending.Kind == EndingKind.Stopped))
        {
            ending = new Ending(EndingKind.Stopped, false);
        }

        bool stopRequested = _gate.Leave();
        if (ending.Kind == EndingKind.Completed && !stopRequested)
        {
            RestoreDollarHook(ending.Success);
        }

        return Describe(ending, exitCodeBefore, Runtime.Elapsed(start));
    }

    /// <summary>Does the part of a transfer that needs the engine. The command <paramref name="id"/> can be stopped meanwhile.</summary>
    /// <returns>Why it failed, or null.</returns>
    public string? Transfer(ulong id, Action work)
    {
        bool dollarHook = DollarHook;
        string? error = null;
        bool stopped = false;
        _gate.Enter(id);
        try
        {
            work();
        }
        catch (TransferException failure)
        {
            error = failure.Message;
        }
        catch (PipelineStoppedException)
        {
            stopped = true;
            error = "The transfer was stopped.";
        }
        catch (Exception failure)
        {
            // A property's own code may throw any exception. The session goes on.
            error = failure.Message;
        }

        WriteErrors(plain: stopped);
        if (!_gate.Leave())
        {
            RestoreDollarHook(dollarHook);
        }

        return error;
    }

    /// <summary>Evaluates an expression to send, inside <see cref="Transfer"/>.</summary>
    /// <exception cref="TransferException">There is no value, or it can't be serialized.</exception>
    public OutgoingValue Evaluate(string expression, int depth)
    {
        object? value = _expressions.Get(expression).Evaluate(_loop);
        if (value is null && _errors.Count > 0)
        {
            var failure = new TransferException($"'{expression}' cannot be sent: {_errors[0]}");
            _errors.Clear();
            throw failure;
        }

        return OutgoingValue.From(value, depth);
    }

    internal void Attach(LoopCommand loop) => _loop = loop;

    internal void Accept(object? value) => _formatter.Write(value);

    /// <summary>Collects the errors of the outer pipeline, and clears the other streams, which the host has already shown.</summary>
    internal void Listen(PSDataStreams streams)
    {
        streams.Error.DataAdded += (_, _) => _errors.AddRange(streams.Error.ReadAll());
        streams.Warning.DataAdded += (_, _) => streams.Warning.Clear();
        streams.Verbose.DataAdded += (_, _) => streams.Verbose.Clear();
        streams.Debug.DataAdded += (_, _) => streams.Debug.Clear();
        streams.Information.DataAdded += (_, _) => streams.Information.Clear();
        streams.Progress.DataAdded += (_, _) => streams.Progress.Clear();
    }

    private object? LastExitCode => _loop.SessionState.PSVariable.GetValue("global:LASTEXITCODE");

    private bool DollarHook => LanguagePrimitives.IsTrue(_loop.SessionState.PSVariable.GetValue("?"));

    private Ending Execute(string text, bool localScope)
    {
        try
        {
            Ending ending = InvokeToEnd(text, localScope);
            _formatter.End();
            return ending;
        }
        catch (PipelineStoppedException)
        {
            _formatter.Abandon();
            return new Ending(EndingKind.Stopped, false);
        }
    }

    private Ending InvokeToEnd(string text, bool localScope)
    {
        try
        {
            Invoke(text, localScope);
            return new Ending(EndingKind.Completed, DollarHook);
        }
        catch (ExitException exit)
        {
            return new Ending(EndingKind.Exited, true, LanguagePrimitives.ConvertTo<int>(exit.Argument));
        }
        catch (FlowControlException)
        {
            return new Ending(EndingKind.Completed, DollarHook);
        }
        catch (Exception failure) when (failure is not PipelineStoppedException)
        {
            // Any exception of a command is the command's error. The session goes on.
            Remember(failure);
            return new Ending(EndingKind.Completed, false);
        }
    }

    private void Invoke(string text, bool localScope)
    {
        ScriptBlock block = ScriptBlock.Create(text);
        if (CommandKind.IsBlock(block))
        {
            BlockPipeline.Invoke(_loop, this, block, localScope);
        }
        else
        {
            // An empty list, not null: `$input | ForEach-Object { 1 }` must see nothing.
            _loop.InvokeCommand.InvokeScript(text, localScope, ToTheSink, Array.Empty<object>());
        }
    }

    /// <summary>
    /// Writes the errors that have come. Formatted as in a console, each takes PowerShell tens of milliseconds, so this
    /// can be stopped. Plain text works even in a pipeline that is being stopped.
    /// </summary>
    /// <returns>False if it was stopped.</returns>
    private bool WriteErrors(bool plain)
    {
        bool finished = true;
        int written = 0;
        try
        {
            if (!plain && _errors.Count > 0)
            {
                _formatter.WriteErrors(_errors, ref written);
            }
        }
        catch (PipelineStoppedException)
        {
            finished = false;
        }

        for (; written < _errors.Count; written++)
        {
            _output.WriteLine(OutputField.Err, _errors[written].ToString());
        }

        _errors.Clear();
        return finished;
    }

    private void Remember(Exception failure)
    {
        ErrorRecord error = failure is IContainsErrorRecord container
            ? container.ErrorRecord
            : new ErrorRecord(failure, failure.GetType().Name, ErrorCategory.NotSpecified, targetObject: null);
        _errors.Add(error);

        // The engine adds each error to $Error, except the error of a text that doesn't parse.
        if (failure is ParseException && _loop.SessionState.PSVariable.GetValue("global:Error") is ArrayList list)
        {
            list.Insert(0, error);
        }
    }

    /// <summary>Formatting and transfers run script blocks, and these set <c>$?</c>. The next command must see the user's value.</summary>
    private void RestoreDollarHook(bool value)
    {
        if (DollarHook != value)
        {
            DollarHookMark.Set(_loop, value);
        }
    }

    private CommandOutcome Describe(Ending ending, object? exitCodeBefore, TimeSpan elapsed)
    {
        if (_host.ExitRequest is int requested)
        {
            _host.ExitRequest = null;
            ending = new Ending(EndingKind.Exited, true, requested);
        }

        if (ending.Kind == EndingKind.Exited)
        {
            return new CommandOutcome(ending.ExitCode == 0, ending.ExitCode, Exited: true, Stopped: false, elapsed);
        }

        // Each native command stores its code in a new object. So another object means that a native command has run.
        object? exitCode = LastExitCode;
        int code = !ReferenceEquals(exitCode, exitCodeBefore) && exitCode is int native ? native : ending.Success ? 0 : 1;
        return new CommandOutcome(ending.Success, code, Exited: false, ending.Kind == EndingKind.Stopped, elapsed);
    }

    private enum EndingKind
    {
        Completed,
        Exited,
        Stopped,
    }

    private readonly record struct Ending(EndingKind Kind, bool Success, int ExitCode = 0);
}
