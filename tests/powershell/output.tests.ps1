# The text of a command is, digit for digit, what pwsh prints for it, and each stream has its own field.
Import-Module "$PSScriptRoot/Testing.psm1"
Import-Harness
$probe = New-Probe -Width ([int] (Invoke-RealPwsh '$Host.UI.RawUI.BufferSize.Width').Out)

$sameAsPwsh = @(
    '1+1', '1.0', '0.1+0.2', '[decimal]1.10', '1/3', '1e300', '-0.0', '[double]::NaN', '1kb', '[int64]5', '[byte]7', '"a"', '""', '$null', '"x", $null, "y"'
    '$true', '[char]65', "[datetime]'2024-02-29T12:34:56'", '[timespan]"1.02:03:04"', '[guid]::Empty', '[version]"1.2.3"', '[uri]"http://a/b"'
    '1..3', ',@(1,2)', '@{}', '@{a=1}', '[ordered]@{a=1;b="two"}', '[pscustomobject]@{a=1;b=2}', '[pscustomobject]@{a=1;b=2;c=3;d=4;e=5;f=6}'
    '1; [pscustomobject]@{a=1}; "text"; [pscustomobject]@{a=2}', '[pscustomobject]@{a=1}; [pscustomobject]@{b=1}', '"a"; 1; [pscustomobject]@{a=1}; 2'
    'Get-Item /usr/bin | Select-Object Name', 'Get-ChildItem /usr -Directory | Where-Object Name -in bin, lib | Select-Object Name, Exists', 'Get-Command Get-Item | Format-List Name, CommandType'
    '1..3 | ForEach-Object { [pscustomobject]@{ n = $_; square = $_ * $_ } } | Format-Table -AutoSize', '1..40 | Format-Wide -Column 8', '[pscustomobject]@{long="x"*300}'
    '"x"*300', "'tab`there'", '[Text.Encoding]::UTF8', '[int]', 'Get-Alias gl', '(Get-Date 2020-01-01).AddDays(1)', '[xml]"<a><b>1</b></a>"', '{ script block }'
    '"{0:N2}" -f 1234.5', '[math]::PI', '2147483647, 2147483648', '[bigint]12345678901234567890', 'New-Object int[] 3', '[Collections.Generic.List[int]](1,2,3)'
    'Write-Host hi; 1; Write-Host there', 'Write-Host -NoNewline a; "b"', 'Write-Host "a`nb"; Write-Host (1,2,3)', 'Write-Output a b', 'Write-Information shown -InformationAction Continue'
    '[pscustomobject]@{a=1}; Write-Host between; [pscustomobject]@{a=2}', '/bin/echo native', '/bin/echo native | Out-Default'
    '"a" | Out-Host', '1..3 | Out-String', '[pscustomobject]@{a=1} | Out-String -Width 20', 'Get-Date 2020-01-01 | Format-List Year, Month', '$PSStyle.Foreground.Red + "red" + $PSStyle.Reset'
    'begin { 1 } end { [pscustomobject]@{a=1} }', 'param($x = 5) [pscustomobject]@{x=$x}', 'nosuch; "after"', '"before"; throw "x"', 'function f { 1; return 2 }; f', '"äöü€" + [char]::ConvertFromUtf32(0x1F600)'
    "[pscustomobject]@{wide='漢字'; b=1}, [pscustomobject]@{wide='ab'; b=2}", 'Get-Process -Id $PID | Select-Object -ExpandProperty ProcessName', '[DateTimeOffset]::UnixEpoch', '[System.DayOfWeek]::Monday', 'Get-Variable PSCulture -ValueOnly'
    '$x = [pscustomobject]@{a=1}; $x.PSTypeNames.Insert(0, "Mine"); $x', '$s = "text"; $s = $s | Add-Member -NotePropertyName n -NotePropertyValue 1 -PassThru; $s; $s', '1 | Add-Member -NotePropertyName n -NotePropertyValue 1 -PassThru'
    'Get-PSDrive / | Select-Object Name, Root', '[Environment]::NewLine', '"a`r`nb"', '[pscustomobject]@{a=$null; b=@(1,2); c=@{d=1}}', '[Exception]::new("m")', 'Compare-Object 1,2 2,3', 'Measure-Object -InputObject 1', '"b","a" | Sort-Object | Group-Object'
)

$sameErrors = @(
    'nosuch', 'Write-Error x', 'throw "boom"', '1/0', 'Get-Item /nosuch', '[int]"x"', 'function f { Write-Error inner }; f', 'Get-Item', '$null.Method()'
    'Get-Item -Path /a, /b', '& { throw [ArgumentException]::new("arg") }', '/bin/sh -c "echo native >&2"', 'Write-Error -Message "two`nlines"', 'Get-ChildItem -NoSuchParameter', 'Select-String'
)
$real = Invoke-RealPwshForEach ($sameAsPwsh + $sameErrors)
foreach ($command in $sameAsPwsh) {
    Test "as pwsh prints it: $command" { Assert-Equal $real[$command].Out $probe.Run($command).Out $command }
}
foreach ($command in $sameErrors) {
    Test "error as pwsh prints it: $command" { Assert-Equal $real[$command].Err $probe.Run($command).Err $command }
}

Test 'as pwsh prints it: errors and output of a text of several lines' {
    $text = "1`n2`nnosuch 5`n[pscustomobject]@{ a = 1 }"
    $expected = Invoke-RealPwsh $text
    $result = $probe.Run($text)
    Assert-Equal $expected.Out $result.Out
    Assert-Equal $expected.Err $result.Err
}

Test 'each stream has its own field, and nothing is counted twice' {
    $result = $probe.Run('Write-Warning w; Write-Verbose v -Verbose; Write-Debug d -Debug; Write-Information i; Write-Host h; Write-Error e; Write-Progress act -Status going -PercentComplete 40; 1')
    Assert-Equal "w`n" $result.Warning
    Assert-Equal "v`n" $result.Verbose
    Assert-Equal "d`n" $result.Debug
    Assert-Equal "i`nh`n" $result.Information
    Assert-Equal "h`n1`n" $result.Out
    Assert-Match '^Write-Error: e\n$' $result.Err
    Assert-Match '^act: going \(40%\)\n' $result.Progress
}

Test 'the console''s writers are caught in their place' {
    $console = $probe.CaptureConsole()
    try {
        $result = $probe.Run('1; [Console]::WriteLine("c"); [Console]::Out.Write("d`n"); 2; [Console]::Error.WriteLine("e"); [Console]::Write([char]65); [Console]::Write(5)')
    }
    finally { $console.Dispose() }
    Assert-Equal "1`nc`nd`n2`nA5" $result.Out
    Assert-Equal "e`n" $result.Err
}

Test 'parallel runspaces write through the same host' {
    $result = $probe.Run('1..20 | ForEach-Object -Parallel { Write-Host "h$_"; "o$_" } | Measure-Object | ForEach-Object Count')
    Assert-Equal 21 ($result.Out -split "`n").Where{ $_ -match '^(h\d+|20)$' }.Count
}

Test 'the width is the chosen one' {
    $narrow = New-Probe -Width 40
    $widest = ($narrow.Run('[pscustomobject]@{ long = "x" * 300 } | Format-Table').Out -split "`n" | Measure-Object Length -Maximum).Maximum
    $narrow.Dispose()
    Assert-Equal 39.0 $widest
}

Test '20 MB of output leave in pieces' {
    $result = $probe.Run('$line = "x" * 1000; foreach ($i in 1..20000) { $line }; [pscustomobject]@{ a = 1 }')
    Assert-Equal (20000 * 1001 + "`na`n-`n1`n`n".Length) $result.Out.Length
    Assert-True ($result.LargestPiece -lt 1MB) "a piece of $($result.LargestPiece) bytes"
}

Test 'a surrogate pair may be written in halves' {
    $result = $probe.Run('$s = [char]::ConvertFromUtf32(0x1F600); Write-Host -NoNewline $s[0]; Write-Host $s[1]')
    Assert-Equal ([char]::ConvertFromUtf32(0x1F600) + "`n") $result.Out
}

$probe.Dispose()
Complete-Tests
