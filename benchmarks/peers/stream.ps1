# A byte[] over any pair of streams: nine bytes ask (a letter and a length), then come the bytes.

function Start-Server([IO.Stream] $Reader, [IO.Stream] $Writer) {
    $header = [byte[]]::new(9)
    $ok = [Text.Encoding]::ASCII.GetBytes('k')
    $data = $null
    while ($true) {
        try { $Reader.ReadExactly($header, 0, 9) } catch { return }
        switch ([char] $header[0]) {
            'i' {
                $length = [BitConverter]::ToInt64($header, 1)
                $data = [byte[]]::new($length)
                $Reader.ReadExactly($data, 0, $length)
                $Writer.Write($ok, 0, 1)
            }
            'o' { $Writer.Write($data, 0, $data.Length) }
            'd' { $Writer.Write([Text.Encoding]::ASCII.GetBytes((Get-Digest $data)), 0, 64) }
            'f' { $data = $null; Clear-Garbage; $Writer.Write($ok, 0, 1) }
            default { return }
        }
        $Writer.Flush()
    }
}
