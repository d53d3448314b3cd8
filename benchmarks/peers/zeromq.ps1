# A byte[] as a frame of a ZeroMQ message, by NetMQ.
param([string] $Assemblies, [string] $Address)
. $PSScriptRoot/common.ps1
foreach ($name in 'NaCl', 'AsyncIO', 'NetMQ') { Add-Type -Path "$Assemblies/$name.dll" }
$socket = [NetMQ.Sockets.ResponseSocket]::new()
$socket.Connect($Address)
[Console]::Out.WriteLine('ready')
while ($true) {
    switch ([NetMQ.ReceivingSocketExtensions]::ReceiveFrameString($socket)) {
        'into' {
            $data = [NetMQ.ReceivingSocketExtensions]::ReceiveFrameBytes($socket)
            [NetMQ.OutgoingSocketExtensions]::SendFrame($socket, 'ok')
        }
        'out' { [NetMQ.OutgoingSocketExtensions]::SendFrame($socket, $data) }
        'digest' { [NetMQ.OutgoingSocketExtensions]::SendFrame($socket, (Get-Digest $data)) }
        'forget' {
            $data = $null
            Clear-Garbage
            [NetMQ.OutgoingSocketExtensions]::SendFrame($socket, 'ok')
        }
        default { exit }
    }
}
