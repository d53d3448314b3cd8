"""Script files: arguments arrive as the values they are, whatever is in them."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtualshell import Shell
from virtualshell.literals import call, literal, quoted


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script that shows what it was given."""
    file = tmp_path_factory.mktemp("scripts") / "it's [an] echo.ps1"
    file.write_text(
        """
param($First, $Second, [switch]$Flag, [string[]]$Names, [hashtable]$Table)
foreach ($value in $First, $Second) {
    if ($null -eq $value) { 'null' } else { "$($value.GetType().Name) $value" }
}
"$Flag $($Names -join '|') $($Table.Count) $($args.Count)"
""",
        encoding="utf-8",
    )
    return file


def test_values_by_position(shell: Shell, echo: Path) -> None:
    out = shell.script(echo, [5, "two words"]).out
    assert out == "Int32 5\nString two words\nFalse  0 0\n"


def test_values_by_name(shell: Shell, echo: Path) -> None:
    given_args = {"Second": 1.5, "Flag": True, "Names": ["a", "b"], "Table": {"k": 1, "l": [2]}}
    assert shell.script(str(echo), given_args).out == "null\nDouble 1.5\nTrue a|b 2 0\n"
    assert shell.script(echo, {"Flag": False}).out == "null\nnull\nFalse  0 0\n"


def test_without_arguments(shell: Shell, echo: Path) -> None:
    assert shell.script(echo).out == "null\nnull\nFalse  0 0\n"
    assert shell.script(echo, []).out == shell.script(echo, {}).out


def test_text_that_looks_like_something_else_stays_text(shell: Shell, echo: Path) -> None:
    for text in ("-Flag", "$PID", "`n", "5", "@(1)", "$(throw)", "a;b", "'", '"', "--%", "-5", ""):
        assert shell.script(echo, [text, 0]).out.startswith(f"String {text}\n")


def test_a_relative_path_is_one_of_pythons_folder(
    shell: Shell, echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(echo.parent)
    assert shell.script(echo.name, [1]).success


def test_dot_source_keeps_what_the_script_defines(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "defines.ps1"
    file.write_text("$defined = 'by the script'; function Get-Defined { $defined }")
    shell.script(file)
    assert not shell.run("Get-Defined").success
    shell.script(file, dot_source=True)
    assert shell.run("Get-Defined").out == "by the script\n"


def test_exit_in_a_script_ends_the_script_only(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "exits.ps1"
    file.write_text("'before'; exit 5; 'after'")
    result = shell.script(file)
    assert (result.out, result.exit_code) == ("before\n", 5)
    assert shell.is_running


def test_names_that_are_none_are_refused(shell: Shell, echo: Path) -> None:
    for name in ("", "a b", "a;b", "a)", "$x", "1", "a:b", "-a", "a\nb", "a'"):
        with pytest.raises(ValueError, match="parameter"):
            shell.script(echo, {name: 1})
    with pytest.raises(TypeError, match="args"):
        shell.script(echo, {5: 1})
    for args in ("text", b"bytes", 5, {1, 2}):
        with pytest.raises(TypeError, match="args"):
            shell.script(echo, args)
    for value in (object(), 1j, lambda: 0, Decimal("NaN"), {"k": object()}, {1.5: 1}):
        with pytest.raises(TypeError, match="can't be"):
            shell.script(echo, [value])


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)
quotes = st.text("'\u2018\u2019\u201a\u201b\"`$\\;\n a", max_size=15)
SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(text=texts | quotes)
def test_every_text_arrives_as_it_is(shell: Shell, text: str) -> None:
    codes = shell.run(
        f"[Convert]::ToHexString([Text.Encoding]::BigEndianUnicode.GetBytes({quoted(text)}))"
    )
    assert codes.err == ""
    assert bytes.fromhex(codes.out.strip()).decode("utf-16-be") == text


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | quotes,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
    max_leaves=8,
)


def as_json(value):
    """What ConvertTo-Json and json.loads make of a value."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


@SETTINGS
@given(value=values)
def test_every_value_arrives_as_it_is(shell: Shell, value) -> None:
    code = f"ConvertTo-Json -Compress -Depth 50 -InputObject @{{v={literal(value)}}}"
    result = shell.run(code)
    assert result.err == ""
    assert json.loads(result.out)["v"] == as_json(value)


@pytest.mark.parametrize(
    "value, check",
    [
        (10**30, "$v -is [bigint] -and $v -eq [bigint]::Pow(10, 30)"),
        (-(10**30), "$v -eq -[bigint]::Pow(10, 30)"),
        (-(2**63), "$v -eq [long]::MinValue"),
        (2**31, "$v -is [long]"),
        (-5, "$v -is [int] -and $v -eq -5"),
        (math.nan, "[double]::IsNaN($v)"),
        (-math.inf, "[double]::IsNegativeInfinity($v)"),
        (5e-324, "$v -eq [double]::Epsilon"),
        (
            Decimal("1.10"),
            "$v -is [decimal] -and $v.ToString('G', [cultureinfo]::InvariantCulture) -eq '1.10'",
        ),
        (b"\x00\xff", "$v -is [byte[]] -and $v.Length -eq 2 -and $v[1] -eq 255"),
        (b"", "$v -is [byte[]] -and $v.Length -eq 0"),
        (b"\x05", "$v -is [byte[]] -and $v.Length -eq 1"),
        (PurePosixPath("/a b"), "$v -eq '/a b'"),
        ([], "$v -is [array] -and $v.Count -eq 0"),
        ([[1, 2]], "$v.Count -eq 1 -and $v[0].Count -eq 2"),
        ([b"ab", [b"c"]], "$v.Count -eq 2 -and $v[0] -is [byte[]] -and $v[1][0] -is [byte[]]"),
        ((1, -2.5, None), "$v.Count -eq 3 -and $v[1] -eq -2.5 -and $null -eq $v[2]"),
        ({"k": {}}, "$v -is [hashtable] -and $v.k -is [hashtable]"),
        ({-1: "minus"}, "$v[-1] -eq 'minus'"),
    ],
    ids=str,
)
def test_values_have_the_right_type(shell: Shell, tmp_path: Path, value, check: str) -> None:
    file = tmp_path / "check.ps1"
    file.write_text(f"param($v) {check}")
    assert shell.script(file, [value]).out == "True\n"
    assert shell.script(file, {"v": value}).out == "True\n"


def test_calls_are_built_from_literals_alone() -> None:
    assert call("/a'b.ps1", ["x'; y", None]) == "& '/a''b.ps1' ('x''; y') ($null)"
    assert (
        call("/s.ps1", {"Name": "\u2019", "On": True})
        == "& '/s.ps1' -Name:('\u2019\u2019') -On:($true)"
    )
    assert call("/s.ps1", None, dot_source=True) == ". '/s.ps1'"
