# A byte[] through shared memory. Words of 64 bits in its first page: asked, answered, asleep (each on
# a cache line of its own), what, length. stdin brings lines, and a byte to wake it.
. $PSScriptRoot/common.ps1
$reader = [Console]::OpenStandardInput()
$writer = [Console]::Out
$clock = [Diagnostics.Stopwatch]::new()

function Read-Line {
    $line = [Text.StringBuilder]::new()
    while (($byte = $reader.ReadByte()) -ne 10) {
        if ($byte -lt 0) { exit }
        if ($byte -ne 33) { $null = $line.Append([char] $byte) } # not a byte that came too late to wake
    }
    $line.ToString()
}

$memory = $null
$data = $null
$seen = 0L
$writer.WriteLine('ready')
while ($true) {
    $what = 3L
    if ($memory) {
        $clock.Restart()
        while ([Runtime.InteropServices.Marshal]::ReadInt64($memory, 0) -eq $seen) {
            if ($clock.ElapsedMilliseconds -lt 1) { continue }
            [Runtime.InteropServices.Marshal]::WriteInt64($memory, 128, 1)
            [Threading.Interlocked]::MemoryBarrier()
            if ([Runtime.InteropServices.Marshal]::ReadInt64($memory, 0) -eq $seen) {
                if ($reader.ReadByte() -lt 0) { exit }
            }
            [Runtime.InteropServices.Marshal]::WriteInt64($memory, 128, 0)
        }
        $seen++
        $what = [Runtime.InteropServices.Marshal]::ReadInt64($memory, 192)
    }
    if ($what -eq 1) {
        $length = [Runtime.InteropServices.Marshal]::ReadInt64($memory, 256)
        $data = [byte[]]::new($length)
        [Runtime.InteropServices.Marshal]::Copy([IntPtr]::Add($memory, 4096), $data, 0, $length)
    }
    elseif ($what -eq 2) {
        [Runtime.InteropServices.Marshal]::Copy($data, 0, [IntPtr]::Add($memory, 4096), $data.Length)
    }
    if ($memory) { [Runtime.InteropServices.Marshal]::WriteInt64($memory, 64, $seen) }
    if ($what -ne 3) { continue }

    $line = Read-Line
    switch -Wildcard ($line) {
        'map *' {
            $path = '/dev/shm' + $line.Substring(4)
            $file = [IO.MemoryMappedFiles.MemoryMappedFile]::CreateFromFile($path)
            $view = $file.CreateViewAccessor()
            $memory = $view.SafeMemoryMappedViewHandle.DangerousGetHandle()
            $seen = 0L
            $writer.WriteLine('ok')
        }
        'digest' { $writer.WriteLine((Get-Digest $data)) }
        'forget' { $data = $null; Clear-Garbage; $writer.WriteLine('ok') }
        default { exit }
    }
}
