"""What SECURITY.md promises, from the outside: names and values run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtualshell import Shell, TransferError, ZeroCopyBridge

WAIT_S = 30.0


@pytest.fixture
def nothing_runs(shell: Shell) -> Iterator[None]:
    """`Hit`, wherever a test hides it, is not run."""
    shell.run("$global:hits = 0; function global:Hit { $global:hits++ }")
    yield
    assert shell.run("$hits; Hit; $hits").out == "0\n1\n"


# Names

NO_TARGETS = [
    "$x; Hit",
    "$x;Hit",
    "$x\nHit",
    "$x\rHit",
    "$x\r\nHit",
    "$x\n\n;Hit",
    "$x # \nHit",
    "$x <# #> ; Hit",
    "$x `\n; Hit",
    "$x | Hit",
    "$x && Hit",
    "$x || Hit",
    "$x & Hit",
    "$x > $(Hit)",
    "$x = Hit",
    "$x = $y; Hit",
    "$x, $(Hit)",
    "$x -join (Hit)",
    "$x ?? (Hit)",
    "$x ? (Hit) : 1",
    "$x) ; Hit ; ($x",
    "$x } ; Hit ; { $x",
    "$x'; Hit; '",
    '$x"; Hit; "',
    "$x\u2019; Hit; \u2018",
    "$x\u201d; Hit; \u201c",
    "$x\u2028Hit",
    "$x \u2028 Hit",
    "$x\u0085Hit",
    "$x \u2013join (Hit)",
    "$x\ufeff; Hit",
    "$(Hit)",
    "$(Hit).x",
    "$x[$(Hit)]",
    "$x[(Hit)]",
    "$x[{ Hit }]",
    '$x["$(Hit)"]',
    "$x[@(Hit)]",
    "$x.$(Hit)",
    "$x.(Hit)",
    '$x."$(Hit)"',
    "$x.Hit()",
    "$x.ForEach({ Hit })",
    "$x.Where{ Hit }",
    "$x?.Hit()",
    "$x::Hit()",
    "[scriptblock]::Create('Hit').Invoke()",
    "[scriptblock]::Create('Hit').Invoke",
    "[ValidateScript({ Hit })]$x",
    "[ArgumentCompleter({ Hit })]$x",
    "[int]$($(Hit))",
    "[int]$x; Hit",
    "[int](Hit)",
    "${x}; Hit",
    "${x}$(Hit)",
    "${x`}; Hit",
    "$function:Hit",
    "${function:Hit}",
    "$alias:Hit",
    "${alias:Hit}",
    "$using:x",
    "$variable:x; Hit",
]


@pytest.mark.parametrize("target", NO_TARGETS)
def test_a_target_that_is_more_than_a_place_is_refused_and_nothing_runs(
    nothing_runs: None, bridge: ZeroCopyBridge, target: str
) -> None:
    for lease in (False, True):
        with pytest.raises((TransferError, ValueError)):
            bridge.send(b"data", target, lease=lease)
        future = bridge.receive_to_powershell(target, lease=lease)
        assert not future.result(WAIT_S).success
    bridge.send(b"goes on", "$x")
    assert bridge.receive("$x") == b"goes on"


NO_EXPRESSIONS = [
    "$x; Hit",
    "$x\nHit",
    "$x\rHit",
    "$x\u2028; Hit",
    "$x # \nHit",
    "$x); Hit; (1",
    "$x\n); Hit; (1",
    "$x)\n; Hit\n(1",
    "1; Hit #",
    "<# #> 1; Hit",
    "<# ); Hit; (",
    "'); Hit; ('; Hit",
    "'); Hit; (",
    "@'\n'); Hit; (\n'@; Hit",
    "1 # `\n); Hit; (1",
    "1 `\n); Hit; (1",
    "$y = Hit",
    "$y += Hit",
    "if (1) { Hit }",
    "while (Hit) { }",
    "trap { Hit } 1",
    "function F { } Hit",
    "param($p = (Hit)) 1",
    "begin { Hit }",
    "using namespace System\nHit",
    "data { Hit }",
    "return (Hit)",
    "throw (Hit)",
    "${x}; Hit",
    "${x`}; Hit",
]


@pytest.mark.parametrize("expression", NO_EXPRESSIONS)
def test_an_expression_that_is_more_than_one_is_refused_and_nothing_runs(
    nothing_runs: None, shell: Shell, bridge: ZeroCopyBridge, expression: str
) -> None:
    shell.run("$x = 1")
    with pytest.raises(TransferError):
        bridge.receive(expression)
    assert not bridge.send_from_powershell(expression).result(WAIT_S).success
    assert bridge.receive("'goes on'")


@pytest.mark.parametrize(
    "name", ["x; Hit", "$(Hit)", "x`}; Hit", "x'; Hit; '", 'x"$(Hit)"', "x\nHit", "(Hit)", "&Hit"]
)
def test_a_name_in_braces_is_a_name_whatever_it_looks_like(
    nothing_runs: None, shell: Shell, bridge: ZeroCopyBridge, name: str
) -> None:
    bridge.send(name.encode(), "${" + name + "}")
    assert bridge.receive("${" + name + "}") == name.encode()
    plain = name.replace("`}", "}").replace("'", "''")
    assert shell.run(f"Remove-Variable -Name '{plain}' -Scope Global").success


FRAGMENTS = [
    *("$x", "${x}", "${", "}", "Hit", "(Hit)", "$(Hit)", "{Hit}", "&", ";", "|", "\n", "\r", "`"),
    *("'", '"', "\u2018", "\u2019", "\u201c", "\u201d", "(", ")", "[", "]", "@(", "@'\n", "\n'@"),
    *("#", "<#", "#>", ".", "::", ",", "=", " ", "[int]", "-join", "\u2013", "\u2028", "\u0085"),
]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=7))
def test_no_target_made_of_code_runs_any_of_it(
    nothing_runs: None, bridge: ZeroCopyBridge, fragments: List[str]
) -> None:
    try:
        bridge.send(b"data", "$" + "".join(fragments))
    except (TransferError, ValueError):
        pass


def test_the_name_of_a_bridge_runs_nothing(nothing_runs: None, shell: Shell) -> None:
    for name in ("x; Hit", "$(Hit)", "x'; Hit; '", 'x"; Hit; "', "x\nHit", "../x", "/tmp/x", "x\0y"):
        with ZeroCopyBridge(shell, name) as bridge:
            bridge.send(b"data", "$x")
            assert bridge.receive("$x") == b"data"


# Values

VALUES = [
    "$(Hit)",
    "'; Hit; '",
    '"; Hit; "',
    "$x; Hit\n",
    "`$(Hit)",
    "\u2019; Hit; \u2018",
    "_x000A_Hit",
    "</S></Objs><Hit/>",
    "]]>&quot;<!-- Hit -->",
]


def test_values_that_look_like_code_arrive_as_they_are(
    nothing_runs: None, shell: Shell, bridge: ZeroCopyBridge
) -> None:
    for value in VALUES:
        bridge.send(value.encode(), "$value")
        assert bridge.receive("$value") == value.encode()
        shell.run("$text = [Text.Encoding]::UTF8.GetString($value)")
        bridge.send(bridge.receive("$text"), "$back")
        assert shell.run("$back -ceq $text -and $back -is [string]").out == "True\n"


def test_an_object_that_holds_code_runs_none_of_it_on_its_way(
    nothing_runs: None, shell: Shell, bridge: ZeroCopyBridge
) -> None:
    bridge.send(bridge.receive("@{ Block = { Hit }; Text = '$(Hit)' }"), "$back")
    assert shell.run("$back.Text; $back.Block").out == "$(Hit)\n Hit \n"


def test_what_is_given_at_the_start_is_no_code_either(tmp_path: Path) -> None:
    folder = tmp_path / "it's $(throw); `a [b]"
    folder.mkdir()
    with Shell(working_directory=folder, environment={"GIVEN": "$(throw); '"}) as shell:
        assert shell.run("(Get-Location).Path; $env:GIVEN").out == f"{folder}\n$(throw); '\n"
