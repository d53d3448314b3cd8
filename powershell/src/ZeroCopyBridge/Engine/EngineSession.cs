using System;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// A PowerShell session: a runspace, and an outer pipeline <c>loop | sink</c> in which the commands run. All members
/// except the stops belong to the thread that called <see cref="Run"/>.
/// </summary>
internal sealed class EngineSession
{
    /// <summary>The stack size of PowerShell's own pipeline threads. Deep recursion needs it.</summary>
    public const int StackBytes = 10 * 1024 * 1024;

    public const int DefaultWidth = 120;

    private readonly EngineHost _host;
    private readonly StopGate _gate = new();
    private readonly object? _profile;
    private readonly SessionStateCommandEntry[] _commands;
    private Func<CommandRunner, bool>? _step;
    private bool _over;

    /// <param name="output">Collects what the commands write.</param>
    /// <param name="width">Columns of formatted output.</param>
    /// <param name="profile">The value of <c>$PROFILE</c>, as a console host sets it; or null.</param>
    /// <param name="commands">Further commands of the session, in addition to PowerShell's own.</param>
    public EngineSession(
        OutputCollector output, int width = DefaultWidth, object? profile = null, params SessionStateCommandEntry[] commands)
    {
        _commands = commands;
        _profile = profile;
        Output = output;
        _host = new EngineHost(output, width);
        Runner = new CommandRunner(_host, output, _gate);
    }

    public OutputCollector Output { get; }

    public CommandRunner Runner { get; }

    /// <summary>
    /// Opens the runspace and calls <paramref name="step"/> repeatedly in the outer pipeline, until it returns false. A
    /// step may run one command.
    /// </summary>
    public void Run(Func<CommandRunner, bool> step)
    {
        _step = step;
        Output.Own();
        using Runspace runspace = OpenRunspace();
        Runspace.DefaultRunspace = runspace;
        while (!_over)
        {
            RunOuterPipeline(runspace);
        }
    }

    /// <summary>Stops a command if it runs, or as soon as it does; any thread.</summary>
    public void Stop(ulong id) => _gate.Stop(id);

    /// <summary>Stops the running command, if any. Any thread.</summary>
    public void StopRunning() => _gate.StopRunning();

    internal void RunSteps(LoopCommand loop)
    {
        Runner.Attach(loop);
        while (!_gate.StopRequested)
        {
            if (!_step!(Runner))
            {
                _over = true;
                return;
            }
        }
    }

    private Runspace OpenRunspace()
    {
        var state = InitialSessionState.CreateDefault2();
        foreach (SessionStateCommandEntry command in _commands)
        {
            state.Commands.Add(command);
        }

        state.Types.Add(new SessionStateTypeEntry(LeaseDisplay(), isRemove: false));
        Runspace runspace = RunspaceFactory.CreateRunspace(_host, state);
        runspace.ThreadOptions = PSThreadOptions.UseCurrentThread;
        runspace.Name = "ZeroCopyBridge";
        runspace.Open();
        if (_profile is not null)
        {
            runspace.SessionStateProxy.SetVariable("PROFILE", _profile);
        }

        // Otherwise Wait-Debugger and breakpoints would wait for a debugger that never comes.
        runspace.Debugger.DebuggerStop += static (_, stop) => stop.ResumeAction = DebuggerResumeAction.Continue;
        return runspace;
    }

    /// <summary>The properties of a lease that are displayed. A span can't be displayed, and a stream has no useful text.</summary>
    private static TypeData LeaseDisplay() => new(typeof(Lease))
    {
        DefaultDisplayPropertySet = new PropertySetData([nameof(Lease.Length), nameof(Lease.IsReadOnly), nameof(Lease.IsInPlace)]),
    };

    private void RunOuterPipeline(Runspace runspace)
    {
        using PowerShell pipeline = PowerShell.Create();
        pipeline.Runspace = runspace;
        pipeline.AddCommand(LoopCommand.Info).AddParameter(nameof(LoopCommand.Session), this);
        pipeline.AddCommand(SinkCommand.Info).AddParameter(nameof(SinkCommand.Runner), Runner);
        Runner.Listen(pipeline.Streams);
        _gate.Open(pipeline);
        try
        {
            pipeline.Invoke();
        }
        catch (PipelineStoppedException) when (_gate.StopRequested)
        {
            // The caller already has the outcome of the stopped command. Only the loop has to start again.
        }
        finally
        {
            _gate.Close();
        }
    }
}
