"""A command or a file that begins with a byte order mark does what it does without one."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from virtualshell import Shell, ZeroCopyBridge

MARK = "\ufeff"
WAIT_S = 20


@pytest.mark.parametrize(
    "command, out",
    [
        ("1+1", "2\n"),
        ("'text'", "text\n"),
        ("# a comment\n'line two'", "line two\n"),
        ("param($x = 5) $x", "5\n"),
        ("using namespace System.Text\n[Encoding]::UTF8.WebName", "utf-8\n"),
        ("function f { 'f' }; f", "f\n"),
        ("  \n'after space'", "after space\n"),
        ("", ""),
    ],
)
def test_a_command_that_begins_with_a_mark(shell: Shell, command: str, out: str) -> None:
    for text in (MARK + command, command, MARK + command):
        assert (shell.run(text).out, shell.run(text, local_scope=True).err) == (out, "")
        assert shell.run_async(text).result(WAIT_S).out == out


def test_a_long_command_that_begins_with_a_mark(shell: Shell) -> None:
    assert shell.run(f"{MARK}'{'x' * 100_000}'.Length").out == "100000\n"


def test_an_initial_command_that_begins_with_a_mark() -> None:
    with Shell(initial_commands=f"{MARK}$x = 5") as shell:
        assert shell.run("$x").out == "5\n"


def test_an_expression_that_begins_with_a_mark(bridge: ZeroCopyBridge) -> None:
    assert bridge.receive(f"{MARK}[byte[]](1, 2)") == b"\x01\x02"


def test_only_the_first_mark_is_no_text(shell: Shell) -> None:
    assert shell.run(f"{MARK}'{MARK}x'.Length; [int]'{MARK}x'[0]").out == "2\n65279\n"
    assert not shell.run(f"{MARK}{MARK}1+1").success  # as in a file with two


def test_a_mark_in_data_and_in_output_stays(shell: Shell, bridge: ZeroCopyBridge) -> None:
    assert shell.run("\"$([char]0xFEFF)x\"").out == f"{MARK}x\n"
    bridge.send(f"{MARK}x".encode(), "$marked")
    assert bridge.receive("$marked") == f"{MARK}x".encode()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", None])
def test_a_script_file_that_begins_with_a_mark(
    shell: Shell, tmp_path: Path, encoding: Optional[str]
) -> None:
    """As `pwsh` reads it."""
    text = "param($a)\n\"$a \u00fc \u20ac\"\n"
    marked = text if encoding in (None, "utf-8-sig") else MARK + text
    file = tmp_path / "script.ps1"
    file.write_bytes(marked.encode(encoding or "utf-8"))
    for dot_source in (False, True):
        result = shell.script(file, [f"{MARK}1"], dot_source=dot_source)
        assert (result.out, result.err) == (f"{MARK}1 \u00fc \u20ac\n", "")
        assert shell.run(f". '{file}' 2").out == "2 \u00fc \u20ac\n"
    assert shell.run(MARK + file.read_bytes().decode(encoding or "utf-8").lstrip(MARK)).success
