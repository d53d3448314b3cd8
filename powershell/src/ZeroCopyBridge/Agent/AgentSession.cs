using System;
using System.Threading;
using ZeroCopyBridge.Compatibility;
using ZeroCopyBridge.Commands;
using ZeroCopyBridge.Engine;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Agent;

/// <summary>Everything that serves the program which started this engine, from its connection to its end.</summary>
internal sealed class AgentSession
{
    // Variables by which libzcb passed settings to this process. Programs that the user starts must not see them.
    private static readonly string[] s_ownVariables = ["ZCB_LINK", "ZCB_MODULE", TuningVariable];

    // The names of the variables that libzcb has set for this runtime alone, each followed by a semicolon.
    private const string TuningVariable = "ZCB_TUNING";

    private readonly AgentConnection _connection;
    private readonly object? _profile;

    private AgentSession(AgentConnection connection, object? profile)
    {
        _connection = connection;
        _profile = profile;
    }

    /// <summary>This process's session with the program that started it; null in another engine.</summary>
    public static AgentSession? Current { get; private set; }

    /// <summary>Connects, serves until the end of the session, and returns the process's exit code.</summary>
    /// <param name="engineVersion">PowerShell's version.</param>
    /// <param name="profile">The console host's <c>$PROFILE</c>.</param>
    /// <exception cref="ZcbException">This process was not started by libzcb, or the two versions don't fit.</exception>
    public static int Serve(string engineVersion, object? profile)
    {
        using AgentConnection connection = AgentConnection.Open(engineVersion);
        string tunings = Environment.GetEnvironmentVariable(TuningVariable) ?? string.Empty;
        foreach (string name in (string[])[.. s_ownVariables, .. tunings.Split(';', StringSplitOptions.RemoveEmptyEntries)])
        {
            Environment.SetEnvironmentVariable(name, null);
        }

        Current = new AgentSession(connection, profile);
        return Current.Run();
    }

    /// <summary>Takes memory of a bridge. Waits while there is no room. Any thread.</summary>
    /// <exception cref="ZcbException">There is no such bridge, or no memory.</exception>
    public Lease Allocate(string channelName, ulong bytes, in ZcbWait wait) =>
        _connection.Allocate(channelName, bytes, in wait);

    private int Run()
    {
        var output = new OutputCollector();
        var session = new EngineSession(output, _connection.Width, _profile, NewZeroCopyLeaseCommand.Entry);
        var loop = new PipelineLoop(_connection, output);
        using var console = new ConsoleCapture(output);
        new UrgentListener(_connection, session).Start();
        RunOnOwnThread(() => session.Run(loop.Step));
        return loop.ExitCode;
    }

    private static void RunOnOwnThread(Action work)
    {
        Exception? failure = null;
        var thread = new Thread(
            () =>
            {
                try
                {
                    work();
                }
                catch (Exception error)
                {
                    failure = error;
                }
            },
            EngineSession.StackBytes)
        {
            Name = "ZeroCopyBridge pipeline",
        };
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            throw new InvalidOperationException($"The agent failed: {failure.Message}", failure);
        }
    }
}
