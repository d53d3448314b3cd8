using System;
using System.Threading;

namespace ZeroCopyBridge.Agent;

/// <summary>A bridge's own thread. The system may refuse to start it.</summary>
internal static class TransferThread
{
    public const string Refused =
        "PowerShell can't start a thread for the transfer: there are too many processes (raise ulimit -u, or the container's limit) or descriptors (raise ulimit -n).";

    /// <summary>Starts a thread; null if the system refuses.</summary>
    public static Thread? TryStart(ThreadStart work, string name)
    {
        var thread = new Thread(work) { IsBackground = true, Name = name };
        try
        {
            thread.Start();
            return thread;
        }
        catch (Exception refusal) when (refusal is OutOfMemoryException or ThreadStartException)
        {
            return null;
        }
    }
}
