using System.Threading;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>Handles requests that can't wait for the pipeline: stops, closed bridges, and the end of the program.</summary>
internal sealed class UrgentListener
{
    private readonly AgentConnection _connection;
    private readonly EngineSession _session;
    private readonly Bridges _bridges;
    private readonly Arrivals _arrivals;
    private readonly Replies _replies;

    public UrgentListener(AgentConnection connection, EngineSession session, Bridges bridges, Arrivals arrivals, Replies replies)
    {
        _connection = connection;
        _session = session;
        _bridges = bridges;
        _arrivals = arrivals;
        _replies = replies;
    }

    public void Start() => new Thread(Listen) { IsBackground = true, Name = "ZeroCopyBridge listener" }.Start();

    private void Listen()
    {
        ZcbError error;
        while ((error = _connection.Listen(out ZcbUrgent request, out ulong id)) == ZcbError.Ok)
        {
            switch (request)
            {
                case ZcbUrgent.Stop:
                    Stop(id);
                    break;
                case ZcbUrgent.CloseChannel:
                    _bridges.Close((uint)id);
                    break;
            }
        }

        if (error == ZcbError.Closed)
        {
            // The program ends the session. Stop the running command, so that the engine can end by itself.
            _session.StopRunning();
            _connection.AwaitProgramEnd();
        }

        AgentConnection.EndProcess();
    }

    // A transfer can change its place during this search: a send goes from running to posted, and a receive from posted
    // to arrived to running. This order finds it in one of its places, unless it is done.
    private void Stop(ulong id)
    {
        if (_session.TryStop(id) || _bridges.Withdraw(id))
        {
            return;
        }

        if (_arrivals.Withdraw(id))
        {
            _replies.CompleteStopped(id);
            return;
        }

        _session.TryStop(id);
    }
}
