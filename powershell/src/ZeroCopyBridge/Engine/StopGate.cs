using System;
using System.Management.Automation;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// Lets another thread stop the command that runs, or is about to, and no other: a stop that comes late meets an id
/// that isn't current any more. The engine can only stop a whole pipeline, so after a stop that hit, the outer pipeline
/// has to be started anew (<see cref="StopRequested"/>).
/// </summary>
internal sealed class StopGate
{
    private readonly object _lock = new();
    private PowerShell? _pipeline;
    private IAsyncResult? _stop;
    private ulong _runningId;
    private ulong _stoppedId; // the last one that was to be stopped while it didn't run

    public bool StopRequested
    {
        get
        {
            lock (_lock)
            {
                return _stop is not null;
            }
        }
    }

    /// <summary>Stops the command <paramref name="id"/> if it runs, or as soon as it does; any thread.</summary>
    public void Stop(ulong id)
    {
        lock (_lock)
        {
            if (id == _runningId)
            {
                StopPipeline();
            }
            else
            {
                _stoppedId = id;
            }
        }
    }

    /// <summary>Stops the running command, if any. Any thread.</summary>
    public void StopRunning()
    {
        lock (_lock)
        {
            if (_runningId != 0)
            {
                StopPipeline();
            }
        }
    }

    /// <summary>Begins work for a command. From now on it can be stopped.</summary>
    public void Enter(ulong id)
    {
        lock (_lock)
        {
            _runningId = id;
            if (id == _stoppedId)
            {
                StopPipeline();
            }
        }
    }

    /// <summary>Ends the time in which the command can be stopped; true if it was stopped.</summary>
    public bool Leave()
    {
        lock (_lock)
        {
            _runningId = 0;
            return _stop is not null;
        }
    }

    /// <summary>Sets the outer pipeline that a stop has to end.</summary>
    public void Open(PowerShell pipeline)
    {
        lock (_lock)
        {
            _pipeline = pipeline;
        }
    }

    /// <summary>Waits until a requested stop is done, so that the runspace is free again.</summary>
    public void Close()
    {
        PowerShell? pipeline;
        IAsyncResult? stop;
        lock (_lock)
        {
            (pipeline, stop) = (_pipeline, _stop);
            (_pipeline, _stop) = (null, null);
        }

        if (stop is not null)
        {
            pipeline?.EndStop(stop);
        }
    }

    private void StopPipeline() => _stop ??= _pipeline?.BeginStop(callback: null, state: null);
}
