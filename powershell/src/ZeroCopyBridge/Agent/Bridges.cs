using System.Collections.Generic;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>The open bridges, by the number of their channel.</summary>
internal sealed class Bridges
{
    private readonly AgentConnection _connection;
    private readonly Arrivals _arrivals;
    private readonly Replies _replies;
    private readonly object _lock = new();
    private readonly Dictionary<uint, Bridge> _open = [];
    private volatile Bridge[] _all = [];

    public Bridges(AgentConnection connection, Arrivals arrivals, Replies replies)
    {
        _connection = connection;
        _arrivals = arrivals;
        _replies = replies;
    }

    /// <summary>The bridge with this number, opened at its first use; null if it was closed.</summary>
    /// <exception cref="ZcbException">Its channel can't be opened.</exception>
    public Bridge? Get(uint number)
    {
        lock (_lock)
        {
            if (_open.TryGetValue(number, out Bridge? known))
            {
                return known;
            }

            if (_connection.OpenChannel(number) is not Channel channel)
            {
                return null;
            }

            var bridge = new Bridge(channel, _arrivals, _replies);
            _open.Add(number, bridge);
            _all = [.. _open.Values];
            return bridge;
        }
    }

    public void Close(uint number)
    {
        Bridge? bridge;
        lock (_lock)
        {
            _connection.ForgetChannel(number);
            if (_open.Remove(number, out bridge))
            {
                _all = [.. _open.Values];
            }
        }

        bridge?.Close();
    }

    /// <summary>Waits for every message that has been sent to a posted receive. The pipeline thread only.</summary>
    public void CatchUp()
    {
        foreach (Bridge bridge in _all)
        {
            bridge.Inbox.CatchUp();
        }
    }

    /// <summary>Stops a posted transfer; false if no bridge has it.</summary>
    public bool Withdraw(ulong id)
    {
        foreach (Bridge bridge in _all)
        {
            if (bridge.Inbox.Withdraw(id) || bridge.Outbox.Withdraw(id))
            {
                return true;
            }
        }

        return false;
    }
}
