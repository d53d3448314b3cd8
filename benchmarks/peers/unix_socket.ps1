# Both streams are a Unix socket that Python listens on.
param([string] $Path)
. $PSScriptRoot/common.ps1
. $PSScriptRoot/stream.ps1
$socket = [Net.Sockets.Socket]::new('Unix', 'Stream', 'Unspecified')
$socket.Connect([Net.Sockets.UnixDomainSocketEndPoint]::new($Path))
$stream = [Net.Sockets.NetworkStream]::new($socket, $true)
[Console]::Out.WriteLine('ready')
Start-Server $stream $stream
