"""`out` is what `pwsh` would print, digit for digit; every other stream has its own field."""

from __future__ import annotations

import os
import subprocess

import pytest

from virtualshell import Shell

SNIPPETS = [
    "1.0; 0.1+0.2; [decimal]1.10; 1/3; 1e300; -0.0; [double]::NaN",
    "[datetime]'2024-02-29T12:34:56'; [timespan]'1.02:03:04'",
    "$null; ''; 'x'; @(); @(1,@(2,3))",
    "[pscustomobject]@{Name='a';Value=1},[pscustomobject]@{Name='bb';Value=22}",
    "'text'; [pscustomobject]@{A=1}; 'more text'",
    "@{only='one'}",
    "[version]'1.2.3'; [guid]'00000000-0000-0000-0000-000000000001'; [char]'c'; $true; [byte]7",
    "Get-Item / | Select-Object Name, PSIsContainer",
    "1..3 | Format-Wide -Column 3; [xml]'<a><b>1</b></a>'",
    "'plain'; Write-Host 'hosted'; 'plain again'; Write-Host 'no' -NoNewline; Write-Host 'end'",
    "[pscustomobject]@{L='x'*70}",
    "1..3 | % { [pscustomobject]@{N=$_; Square=$_*$_; Half=$_/2} } | Format-Table -AutoSize",
    "Write-Host 'coloured' -ForegroundColor Red; \"`e[31mescaped`e[0m\"",
    "[ordered]@{z=1;a=2}; [Math]::PI; 10MB; 0xff",
    "Get-Command Get-Item | Format-List Name, CommandType",
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_out_is_what_pwsh_prints(shell: Shell, snippet: str) -> None:
    printed = subprocess.run(
        [
            str(shell.powershell_path),
            "-NoLogo",
            "-NoProfile",
            "-NonInteractive",
            "-Command",
            snippet,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env=dict(os.environ, NO_COLOR="1", COLUMNS="120", POWERSHELL_TELEMETRY_OPTOUT="1"),
        check=True,
    ).stdout
    if "`e[" in snippet:
        printed = printed.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert shell.run(snippet).out == printed


def test_numbers_and_dates_as_the_invariant_culture_has_them(shell: Shell) -> None:
    assert shell.run("1.0; 0.1+0.2; [decimal]1.10; 1/3").out == "1\n0.3\n1.1\n0.333333333333333\n"
    assert "Thursday, 29 February 2024 12:34:56" in shell.run("[datetime]'2024-02-29T12:34:56'").out


def test_write_host_stands_in_its_place(shell: Shell) -> None:
    assert shell.run("'a'; Write-Host 'b'; 'c'").out == "a\nb\nc\n"


def test_streams_have_fields_of_their_own(shell: Shell) -> None:
    result = shell.run(
        "'out'; Write-Warning 'a warning'; Write-Verbose 'verbosely' -Verbose;"
        "Write-Debug 'debugging' -Debug; Write-Information 'informed';"
        "Write-Progress -Activity 'progressing' -PercentComplete 5; Write-Error 'an error'"
    )
    assert result.out == "out\n"
    assert result.warning.count("a warning") == 1
    assert result.verbose.count("verbosely") == 1
    assert result.debug.count("debugging") == 1
    assert result.information.count("informed") == 1
    assert "progressing" in result.progress
    assert "an error" in result.err


def test_streams_that_are_silent_by_default_are_empty(shell: Shell) -> None:
    result = shell.run("Write-Verbose 'v'; Write-Debug 'd'")
    assert (result.verbose, result.debug, result.out, result.err) == ("", "", "", "")


def test_console_writeline_is_caught(shell: Shell) -> None:
    assert "from .NET" in shell.run("[Console]::WriteLine('from .NET')").out
    assert "to .NET's error" in shell.run('[Console]::Error.WriteLine("to .NET\'s error")').err


def test_output_of_native_commands_is_caught(shell: Shell) -> None:
    result = shell.run("/bin/sh -c 'echo native; echo to stderr >&2'")
    assert result.out == "native\n"
    assert "to stderr" in result.err


def test_what_is_written_to_the_descriptor_itself_is_caught(shell: Shell) -> None:
    result = shell.run("Start-Process /bin/echo 'directly' -NoNewWindow -Wait")
    assert "directly" in result.out


def test_output_of_one_command_is_never_in_the_next(shell: Shell) -> None:
    for i in range(50):
        assert shell.run(f"[Console]::WriteLine('{i}'); '{i}'").out.split() == [str(i), str(i)]


def test_no_colour_codes_anywhere(shell: Shell) -> None:
    result = shell.run("Get-Item /; Get-Item /nosuch; Write-Warning 'w'; \"`e[1mbold`e[0m\"")
    for text in (result.out, result.err, result.warning):
        assert "\x1b" not in text


@pytest.mark.parametrize("width", [40, 200])
def test_the_width_of_formatted_output(width: int) -> None:
    with Shell(width=width) as shell:
        out = shell.run("[pscustomobject]@{L='x'*500} | Format-Table").out
        assert max(map(len, out.splitlines())) in (width, width - 1)
        assert shell.run("'x' * 500").out == "x" * 500 + "\n"


def test_errors_say_what_pwsh_says(shell: Shell) -> None:
    err = shell.run("Get-Item /nosuch").err
    assert "Get-Item" in err and "Cannot find path '/nosuch' because it does not exist." in err


def test_output_to_null_and_assignments_print_nothing(shell: Shell) -> None:
    assert shell.run("$x = 5; 6 | Out-Null; [void](7); $null = 8").out == ""
