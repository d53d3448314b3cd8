# What the tests of this folder share: the engine under test, the real engine beside it, and assertions.

$ErrorActionPreference = 'Stop'
$script:Passed = 0
$script:Failed = 0

function Import-Harness {
    $project = Join-Path $PSScriptRoot 'harness/src/ZeroCopyBridge.Testing.csproj'
    $log = dotnet build $project --configuration Release --nologo --verbosity quiet -nodeReuse:false
    if ($LASTEXITCODE -ne 0) { throw "the harness does not build:`n$($log -join "`n")" }
    $output = dotnet msbuild $project -getProperty:TargetDir -property:Configuration=Release
    Add-Type -Path (Join-Path $output 'ZeroCopyBridge.dll'), (Join-Path $output 'ZeroCopyBridge.Testing.dll')
}

function New-Probe([int] $Width = 120) { [ZeroCopyBridge.Testing.EngineProbe]::new($Width) }

# Runs one test; what it throws is its failure.
function Test([string] $Name, [scriptblock] $Body) {
    $clock = [Diagnostics.Stopwatch]::StartNew()
    try {
        & $Body
        $script:Passed++
        if ($clock.Elapsed.TotalSeconds -gt 5) { Write-Host "slow ($([int] $clock.Elapsed.TotalSeconds) s): $Name" }
    }
    catch {
        $script:Failed++
        Write-Host "FAILED: $Name`n    $($_.Exception.Message -replace "`n", "`n    ")"
    }
}

function Assert-Equal($Expected, $Actual, [string] $What = 'value') {
    $same = if ($null -eq $Expected) { $null -eq $Actual } else { $Expected.Equals($Actual) }
    if (-not $same) {
        throw "${What}: expected $(ConvertTo-Json -InputObject $Expected -Compress -Depth 1), got $(ConvertTo-Json -InputObject $Actual -Compress -Depth 1)"
    }
}

function Assert-Match([string] $Pattern, [string] $Actual, [string] $What = 'text') {
    if ($Actual -notmatch $Pattern) { throw "${What}: /$Pattern/ does not match $(ConvertTo-Json $Actual -Compress)" }
}

function Assert-True($Condition, [string] $What) { if (-not $Condition) { throw $What } }

function Start-RealPwsh([string[]] $Arguments) {
    $start = [Diagnostics.ProcessStartInfo]::new([Environment]::ProcessPath)
    foreach ($argument in @('-NoLogo', '-NoProfile', '-NonInteractive') + $Arguments) { $start.ArgumentList.Add($argument) }
    $start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
    $start.StandardInputEncoding = $start.StandardOutputEncoding = $start.StandardErrorEncoding = [Text.UTF8Encoding]::new($false)
    $start.Environment['NO_COLOR'] = '1'
    [Diagnostics.Process]::Start($start)
}

function Read-RealPwsh([Diagnostics.Process] $Process) {
    $err = $Process.StandardError.ReadToEndAsync()
    $out = $Process.StandardOutput.ReadToEnd()
    $Process.WaitForExit()
    $ansi = '\x1b\[[\d;?]*[a-zA-Z]'
    [pscustomobject]@{ Out = $out -replace $ansi; Err = $err.Result -replace $ansi }
}

# What the real engine prints for a command: it is started as a person would start it.
function Invoke-RealPwsh([string] $Command) {
    $process = Start-RealPwsh '-Command', $Command
    $process.StandardInput.Close()
    Read-RealPwsh $process
}

# The same for many commands of one line, given one after the other to a single engine: starting one for
# each takes minutes. A hashtable by command.
function Invoke-RealPwshForEach([string[]] $Commands) {
    $mark = '-- next --'
    $process = Start-RealPwsh '-Command', '-'
    foreach ($command in $Commands) {
        $process.StandardInput.WriteLine($command)
        $process.StandardInput.WriteLine("[Console]::Out.WriteLine('$mark'); [Console]::Error.WriteLine('$mark')")
    }
    $process.StandardInput.Close()
    $all = Read-RealPwsh $process
    $out = $all.Out -split "$mark`n"
    $err = $all.Err -split "$mark`n"
    $results = @{}
    for ($i = 0; $i -lt $Commands.Count; $i++) { $results[$Commands[$i]] = [pscustomobject]@{ Out = $out[$i]; Err = $err[$i] } }
    $results
}

# Ends a test script with its tally.
function Complete-Tests {
    Write-Host "$script:Passed passed, $script:Failed failed"
    exit [int]($script:Failed -gt 0)
}

Export-ModuleMember -Function *-*, Test
