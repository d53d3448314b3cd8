# A byte[] as base64, a line, over stdin and stdout.
. $PSScriptRoot/common.ps1
$reader = [Console]::In
$writer = [Console]::Out
$writer.WriteLine('ready')
while ($true) {
    switch ($reader.ReadLine()) {
        'into' { $data = [Convert]::FromBase64String($reader.ReadLine()); $writer.WriteLine('ok') }
        'out' { $writer.WriteLine([Convert]::ToBase64String($data)) }
        'digest' { $writer.WriteLine((Get-Digest $data)) }
        'forget' { $data = $null; Clear-Garbage; $writer.WriteLine('ok') }
        default { exit }
    }
}
