"""What goes wrong raises the right exception, which says what was wrong; and the bridge goes on."""

from __future__ import annotations

import pickle
import re
import resource

import pytest
from conftest import descriptors

import virtualshell
from virtualshell import (
    ChannelError,
    CommandResult,
    ExecutionTimeoutError,
    SessionLostError,
    Shell,
    TransferError,
    TransferTimeoutError,
    VirtualShellError,
    ZeroCopyBridge,
)

WAIT_S = 20


def works(shell: Shell, bridge: ZeroCopyBridge) -> bool:
    """Both ways, in one step and in two."""
    bridge.send(b"still works", "$check")
    sent = bridge.send_from_powershell("$check")
    two = bridge.receive(timeout=WAIT_S)
    future = bridge.receive_to_powershell("$check2")
    bridge.send(b"works as well")
    future.result(WAIT_S)
    lengths = shell.run("$check.Length; $check2.Length").out
    return two == b"still works" and sent.result(WAIT_S).success and lengths == "11\n13\n"


# The shape of the exceptions


@pytest.mark.parametrize(
    "name", [n for n in virtualshell.__all__ if isinstance(getattr(virtualshell, n), type)]
)
def test_every_exception_is_a_virtualshell_error_and_one_built_in_kind(name: str) -> None:
    kind = getattr(virtualshell, name)
    if not issubclass(kind, Exception) or kind is VirtualShellError:
        return
    assert issubclass(kind, VirtualShellError)
    assert issubclass(kind, TimeoutError) == ("Timeout" in name)
    assert issubclass(kind, MemoryError) == ("Memory" in name)
    assert issubclass(kind, RuntimeError) or "Timeout" in name or "Memory" in name


def test_exceptions_and_results_can_be_pickled(shell: Shell) -> None:
    with pytest.raises(ExecutionTimeoutError) as caught:
        shell.run("'kept'; Start-Sleep 60", timeout=1)
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is ExecutionTimeoutError and str(error) == str(caught.value)
    assert error.result.out == "kept\n" and error.result.status == "timed out"
    assert isinstance(error.result, CommandResult)
    assert repr(error.result) == repr(caught.value.result)


# Commands


def test_a_timeout_stops_the_command_and_keeps_the_session(shell: Shell) -> None:
    pid = shell.pid
    shell.run("$count = 0")
    with pytest.raises(
        ExecutionTimeoutError, match="1 second .*variables are still there"
    ) as caught:
        shell.run("'kept'; while ($true) { $count++ }", timeout=1)
    assert caught.value.result is not None and caught.value.result.out == "kept\n"
    assert int(shell.run("$count").out) > 0
    assert shell.pid == pid


def test_a_timeout_of_zero(shell: Shell) -> None:
    with pytest.raises(TimeoutError):
        shell.run("Start-Sleep 60", timeout=0)
    assert shell.run("1").success


def test_a_command_that_cannot_be_stopped_costs_the_session() -> None:
    with Shell(stop_grace=0.3, initial_commands="$again = 'yes'") as shell:
        first = shell.pid
        with pytest.raises(ExecutionTimeoutError, match="new session has been started"):
            shell.run("[Threading.Thread]::Sleep(60000)", timeout=1)
        assert shell.pid != first
        assert shell.run("$again").out == "yes\n"


def test_a_command_that_cannot_be_stopped_without_restart() -> None:
    with Shell(stop_grace=0.3, auto_restart_on_timeout=False) as shell:
        with pytest.raises(ExecutionTimeoutError, match=r"call start\(\)"):
            shell.run("[Threading.Thread]::Sleep(60000)", timeout=1)
        assert not shell.is_running
        with pytest.raises(SessionLostError, match="killed"):
            shell.run("1")


def test_a_future_that_cannot_be_stopped_restarts_the_session_at_the_next_command() -> None:
    with Shell(stop_grace=0.3) as shell:
        future = shell.run_async("[Threading.Thread]::Sleep(60000)", timeout=1)
        with pytest.raises(ExecutionTimeoutError, match="variables are gone"):
            future.result(WAIT_S)
        assert shell.run("'new'").out == "new\n"


def test_before_start_and_after_stop_the_shell_says_so() -> None:
    shell = Shell()
    for call in (lambda: shell.run("1"), lambda: shell.run_async("1"), shell.ping):
        with pytest.raises(SessionLostError, match=r"not running.*start\(\)"):
            call()
    shell.start()
    shell.stop()
    with pytest.raises(SessionLostError, match=r"stopped.*start\(\)"):
        shell.run("1")


# Transfers into PowerShell


@pytest.mark.parametrize(
    "target, said",
    [
        ("$PID", "PID"),
        ("$readonly", "readonly"),
        ("[int]$typed", "int"),
        ("$typed", "typed"),
        ("$nothing.key", "key"),
        ("$list[99]", "99|range"),
        ("$a; $b", ""),
        ("$(Get-Process)", ""),
        ("$x = 5", ""),
        ("$list[(Remove-Item /nosuch)]", ""),
        ("[byte[]]", ""),
    ],
)
def test_a_target_that_cannot_take_the_data(
    shell: Shell, bridge: ZeroCopyBridge, target: str, said: str
) -> None:
    shell.run(
        "Set-Variable readonly 1 -Option ReadOnly -Force; [int]$typed = 1; $list = @(1);"
        "$nothing = $null"
    )
    with pytest.raises(TransferError) as caught:
        bridge.send(b"\x01\x02\x03", target)
    assert caught.value.result is None or not caught.value.result.success
    assert re.search(said, str(caught.value), re.IGNORECASE)

    future = bridge.receive_to_powershell(target)
    try:
        bridge.send(b"\x01\x02\x03")
    except TransferError as error:
        assert re.search(said, str(error), re.IGNORECASE)
    result = future.result(WAIT_S)
    assert not result.success
    assert re.search(said, result.err, re.IGNORECASE)
    assert works(shell, bridge)
    shell.run("Remove-Variable typed, readonly -Force")


def test_a_receive_that_failed_before_the_send_refuses_it_with_the_reason(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    future = bridge.receive_to_powershell("$a; $b")
    shell.run("1")  # the failed receive is known by then
    with pytest.raises(TransferError, match=r"\$a; \$b"):
        bridge.send(b"refused")
    assert not future.result(WAIT_S).success
    assert works(shell, bridge)


def test_a_failed_receive_that_was_seen_does_not_hit_the_next_send(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    future = bridge.receive_to_powershell("$a; $b")
    assert not future.result(WAIT_S).success
    good = bridge.receive_to_powershell("$good")
    bridge.send(b"good")
    assert good.result(WAIT_S).success
    assert works(shell, bridge)


# Transfers out of PowerShell


@pytest.mark.parametrize(
    "expression, said",
    [
        ("$noSuchVariable.Member.Other()", ""),
        ("throw 'not this time'", "not this time"),
        ("$(throw 'inside')", "inside"),
        ("nosuch-command", "nosuch-command"),
        ("(1 +", ""),
        ("[int]'abc'", "abc"),
    ],
)
def test_an_expression_without_value_raises_at_once_in_receive(
    shell: Shell, bridge: ZeroCopyBridge, expression: str, said: str
) -> None:
    future = bridge.send_from_powershell(expression)
    with pytest.raises(TransferError, match=said):
        bridge.receive(timeout=WAIT_S)
    result = future.result(WAIT_S)
    assert not result.success and result.err.strip()
    with pytest.raises(TransferError, match=said):
        bridge.receive(expression, timeout=WAIT_S)
    with pytest.raises(TransferError, match=said):
        bridge.receive(expression, timeout=WAIT_S, return_memoryview=True)
    assert works(shell, bridge)


def test_a_missing_variable_is_an_error_that_names_it(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("Remove-Variable missing -ErrorAction Ignore")
    future = bridge.send_from_powershell("$missing")
    with pytest.raises(TransferError, match="missing"):
        bridge.receive(timeout=WAIT_S)
    assert "missing" in future.result(WAIT_S).err
    assert works(shell, bridge)


def test_a_failed_send_that_was_seen_does_not_hit_the_next_receive(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    future = bridge.send_from_powershell("throw 'seen'")
    assert not future.result(WAIT_S).success
    bridge.send_from_powershell("[byte[]](7)")
    assert bridge.receive(timeout=WAIT_S) == b"\x07"
    assert works(shell, bridge)


def test_failures_and_successes_keep_their_order(shell: Shell, bridge: ZeroCopyBridge) -> None:
    for expression in ("[byte[]](1)", "throw 'second'", "[byte[]](3)"):
        bridge.send_from_powershell(expression)
    assert bridge.receive() == b"\x01"
    with pytest.raises(TransferError, match="second"):
        bridge.receive()
    assert bridge.receive() == b"\x03"


def test_a_receive_with_nothing_to_come_times_out_and_says_what_to_do(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    for as_view in (False, True):
        with pytest.raises(
            TransferTimeoutError, match="Timeout waiting for PowerShell chunk.*timeout="
        ):
            bridge.receive(timeout=0.05, return_memoryview=as_view)
    with pytest.raises(TimeoutError):
        bridge.receive(timeout=0)
    assert works(shell, bridge)


def test_an_all_in_one_receive_that_times_out_leaves_nothing_behind(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    with pytest.raises(TimeoutError):
        bridge.receive("$(Start-Sleep 60; [byte[]](1))", timeout=1)
    assert bridge.receive("[byte[]](2)", timeout=WAIT_S) == b"\x02"
    assert works(shell, bridge)


# Channels


def test_a_channel_name_is_unique_among_the_open_bridges(shell: Shell) -> None:
    with ZeroCopyBridge(shell, channel_name="taken") as bridge:
        with pytest.raises(ChannelError, match="Failed to create channel.*taken") as caught:
            ZeroCopyBridge(shell, channel_name="taken")
        assert isinstance(caught.value, RuntimeError)
        assert works(shell, bridge)
    with ZeroCopyBridge(shell, channel_name="taken") as again:
        assert works(shell, again)
    with ZeroCopyBridge(shell) as chosen:
        number = int(chosen.channel_name.rpartition("-")[2])
        with ZeroCopyBridge(shell, channel_name=f"bridge-{number + 1}"):
            ZeroCopyBridge(shell).close()
    dropped = ZeroCopyBridge(shell, channel_name="taken")
    del dropped
    ZeroCopyBridge(shell, channel_name="taken").close()


def test_a_channel_without_descriptors_is_an_error_and_nothing_else_is_harmed(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    bridges = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, limits[1]))
        with pytest.raises(ChannelError, match="^Failed to create channel: (?!Failed)"):
            for _ in range(20):
                bridges.append(ZeroCopyBridge(shell))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for one in bridges:
            one.close()
    assert works(shell, bridge)


def test_a_bridge_needs_a_running_shell() -> None:
    with pytest.raises(SessionLostError, match="not running"):
        ZeroCopyBridge(Shell())


def test_a_closed_bridge_says_so(shell: Shell) -> None:
    bridge = ZeroCopyBridge(shell, channel_name="over")
    bridge.close()
    bridge.close()
    assert bridge.closed and "closed" in repr(bridge)
    for call in (
        lambda: bridge.send(b"x"),
        lambda: bridge.send(b"x", "$x"),
        lambda: bridge.receive(),
        lambda: bridge.receive("$x"),
        lambda: bridge.receive_to_powershell("$x"),
        lambda: bridge.send_from_powershell("$x"),
    ):
        with pytest.raises(ChannelError, match="over.*closed"):
            call()


def test_a_bridge_of_an_ended_session_says_so(own_shell: Shell) -> None:
    bridge = ZeroCopyBridge(own_shell)
    own_shell.run("exit")
    with pytest.raises(SessionLostError, match="new ZeroCopyBridge"):
        bridge.send(b"x")
    own_shell.start()
    with pytest.raises(VirtualShellError, match="new ZeroCopyBridge"):
        bridge.receive()
    with ZeroCopyBridge(own_shell) as new:
        assert works(own_shell, new)
