using System.Threading;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>Hears what can't wait for the pipeline: stops of what runs, and the end of the program. All else libzcb does itself.</summary>
internal sealed class UrgentListener
{
    private readonly AgentConnection _connection;
    private readonly EngineSession _session;

    public UrgentListener(AgentConnection connection, EngineSession session)
    {
        _connection = connection;
        _session = session;
    }

    public void Start() => new Thread(Listen) { IsBackground = true, Name = "ZeroCopyBridge listener" }.Start();

    private void Listen()
    {
        ZcbError error;
        while ((error = _connection.Listen(out ulong id)) == ZcbError.Ok)
        {
            _session.Stop(id);
        }

        if (error == ZcbError.Closed)
        {
            // The program ends the session. Stop the running command, so that the engine can end by itself.
            _session.StopRunning();
            _connection.AwaitProgramEnd();
        }

        AgentConnection.EndProcess();
    }
}
