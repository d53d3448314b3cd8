using System.Management.Automation;

namespace ZeroCopyBridge.Engine;

/// <summary>The end of a pipeline: passes each output object to the formatter at once.</summary>
[Cmdlet("Write", "ZeroCopySink")]
internal sealed class SinkCommand : PSCmdlet
{
    public static readonly CmdletInfo Info = new("Write-ZeroCopySink", typeof(SinkCommand));

    [Parameter(Mandatory = true)]
    public CommandRunner Runner { get; set; } = null!;

    [Parameter(ValueFromPipeline = true)]
    [AllowNull]
    [AllowEmptyString]
    [AllowEmptyCollection]
    public object? InputObject { get; set; }

    protected override void ProcessRecord() => Runner.Accept(InputObject);
}
