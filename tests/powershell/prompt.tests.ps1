# A command has the semantics of a prompt: its effects on the session, its success and its exit code.
Import-Module "$PSScriptRoot/Testing.psm1"
Import-Harness
$probe = New-Probe

function Assert-Out([string] $Command, [string] $Expected) {
    Assert-Equal $Expected $probe.Run($Command).Out "output of $Command"
}

Test 'a statement that fails does not end the command' {
    $result = $probe.Run("nosuch; 'after'")
    Assert-Equal "after`n" $result.Out
    Assert-Match '^nosuch: The term' $result.Err
    Assert-True $result.Success 'the last statement succeeded'
}

Test 'output before a throw is kept' {
    $result = $probe.Run('"before"; throw "boom"; "never"')
    Assert-Equal "before`n" $result.Out
    Assert-Match 'boom' $result.Err
    Assert-Equal $false $result.Success
    Assert-Equal 1 $result.ExitCode
    Assert-Out '"$($Error[0])"' "boom`n"
}

Test 'break, continue and return end the command and nothing else' {
    foreach ($word in 'break', 'continue', 'return', 'break label') {
        Assert-Out "'a'; $word; 'b'" "a`n"
        Assert-Out '1' "1`n"
    }
    Assert-Out 'return 5' "5`n"
}

Test '$? is that of the command before, whatever was formatted between' {
    foreach ($command in 'nosuch', 'throw 1', 'Write-Error x', '1/0', 'if (', '/bin/false', 'Get-Item /nosuch; [pscustomobject]@{a=1}; Get-Item /nosuch') {
        $result = $probe.Run($command)
        Assert-Equal $false $result.Success "success of $command"
        Assert-Out '$?' "False`n"
        Assert-Out '$?' "True`n"
    }
    Assert-Equal $true $probe.Run('Get-Date').Success
    Assert-Out '$?' "True`n"
}

Test '$LASTEXITCODE and the exit code of native commands' {
    Assert-Equal 7 $probe.Run('/bin/sh -c "exit 7"; 1').ExitCode
    Assert-Out '$LASTEXITCODE' "7`n"
    Assert-Equal 0 $probe.Run('1').ExitCode 'a command without a native one'
    Assert-Equal 7 $probe.Run('/bin/sh -c "exit 7"').ExitCode 'the same code again'
    Assert-Equal 0 $probe.Run('/bin/true').ExitCode
    Assert-Equal 1 $probe.Run('Write-Error x').ExitCode
}

Test '$Error and $Matches' {
    $null = $probe.Run('$Error.Clear(); nosuch; Write-Error two; "abc" -match "b"')
    Assert-Out '$Error.Count; $Matches[0]' "2`nb`n"
    $null = $probe.Run('1 +')
    Assert-Out '$Error.Count' "3`n"
}

Test 'variables, functions, classes, aliases, strict mode and the location persist' {
    $null = $probe.Run('$x = 5; function f { $args.Count }; class A { [int] $B = 3 }; Set-Alias ff f; Set-Location /usr')
    Assert-Out '$x; f 1 2; [A]::new().B; ff 1; "$pwd"' "5`n2`n3`n1`n/usr`n"
    $null = $probe.Run('Set-StrictMode -Version Latest')
    Assert-Match 'cannot be retrieved' $probe.Run('$undefined').Err
    $null = $probe.Run('Set-StrictMode -Off; Set-Location /')
}

Test 'a local scope keeps its variables to itself' {
    $result = $probe.Run('$inner = 1; $global:outer = 2; $inner', $true)
    Assert-Equal "1`n" $result.Out
    Assert-Out '"[$inner]"; $outer' "[]`n2`n"
    Assert-Equal "3`n" $probe.Run('param($p = 3) $p; $q = 1', $true).Out
    Assert-Out '"[$q]"' "[]`n"
}

Test 'trap, using, here-strings, non-BMP characters, comments, an empty command' {
    Assert-Out 'trap { "trapped"; continue } throw 3; "go"' "trapped`ngo`n"
    Assert-Out 'using namespace System.Text; [StringBuilder]::new("q").ToString()' "q`n"
    Assert-Out "@'`nhere`n'@" "here`n"
    $smile = [char]::ConvertFromUtf32(0x1F600)
    Assert-Out "'$smile'; '$smile'.Length" "$smile`n2`n"
    Assert-Out '# nothing' ''
    Assert-Out '' ''
}

Test 'incomplete input is the parser''s error' {
    foreach ($text in 'if (', '1 +', '"open', "@'`nx", 'foreach ($i in', '{') {
        $result = $probe.Run($text)
        Assert-Equal $false $result.Success $text
        Assert-Match 'ParserError' $result.Err
        Assert-Equal '' $result.Out
    }
}

Test 'a text with parameters or named blocks is a script block''s body' {
    Assert-Out 'param($x = 5) $x' "5`n"
    Assert-Out 'begin { 1 } process { 2 } end { 3 }' "1`n2`n3`n"
    $null = $probe.Run('param($kept = 8) $assigned = $kept')
    Assert-Out '$assigned' "8`n"
    $result = $probe.Run('param($x) "before"; nosuch; "after"')
    Assert-Equal "before`nafter`n" $result.Out
    Assert-Match 'nosuch' $result.Err
    Assert-Equal $false $probe.Run('param($x) throw "boom"').Success
}

Test '$input and $args are empty' {
    Assert-Out '$input | ForEach-Object { 1 }; $args.Count' "0`n"
}

Test 'questions are refused, and nothing waits' {
    foreach ($question in 'Read-Host q', 'Get-Credential', 'Read-Host -AsSecureString', 'param([Parameter(Mandatory)] $must) $must', 'Remove-Item /nosuchfolder/* -Confirm; New-Item /tmp/zcb-confirm -Confirm', '$Host.UI.PromptForChoice("c", "m", @("&a", "&b"), 0)', '$Host.UI.RawUI.ReadKey()', '$Host.EnterNestedPrompt()') {
        Assert-True $probe.Run($question).Err "no error for $question"
    }
    Assert-Match 'nobody to answer' $probe.Run('Read-Host q').Err
    Assert-Out '1' "1`n"
}

Test 'a native command that reads its input gets end-of-file' {
    Assert-Out '/bin/cat; "x"' "x`n"
}

Test 'Wait-Debugger and breakpoints do not wait' {
    Assert-Out 'Wait-Debugger; 5' "5`n"
}

Test 'the stack is deep enough for recursion' {
    Assert-Out 'function deep([int] $n) { if ($n) { deep ($n - 1) } else { "bottom" } }; deep 2000' "bottom`n"
}

Test '10 MB of command text' {
    $text = "'" + ('x' * 10MB) + "'.Length"
    Assert-Out $text "10485760`n"
}

Test 'exit ends the session with its code' {
    foreach ($case in @(('exit 3', 3), ('"x"; exit', 0), ('$Host.SetShouldExit(9)', 9), ('& { exit 4 }', 4))) {
        $own = New-Probe
        $result = $own.Run($case[0])
        $own.Dispose()
        Assert-True $result.Exited "$($case[0]) exits"
        Assert-Equal $case[1] $result.ExitCode $case[0]
    }
}

Test 'a stop ends the command, keeps the session and takes milliseconds' {
    $null = $probe.Run('$kept = 42')
    foreach ($endless in 'while ($true) { }', '1..1000000000 | ForEach-Object { }', '/bin/sleep 60', 'Start-Sleep 60', 'try { "a"; Start-Sleep 60 } finally { $cleaned = 1 }', 'while ($true) { [pscustomobject]@{ a = 1 } }') {
        $stopped = $probe.RunAndStop($endless, 100)
        Assert-True $stopped.Item1.Stopped "$endless was not stopped"
        Assert-True ($stopped.Item2.TotalMilliseconds -lt 500) "$endless took $($stopped.Item2.TotalMilliseconds) ms to stop"
    }
    Assert-Out '$kept; $cleaned' "42`n1`n"
}

Test 'a stop also ends the formatting of many errors' {
    $stopped = $probe.RunAndStop('foreach ($i in 1..20000) { Write-Error "e$i" }', 1500)
    Assert-True $stopped.Item1.Stopped 'it was not stopped'
    Assert-Match 'e1\n' $stopped.Item1.Err
    Assert-True ($stopped.Item2.TotalMilliseconds -lt 1000) "it took $($stopped.Item2.TotalMilliseconds) ms to stop"
    Assert-Out '1' "1`n"
}

Test 'stops at any moment hit their own command or nothing' {
    $random = [Random]::new(1)
    foreach ($i in 1..200) {
        $text = if ($i % 4) { '$n = 0; while ($n -lt 2000) { $n++ }; "done"' } else { 'Write-Error x; [pscustomobject]@{ a = 1 }; "done"' }
        $result = $probe.RunAndStop($text, $random.Next(0, 4)).Item1
        if (-not $result.Stopped) { Assert-Match "done`n" $result.Out }
        Assert-Out '1+1' "2`n"
    }
}

$probe.Dispose()
Complete-Tests
