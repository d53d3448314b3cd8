# The streams are stdin and stdout themselves.
. $PSScriptRoot/common.ps1
. $PSScriptRoot/stream.ps1
$out = [Console]::OpenStandardOutput()
$out.Write([Text.Encoding]::ASCII.GetBytes("ready`n"), 0, 6)
Start-Server ([Console]::OpenStandardInput()) $out
