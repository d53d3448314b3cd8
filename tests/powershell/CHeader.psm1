# Reads the types and functions of zcb.h: their names out of the preprocessed header, their sizes, offsets and numbers out of a
# program that the C compiler makes of those names. So nothing of the header stands here a second time.

$ErrorActionPreference = 'Stop'

function Get-Compiler { if ($env:CC) { $env:CC } else { 'cc' } }

function Split-Trimmed([string] $Text, [string] $Separator) {
    $Text -split $Separator | ForEach-Object { $_.Trim() } | Where-Object { $_ }
}

# The name that a declaration declares, and its type: "const char *text", "zcb_text field[7]", "int (*interrupted)(void *arg)".
function Split-Declaration([string] $Declaration) {
    if ($Declaration -match '^(.*)\(\*(\w+)\)(\(.*\))$') { return @{ Name = $Matches[2]; Type = "$($Matches[1])(*)$($Matches[3])" } }
    if ($Declaration -match '^(.*[ *])(\w+)( ?\[.*\])?$' -and $Declaration -notmatch ',') {
        return @{ Name = $Matches[2]; Type = "$($Matches[1].Trim())$($Matches[3])" }
    }
    throw "zcb.h declares something in a way that this test does not know: $Declaration"
}

# Names and types alone.
function Get-Declarations([string] $Folder) {
    $text = & (Get-Compiler) -E -P "-I$Folder" (Join-Path $Folder 'zcb/zcb.h')
    if ($LASTEXITCODE -ne 0) { throw 'the C compiler does not preprocess zcb.h' }
    $text = ($text -join ' ') -replace '__attribute__ *\(\(.*?\)\)' -replace '\s+', ' '
    $header = @{ Structs = [ordered]@{}; Enums = [ordered]@{}; Functions = [ordered]@{} }
    foreach ($match in [regex]::Matches($text, 'typedef enum (zcb_\w+) \{([^}]*)\} \1;')) {
        $header.Enums[$match.Groups[1].Value] = @(Split-Trimmed $match.Groups[2].Value ',' | ForEach-Object { ($_ -split ' *=')[0] })
    }
    foreach ($match in [regex]::Matches($text, 'typedef struct (zcb_\w+) \{([^}]*)\} \1;')) {
        $header.Structs[$match.Groups[1].Value] = @(Split-Trimmed $match.Groups[2].Value ';' | ForEach-Object { Split-Declaration $_ })
    }
    foreach ($match in [regex]::Matches($text, '([\w *]+?)\b(zcb_\w+) ?\(([^()]*)\);')) {
        $parameters = @(Split-Trimmed $match.Groups[3].Value ',' | Where-Object { $_ -ne 'void' } | ForEach-Object { (Split-Declaration $_).Type })
        $header.Functions[$match.Groups[2].Value] = @{ Returns = $match.Groups[1].Value.Trim(); Parameters = $parameters }
    }
    $header
}

# The lines of a program that prints what the compiler makes of it all.
function Get-Program($Header) {
    '#include <stdio.h>', '#include "zcb/zcb.h"', 'int main(void) {'
    foreach ($struct in $Header.Structs.Keys) {
        "printf(`"struct $struct %zu\n`", sizeof($struct));"
        foreach ($field in $Header.Structs[$struct].Name) {
            "printf(`"field $struct $field %zu %zu\n`", offsetof($struct, $field), sizeof((($struct *)0)->$field));"
        }
    }
    foreach ($enum in $Header.Enums.Keys) {
        foreach ($member in $Header.Enums[$enum]) { "printf(`"number $enum $member %lld\n`", (long long)$member);" }
    }
    foreach ($function in $Header.Functions.Keys) {
        $types = @($Header.Functions[$function].Returns) + $Header.Functions[$function].Parameters
        $sizes = $types | ForEach-Object { if ($_ -eq 'void') { '(size_t)0' } else { "sizeof($_)" } }
        "printf(`"function $function$(' %zu' * $types.Count)\n`", $($sizes -join ', '));"
    }
    'return 0;', '}'
}

<#
What the compiler says of the header below a folder:
  Structs    by name: Size, and Fields by name: Offset, Size
  Enums      by name: numbers by member
  Functions  by name: Types and Sizes, of what it returns first, then of its parameters
#>
function Read-CHeader([string] $Folder) {
    $declared = Get-Declarations $Folder
    $made = @{ Structs = [ordered]@{}; Enums = [ordered]@{}; Functions = [ordered]@{} }
    $work = New-Item -ItemType Directory -Path (Join-Path ([IO.Path]::GetTempPath()) ([IO.Path]::GetRandomFileName()))
    try {
        Get-Program $declared | Set-Content "$work/print.c"
        & (Get-Compiler) -std=c11 "-I$Folder" "$work/print.c" -o "$work/print"
        if ($LASTEXITCODE -ne 0) { throw 'the program that prints sizes does not compile' }
        $lines = & "$work/print"
    }
    finally { Remove-Item -Recurse $work }
    foreach ($line in $lines) {
        $kind, $name, [string[]] $rest = $line -split ' '
        switch ($kind) {
            'struct' { $made.Structs[$name] = @{ Size = [int] $rest[0]; Fields = [ordered]@{} } }
            'field' { $made.Structs[$name].Fields[$rest[0]] = @{ Offset = [int] $rest[1]; Size = [int] $rest[2] } }
            'number' {
                if (-not $made.Enums.Contains($name)) { $made.Enums[$name] = [ordered]@{} }
                $made.Enums[$name][$rest[0]] = [long] $rest[1]
            }
            'function' {
                $types = @($declared.Functions[$name].Returns) + $declared.Functions[$name].Parameters
                $made.Functions[$name] = @{ Types = $types; Sizes = @($rest | ForEach-Object { [int] $_ }) }
            }
        }
    }
    $made
}

Export-ModuleMember -Function Read-CHeader
