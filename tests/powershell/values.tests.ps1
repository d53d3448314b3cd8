# What a value can be received into, what can be sent, and in which form it crosses.
Import-Module "$PSScriptRoot/Testing.psm1"
Import-Harness
$probe = New-Probe
$bytes = [byte[]](1, 2, 3)

function Assert-Out([string] $Command, [string] $Expected) {
    Assert-Equal $Expected $probe.Run($Command).Out "output of $Command"
}

Test 'every form of target takes a value' {
    $null = $probe.Run('$h = @{}; $a = 1..5; $o = [pscustomobject]@{ Data = 0; Inner = [pscustomobject]@{ X = 0 } }; $i = 2; $k = "name"')
    $read = @{
        '$x' = '$x'; '$global:g' = '$g'; '$script:s' = '$s'; '${a b}' = '${a b}'; '[byte[]]$typed' = '$typed'; '$h.key' = '$h.key'; '$h["two"]' = '$h.two'
        '$a[3]' = '$a[3]'; '$a[-1]' = '$a[4]'; '$a[$i]' = '$a[2]'; '$h[$k]' = '$h.name'; '$o.Data' = '$o.Data'; '$o.Inner.X' = '$o.Inner.X'; "`$x # comment" = '$x'
    }
    foreach ($target in $read.Keys) {
        Assert-Equal $null $probe.Assign($target, $bytes) $target
        Assert-Out "($($read[$target])).GetType().FullName; ($($read[$target])) -join ','" "System.Byte[]`n1,2,3`n"
    }
    Assert-Equal $null $probe.Assign('$env:ZCB_TEST_VALUE', 'text')
    Assert-Out '$env:ZCB_TEST_VALUE' "text`n"
}

Test 'what is no target is refused with its text and a reason' {
    foreach ($target in '$x; Remove-Item *', '$(1)', '$x.Method()', 'Get-Date', '5', '"$x"', '$x,$y', '($x)', '@x', '$x = 5', '$x | Out-Null', '$h.$k', '$a[$(1)]', '$a[(1)]', '$a[1,2]', '$a[Get-Date]', '$function:f', '${C:\file}', '$using:x', '[int]::MaxValue', '[byte[]]($x)', '&$x', 'param($x) $x', '', '$', '$x[', '$x > file') {
        $why = $probe.Assign($target, $bytes)
        Assert-True $why "'$target' was accepted"
        Assert-True $why.Contains($target) "the reason for '$target' doesn't name it: $why"
    }
}

Test 'PowerShell''s own refusals become messages' {
    $null = $probe.Run('Set-Variable ro 1 -Option ReadOnly; [int] $number = 1; $a = 1..3; [ValidateSet("q")] $checked = "q"')
    foreach ($case in @(('$ro', 'read-only'), ('$number', 'Cannot convert'), ('$a[99]', 'outside the bounds'), ('$missing[0]', 'null array'), ('$missing.Property', 'cannot be found'), ('$checked', 'not a valid value'), ('$true', 'read-only'))) {
        Assert-Match $case[1] $probe.Assign($case[0], $bytes) $case[0]
    }
    Assert-Out '$ro; $number; $checked' "1`n1`nq`n"
}

Test 'an assignment runs nothing and leaves $? alone' {
    $null = $probe.Run('$h = @{}; nosuch')
    Assert-Equal $null $probe.Assign('$h.x', $bytes)
    Assert-Out '$?' "False`n"
}

Test 'bytes cross as they are' {
    $null = $probe.Run('$b = [byte[]](9, 8, 7); $o = [pscustomobject]@{ Data = $b }; $wrapped = Write-Output $b -NoEnumerate; $list = [Collections.Generic.List[int]](1, 2)')
    foreach ($expression in '$b', '$o.Data', '$wrapped', '[byte[]]::new(3)', '([byte[]](1, 2))', '$b # comment', '[Text.Encoding]::ASCII.GetBytes("x")') {
        $value = $probe.Evaluate($expression)
        Assert-Equal $null $value.Error $expression
        Assert-Equal $false $value.IsCliXml $expression
    }
    Assert-Equal '9,8,7' ($probe.Evaluate('$o.Data').Bytes -join ',')
}

Test 'everything else is CliXml, and comes back' {
    $cases = [ordered]@{ '1' = 'Int32'; '"s"' = 'String'; '1, 2' = 'ArrayList'; '(1..3)' = 'ArrayList'; '1..3 | ForEach-Object { $_ }' = 'ArrayList'; '@{ a = 1 }' = 'Hashtable'; 'Get-Item /usr' = 'PSObject'; '[byte[]](1), 2' = 'ArrayList'; '$list' = 'ArrayList' }
    foreach ($expression in $cases.Keys) {
        $value = $probe.Evaluate($expression)
        Assert-Equal $null $value.Error $expression
        Assert-True $value.IsCliXml $expression
        $back = [Management.Automation.PSSerializer]::Deserialize([Text.Encoding]::UTF8.GetString($value.Bytes))
        $type = if ($back -is [Management.Automation.PSObject] -and $back.PSTypeNames[0] -like 'Deserialized.System.IO*') { 'PSObject' } else { $back.GetType().Name }
        Assert-Equal $cases[$expression] $type $expression
    }
    foreach ($nothing in '$null', '@() | Where-Object { $false }') {
        Assert-Match '<Nil />' ([Text.Encoding]::UTF8.GetString($probe.Evaluate($nothing).Bytes)) $nothing
    }
}

Test 'the depth is that of Export-Clixml unless it is given' {
    $nested = '[pscustomobject]@{ a = [pscustomobject]@{ b = [pscustomobject]@{ c = [pscustomobject]@{ d = 1 } } } }'
    $file = [IO.Path]::GetTempFileName()
    Invoke-Expression $nested | Export-Clixml $file
    $expected = [IO.File]::ReadAllText($file).TrimEnd() -replace '\r'
    Remove-Item $file
    Assert-Equal $expected ([Text.Encoding]::UTF8.GetString($probe.Evaluate($nested).Bytes) -replace '\r')
    $deep = [Management.Automation.PSSerializer]::Deserialize([Text.Encoding]::UTF8.GetString($probe.Evaluate($nested, 10).Bytes))
    Assert-Equal 1 $deep.a.b.c.d
}

Test 'what cannot be sent says why' {
    foreach ($case in @(('$nosuch', "^the variable '\`$nosuch' does not exist$"), ('$nosuch.Data', "'\`$nosuch' does not exist"), ('$env:NO_SUCH_ONE', 'does not exist'), ('[int]"x"', 'Cannot convert'), ('$(throw "boom")', 'boom'), ('Get-Item /nosuch', 'Cannot find path'), ('$x = 5', 'single expression'), ('1; 2', 'single expression'), ('throw 1', 'single expression'), ('if ($true) { 1 }', 'single expression'), ('1 +', 'value expression'), ('', 'single expression'), ('1 + $(exit 3)', 'leaves'), ('$null.Method()', 'null-valued'))) {
        Assert-Match $case[1] $probe.Evaluate($case[0]).Error $case[0]
    }
    Assert-Out '1+1' "2`n"
}

Test 'a send sees the prompt''s scope and leaves $? alone' {
    $null = $probe.Run('$mine = 5; function mine { 6 }; nosuch')
    Assert-Match '<I32>5</I32>' ([Text.Encoding]::UTF8.GetString($probe.Evaluate('$mine').Bytes))
    Assert-Match '<I32>6</I32>' ([Text.Encoding]::UTF8.GetString($probe.Evaluate('(mine)').Bytes))
    Assert-Out '$?' "False`n"
}

$probe.Dispose()
Complete-Tests
