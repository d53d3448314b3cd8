# A byte[] as base64 in a JSON object, a line, over stdin and stdout.
. $PSScriptRoot/common.ps1
$reader = [Console]::In
$writer = [Console]::Out
$writer.WriteLine('ready')
while ($true) {
    $line = $reader.ReadLine()
    if ($line -in $null, 'quit') { exit }
    $request = ConvertFrom-Json $line
    $answer = switch ($request.ask) {
        'into' { $data = [Convert]::FromBase64String($request.data); 'ok' }
        'out' { [Convert]::ToBase64String($data) }
        'digest' { Get-Digest $data }
        'forget' { $data = $null; Clear-Garbage; 'ok' }
        default { exit }
    }
    $writer.WriteLine((ConvertTo-Json -Compress @{ data = $answer }))
}
