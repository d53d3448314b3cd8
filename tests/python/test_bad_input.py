"""Wrong arguments raise at the call, name what was wrong, and change nothing."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtualshell import PowerShellNotFoundError, Shell, ZeroCopyBridge

BAD_TIMEOUTS = [
    (-1, ValueError),
    (-0.001, ValueError),
    (math.nan, ValueError),
    (-math.inf, ValueError),
    (True, TypeError),
    (False, TypeError),
    ("5", TypeError),
    (b"5", TypeError),
    ([5], TypeError),
    (5j, TypeError),
    (Decimal(5), TypeError),
]


@pytest.mark.parametrize("timeout, kind", BAD_TIMEOUTS)
def test_timeouts(shell: Shell, bridge: ZeroCopyBridge, timeout, kind) -> None:
    calls = [
        lambda: shell.run("1", timeout=timeout),
        lambda: shell.run_async("1", timeout=timeout),
        lambda: shell.ping(timeout),
        lambda: bridge.send(b"x", timeout=timeout),
        lambda: bridge.send(b"x", "$x", timeout=timeout),
        lambda: bridge.receive(timeout=timeout),
        lambda: bridge.receive("$x", timeout=timeout),
        lambda: bridge.receive_to_powershell("$x", timeout=timeout),
        lambda: bridge.send_from_powershell("$x", timeout=timeout),
    ]
    for call in calls:
        with pytest.raises(kind, match="timeout") as caught:
            call()
        assert repr(timeout) in str(caught.value)
    with pytest.raises(kind, match="timeout_seconds"):
        Shell(timeout_seconds=timeout)


def test_timeouts_that_are_numbers_of_other_libraries(shell: Shell) -> None:
    numpy = pytest.importorskip("numpy")
    for timeout in (numpy.float32(5), numpy.int64(5), numpy.float64(5)):
        assert shell.run("1", timeout=timeout).success


@pytest.mark.parametrize("name", ["frame_mb", "chunk_mb"])
@pytest.mark.parametrize(
    "value, kind",
    [
        (0, ValueError),
        (-1, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (0.01, ValueError),
        (0.3, ValueError),
        (10**9, ValueError),
        (10**400, ValueError),
        (True, TypeError),
        ("64", TypeError),
        (None, TypeError),
        ([64], TypeError),
    ],
)
def test_sizes(shell: Shell, name: str, value, kind) -> None:
    with pytest.raises(kind, match=name) as caught:
        ZeroCopyBridge(shell, **{name: value})
    assert repr(value)[:20] in str(caught.value)


@pytest.mark.parametrize(
    "frame_mb, chunk_mb", [(0.5, 0.0625), (1, 1), (1.5, 4), (64, 1024), (4096, 4)]
)
def test_sizes_that_are_right(shell: Shell, frame_mb, chunk_mb) -> None:
    with ZeroCopyBridge(shell, frame_mb=frame_mb, chunk_mb=chunk_mb) as bridge:
        assert (bridge.frame_mb, bridge.chunk_mb) == (frame_mb, chunk_mb)
        bridge.send(b"x" * 100, "$x")
        assert bridge.receive("$x") == b"x" * 100


@pytest.mark.parametrize(
    "arguments, kind, said",
    [
        ({"scope": "local"}, ValueError, "scope.*'local'"),
        ({"scope": "Machine"}, ValueError, "Local.*Global"),
        ({"scope": None}, TypeError, "scope"),
        ({"channel_name": ""}, ValueError, "channel_name"),
        ({"channel_name": "  "}, ValueError, "channel_name"),
        ({"channel_name": 5}, TypeError, "channel_name.*5"),
        ({"channel_name": b"x"}, TypeError, "channel_name"),
    ],
)
def test_arguments_of_a_bridge(shell: Shell, arguments, kind, said: str) -> None:
    with pytest.raises(kind, match=said):
        ZeroCopyBridge(shell, **arguments)


def test_a_bridge_of_something_else_than_a_shell() -> None:
    for thing in (None, "shell", Shell):
        with pytest.raises(TypeError, match="shell"):
            ZeroCopyBridge(thing)


def test_what_a_bridge_says_of_itself(shell: Shell) -> None:
    with ZeroCopyBridge(shell, "named", 2, 1, "Global") as bridge:
        facts = (bridge.channel_name, bridge.frame_mb, bridge.chunk_mb, bridge.scope, bridge.closed)
        assert facts == ("named", 2, 1, "Global", False)
        assert "named" in repr(bridge)
    with ZeroCopyBridge(shell) as one, ZeroCopyBridge(shell) as two:
        assert one.channel_name != two.channel_name


@pytest.mark.parametrize(
    "data", ["text", 5, None, 1.5, [1, 2], {"a": 1}, object()], ids=lambda data: type(data).__name__
)
def test_data_that_is_no_buffer(shell: Shell, bridge: ZeroCopyBridge, data) -> None:
    for target in (None, "$x"):
        with pytest.raises(TypeError, match="data"):
            bridge.send(data, target)
    bridge.send(b"fine", "$x")


@pytest.mark.parametrize(
    "target, kind",
    [
        ("", ValueError),
        (" ", ValueError),
        ("name", ValueError),
        ("Get-Process", ValueError),
        ("5", ValueError),
        ("$x\0", ValueError),
        (5, TypeError),
        (None, TypeError),
        (b"$x", TypeError),
        (30.0, TypeError),
    ],
)
def test_targets(bridge: ZeroCopyBridge, target, kind) -> None:
    with pytest.raises(kind, match="target"):
        bridge.receive_to_powershell(target)
    if target is not None:
        with pytest.raises(kind, match="target"):
            bridge.send(b"x", target)
    bridge.send(b"fine", "$x")


@pytest.mark.parametrize("expression, kind", [("", ValueError), (" ", ValueError), (5, TypeError)])
def test_expressions(bridge: ZeroCopyBridge, expression, kind) -> None:
    with pytest.raises(kind, match="expression"):
        bridge.send_from_powershell(expression)
    with pytest.raises(kind, match="expression"):
        bridge.receive(expression)


@pytest.mark.parametrize(
    "depth, kind",
    [
        (0, ValueError),
        (-1, ValueError),
        (101, ValueError),
        (2.0, TypeError),
        (True, TypeError),
        ("2", TypeError),
    ],
)
def test_depths(bridge: ZeroCopyBridge, depth, kind) -> None:
    with pytest.raises(kind, match="depth"):
        bridge.send_from_powershell("$x", depth=depth)
    with pytest.raises(kind, match="depth"):
        bridge.receive("$x", depth=depth)


@pytest.mark.parametrize("command", [None, 5, b"1", bytearray(b"1"), {"a"}, [1], ["1", None]])
def test_commands(shell: Shell, command) -> None:
    with pytest.raises(TypeError, match="command"):
        shell.run(command)
    with pytest.raises(TypeError, match="command"):
        shell.run_async(command)


def test_a_callback_that_cannot_be_called(shell: Shell) -> None:
    with pytest.raises(TypeError, match="callback"):
        shell.run_async("1", "not callable")


@pytest.mark.parametrize(
    "arguments, kind, said",
    [
        ({"width": 0}, ValueError, "width"),
        ({"width": "80"}, TypeError, "width"),
        ({"width": 80.0}, TypeError, "width"),
        ({"start_timeout": 0}, ValueError, "start_timeout"),
        ({"start_timeout": None}, TypeError, "start_timeout"),
        ({"stop_grace": -1}, ValueError, "stop_grace"),
        ({"environment": ["A=1"]}, TypeError, "environment"),
        ({"environment": {"A": 1}}, TypeError, "environment.*'A'"),
        ({"environment": {"A=B": "1"}}, ValueError, "environment.*A=B"),
        ({"environment": {"": "1"}}, ValueError, "environment"),
        ({"environment": {"A": "\0"}}, ValueError, "environment"),
        ({"initial_commands": 5}, TypeError, "initial_commands"),
        ({"initial_commands": [5]}, TypeError, "initial_commands"),
        ({"working_directory": 5}, TypeError, "working_directory"),
        ({"working_directory": ""}, ValueError, "working_directory"),
        ({"powershell_path": 5}, TypeError, "powershell_path"),
        ({"powershell_path": b"/bin/pwsh"}, TypeError, "powershell_path"),
        ({"powershell_path": "\0"}, ValueError, "powershell_path"),
    ],
)
def test_arguments_of_a_shell(arguments, kind, said: str) -> None:
    with pytest.raises(kind, match=said):
        Shell(**arguments)


def test_a_working_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nosuch"):
        Shell(working_directory=tmp_path / "nosuch").start()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match="file"):
        Shell(working_directory=file).start()


def test_a_powershell_that_is_not_there_names_the_ways_to_get_one(tmp_path: Path) -> None:
    for path in (tmp_path / "nosuch", "nosuch-pwsh"):
        with pytest.raises(PowerShellNotFoundError, match="install-engine") as caught:
            Shell(path).start()
        for way in ("nosuch", "PATH", "powershell_path=", "NuGet"):
            assert way in str(caught.value)
        assert isinstance(caught.value, RuntimeError)


def test_a_powershell_that_is_something_else() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        Shell("/bin/true", start_timeout=10).start()


def test_scripts_that_are_not_there(shell: Shell) -> None:
    with pytest.raises(FileNotFoundError, match="nosuch.ps1"):
        shell.script("nosuch.ps1")
    with pytest.raises(TypeError, match="path"):
        shell.script(5)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=40))
def test_no_text_whatever_breaks_the_session(
    shell: Shell, bridge: ZeroCopyBridge, text: str
) -> None:
    """As a command it may do anything but end the session; as a target or an expression it fails or
    not.
    """
    if "exit" in text.lower():
        return
    pid = shell.pid
    shell.run("$null = '" + text.replace("'", "") + "'")
    try:
        future = bridge.receive_to_powershell("$" + text)
    except ValueError:
        pass
    else:
        assert future.cancel() or not future.result(20).success
    assert shell.run("1+1").out == "2\n"
    assert shell.pid == pid
