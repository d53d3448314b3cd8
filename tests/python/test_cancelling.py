"""Cancelling a future: of a command, of a posted transfer, while somebody waits."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

from virtualshell import Shell, ZeroCopyBridge

WAIT_S = 20


def test_cancel_stops_the_running_command(shell: Shell, gate) -> None:
    future = shell.run_async(f"$gone = 1; {gate.pass_command}; Start-Sleep 60; $gone = 2")
    gate.wait()
    assert future.cancel()
    assert future.cancelled() and future.done()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()
    assert shell.run("$gone", timeout=WAIT_S).out == "1\n"


def test_cancel_of_a_command_that_waits_its_turn(shell: Shell, gate) -> None:
    first = shell.run_async(gate.pass_command)
    second = shell.run_async("$ran = 'yes'")
    shell.run_async("$null")
    assert second.cancel()
    assert concurrent.futures.wait([second], WAIT_S).done == {second}
    gate.wait()
    assert first.result(WAIT_S).success
    assert shell.run("$ran").out == ""


def test_cancel_ends_a_wait_in_another_thread(shell: Shell, gate) -> None:
    future = shell.run_async(f"{gate.pass_command}; Start-Sleep 60")
    raised = []

    def wait() -> None:
        try:
            future.result(WAIT_S)
        except concurrent.futures.CancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    gate.wait()
    assert future.cancel()
    thread.join(WAIT_S)
    assert len(raised) == 1


def test_cancel_of_what_is_done_is_false(shell: Shell) -> None:
    future = shell.run_async("1")
    assert future.result(WAIT_S).success
    assert not future.cancel() and not future.cancelled()


def test_callbacks_and_waiters_see_a_cancelled_future_once(shell: Shell, gate) -> None:
    called = []
    future = shell.run_async(f"{gate.pass_command}; Start-Sleep 60", called.append)
    future.add_done_callback(called.append)
    gate.wait()
    assert future.cancel() and future.cancel()
    assert list(concurrent.futures.as_completed([future], WAIT_S)) == [future]
    assert called == [future]  # not the callback of run_async, which would get a result


def test_a_posted_receive_is_withdrawn_by_cancel(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$withdrawn = 'untouched'")
    first = bridge.receive_to_powershell("$withdrawn")
    second = bridge.receive_to_powershell("$second")
    assert first.cancel() and first.cancelled()
    bridge.send(b"for the second")
    assert second.result(WAIT_S).success
    assert shell.run("$withdrawn; $second.Length").out == "untouched\n14\n"


def test_a_receive_whose_message_was_sent_is_not_withdrawn(bridge: ZeroCopyBridge) -> None:
    future = bridge.receive_to_powershell("$late")
    bridge.send(b"sent")
    assert not future.cancel()
    assert future.result(WAIT_S).success


def test_a_posted_send_is_withdrawn_by_cancel(shell: Shell, bridge: ZeroCopyBridge, gate) -> None:
    running = shell.run_async(gate.pass_command)
    future = bridge.send_from_powershell("'never'")
    assert future.cancel()
    gate.wait()
    assert running.result(WAIT_S).success
    assert bridge.receive("'next'") and bridge.send_from_powershell("[byte[]](5)")
    assert bridge.receive() == b"\x05"
