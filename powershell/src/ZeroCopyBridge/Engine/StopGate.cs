using System;
using System.Collections.Generic;
using System.Management.Automation;

namespace ZeroCopyBridge.Engine;

/// <summary>
/// Lets another thread stop the running command, or a command that is still queued, and no other one. A stop that comes
/// too late names an id that isn't current any more, and does nothing. The engine can only stop a whole pipeline. So the
/// outer pipeline must be restarted after each stop of a running command (<see cref="StopRequested"/>).
/// </summary>
internal sealed class StopGate
{
    private readonly object _lock = new();
    private readonly HashSet<ulong> _dropped = [];
    private PowerShell? _pipeline;
    private IAsyncResult? _stop;
    private ulong _runningId;
    private ulong _lastTakenId;

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

    /// <summary>Stops the command <paramref name="id"/> if it runs or was not taken yet. Any thread.</summary>
    public bool TryStop(ulong id)
    {
        lock (_lock)
        {
            if (id > _lastTakenId)
            {
                _dropped.Add(id);
                return true;
            }

            return id == _runningId && StopPipeline();
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

    /// <summary>Takes a command, in the order of ids; false if it was stopped before its turn. From now on it can be stopped.</summary>
    public bool Take(ulong id)
    {
        lock (_lock)
        {
            _lastTakenId = id;
            if (_dropped.Remove(id))
            {
                return false;
            }

            _runningId = id;
            return true;
        }
    }

    /// <summary>Begins work for a command that was taken earlier.</summary>
    public void Enter(ulong id)
    {
        lock (_lock)
        {
            _runningId = id;
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

    private bool StopPipeline()
    {
        if (_stop is not null || _pipeline is null)
        {
            return false;
        }

        _stop = _pipeline.BeginStop(callback: null, state: null);
        return true;
    }
}
