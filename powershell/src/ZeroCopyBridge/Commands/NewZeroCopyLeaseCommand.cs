using System;
using System.Management.Automation;
using System.Management.Automation.Runspaces;
using ZeroCopyBridge.Agent;
using ZeroCopyBridge.Native;

namespace ZeroCopyBridge.Commands;

/// <summary>
/// <para type="synopsis">Takes memory of a bridge. A script fills it in place and sends it without a copy.</para>
/// <para type="description">
/// The lease belongs to the bridge that the program named (<c>ZeroCopyBridge(shell, channel_name="data")</c>). Fill
/// it by index or through its Stream, then let the program ask for it with <c>send_from_powershell("$lease")</c>:
/// the bytes are not copied.
/// </para>
/// </summary>
[Cmdlet(VerbsCommon.New, "ZeroCopyLease")]
[OutputType(typeof(Lease))]
public sealed class NewZeroCopyLeaseCommand : PSCmdlet, IDisposable
{
    internal static readonly SessionStateCmdletEntry Entry =
        new("New-ZeroCopyLease", typeof(NewZeroCopyLeaseCommand), helpFileName: null);

    private readonly CancelSource _stop = new();

    /// <summary><para type="description">The channel_name of the bridge.</para></summary>
    [Parameter(Mandatory = true, Position = 0)]
    public string ChannelName { get; set; } = string.Empty;

    /// <summary><para type="description">The number of bytes.</para></summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateRange(1, long.MaxValue)]
    public long Length { get; set; }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        // Waits while there is no room.
        try
        {
            WriteObject(AgentSession.Current is AgentSession session
                ? session.Allocate(ChannelName, (ulong)Length, _stop.Wait)
                : throw new ZcbException("New-ZeroCopyLease works only in a PowerShell process that a program has started with virtualshell or libzcb."));
        }
        catch (ZcbException failure)
        {
            ThrowTerminatingError(new ErrorRecord(failure, "ZeroCopyLease", ErrorCategory.ResourceUnavailable, ChannelName));
        }
    }

    /// <inheritdoc/>
    protected override void StopProcessing() => _stop.Set();

    /// <inheritdoc/>
    public void Dispose() => _stop.Dispose();
}
