"""Ctrl-C raises KeyboardInterrupt at once, wherever Python waits, and everything can be used
afterwards.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from virtualshell import Shell, ZeroCopyBridge

WAIT_S = 20
INTERRUPT_S = 0.5


class Interrupt:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> None:
        self.at = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    def was_quick(self) -> bool:
        return time.monotonic() - self.at < INTERRUPT_S


@pytest.fixture
def interrupt():
    """Sends SIGINT, to be called in another thread; the handler is Python's own."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield Interrupt()
    signal.signal(signal.SIGINT, before)


def test_in_start_nothing_is_left(interrupt, tmp_path) -> None:
    begun, engine = tmp_path / "begun", tmp_path / "pwsh"
    os.mkfifo(begun)
    engine.write_text(f"#!/bin/sh\necho $$ > '{begun}'\nexec sleep 60\n")
    engine.chmod(0o755)
    shell, pids = Shell(str(engine), start_timeout=WAIT_S), []

    def once_begun() -> None:
        pids.append(int(begun.read_text()))
        interrupt()

    thread = threading.Thread(target=once_begun)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        shell.start()
    assert interrupt.was_quick()
    thread.join()
    assert not shell.is_running
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_in_run_it_stops_the_command(shell: Shell, gate, interrupt) -> None:
    pid = shell.pid
    thread = gate.then(interrupt)
    with pytest.raises(KeyboardInterrupt):
        shell.run(f"$interrupted = 1; {gate.pass_command}; Start-Sleep 60; $interrupted = 2")
    assert interrupt.was_quick()
    thread.join()
    assert shell.run("$interrupted", timeout=WAIT_S).out == "1\n"
    assert shell.pid == pid


def test_in_result_the_command_goes_on(shell: Shell, gate, interrupt, tmp_path) -> None:
    future = shell.run_async(
        f"{gate.pass_command}; while (-not (Test-Path '{tmp_path}/go')) {{ }}; 'went on'"
    )
    thread = gate.then(interrupt)
    with pytest.raises(KeyboardInterrupt):
        future.result(WAIT_S)
    assert interrupt.was_quick()
    thread.join()
    (tmp_path / "go").touch()
    assert future.result(WAIT_S).out == "went on\n"


def test_in_receive(shell: Shell, bridge: ZeroCopyBridge, gate, interrupt) -> None:
    for as_view in (False, True):
        running = shell.run_async(gate.pass_command)
        thread = gate.then(interrupt)
        with pytest.raises(KeyboardInterrupt):
            bridge.receive(timeout=WAIT_S, return_memoryview=as_view)
        assert interrupt.was_quick()
        thread.join()
        assert running.result(WAIT_S).success
    bridge.send_from_powershell("[byte[]](1,2)")
    assert bridge.receive(timeout=WAIT_S) == b"\x01\x02"


def test_in_an_all_in_one_receive(shell: Shell, bridge: ZeroCopyBridge, gate, interrupt) -> None:
    thread = gate.then(interrupt)
    with pytest.raises(KeyboardInterrupt):
        bridge.receive(f"$({gate.pass_command}; Start-Sleep 60)", timeout=WAIT_S)
    thread.join()
    assert bridge.receive("[byte[]](1,2)", timeout=WAIT_S) == b"\x01\x02"


def test_in_send(shell: Shell, gate, interrupt) -> None:
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        running = shell.run_async(gate.pass_command)
        thread = gate.then(interrupt)
        with pytest.raises(KeyboardInterrupt):
            bridge.send(bytes(10_000_000), timeout=WAIT_S)
        assert interrupt.was_quick()
        thread.join()
        assert running.result(WAIT_S).success
        bridge.send(b"after", "$after")
        future = bridge.receive_to_powershell("$after2")
        bridge.send(b"after 2")
        assert future.result(WAIT_S).success
        assert shell.run("$after.Length; $after2.Length").out == "5\n7\n"


def test_ctrl_c_in_the_terminal_does_not_reach_the_engine(shell: Shell) -> None:
    assert shell.pid is not None
    assert os.getpgid(shell.pid) != os.getpgid(0)
    assert os.getsid(shell.pid) != os.getsid(0)
