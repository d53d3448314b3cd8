using System;
using System.Collections.Generic;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>The queue of received messages, in order, from the bridges to the pipeline thread.</summary>
internal sealed class Arrivals : IDisposable
{
    private readonly object _lock = new();
    private readonly List<Arrival> _waiting = [];

    /// <summary>Ends the pipeline thread's wait for its next command.</summary>
    public CancelSource Wake { get; } = new();

    /// <param name="arrival">The message.</param>
    /// <param name="wake">False if the caller is the pipeline thread.</param>
    public void Add(Arrival arrival, bool wake)
    {
        lock (_lock)
        {
            _waiting.Add(arrival);
        }

        if (wake)
        {
            Wake.Set();
        }
    }

    public bool TryTake(out Arrival arrival)
    {
        lock (_lock)
        {
            if (_waiting.Count == 0)
            {
                arrival = default;
                return false;
            }

            arrival = _waiting[0];
            _waiting.RemoveAt(0);
            return true;
        }
    }

    /// <summary>Removes the message of a receive that was stopped; false if it isn't here.</summary>
    public bool Withdraw(ulong id)
    {
        lock (_lock)
        {
            int index = _waiting.FindIndex(arrival => arrival.Receive.Id == id);
            if (index >= 0)
            {
                _waiting.RemoveAt(index);
            }

            return index >= 0;
        }
    }

    public void Dispose() => Wake.Dispose();
}
