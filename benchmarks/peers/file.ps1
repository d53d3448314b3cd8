# A byte[] through a file; lines over stdin and stdout say when it is complete.
param([string] $Path)
. $PSScriptRoot/common.ps1
$reader = [Console]::In
$writer = [Console]::Out
$writer.WriteLine('ready')
while ($true) {
    switch ($reader.ReadLine()) {
        'into' { $data = [IO.File]::ReadAllBytes($Path); $writer.WriteLine('ok') }
        'out' { [IO.File]::WriteAllBytes($Path, $data); $writer.WriteLine('ok') }
        'digest' { $writer.WriteLine((Get-Digest $data)) }
        'forget' { $data = $null; Clear-Garbage; $writer.WriteLine('ok') }
        default { exit }
    }
}
