"""Sessions begin and end as they should, whoever ends first, and leave nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Tuple

import pytest
from conftest import wait_for_end

from virtualshell import SessionLostError, Shell, VirtualShellError, ZeroCopyBridge

WAIT_S = 20
DEATH_S = 0.5  # 0.1 after the kernel's word, which takes its time to free the process's memory


def test_start_twice_is_once_and_returns_the_shell() -> None:
    shell = Shell()
    assert shell.start() is shell
    pid = shell.pid
    assert shell.start().pid == pid
    with shell as same:
        assert same is shell and shell.pid == pid
    assert not shell.is_running


def test_stop_is_the_end_of_the_process_and_may_come_again() -> None:
    shell = Shell()
    shell.stop()
    shell.start()
    pid = shell.pid
    assert shell.is_running and pid is not None
    shell.stop()
    shell.stop()
    assert not shell.is_running and shell.pid is None
    assert not Path(f"/proc/{pid}").exists()
    assert "not running" in repr(shell)


def test_stop_does_not_wait_for_a_running_command(gate) -> None:
    for force in (False, True):
        shell = Shell().start()
        future = shell.run_async(f"{gate.pass_command}; Start-Sleep 60")
        gate.wait()
        begin = time.monotonic()
        shell.stop(force)
        assert time.monotonic() - begin < 10
        with pytest.raises(SessionLostError):
            future.result(WAIT_S)


def test_a_new_session_begins_with_nothing(own_shell: Shell) -> None:
    own_shell.run("$old = 1")
    own_shell.stop()
    assert own_shell.start().run("$null -eq $old").out == "True\n"


def test_a_dropped_shell_ends_its_process() -> None:
    shell = Shell().start()
    bridge = ZeroCopyBridge(shell)
    bridge.receive_to_powershell("$never")
    pid, reference = shell.pid, weakref.ref(shell)
    assert pid is not None
    del bridge
    del shell
    gc.collect()
    assert reference() is None
    assert wait_for_end(pid, WAIT_S)


def test_a_bridge_keeps_its_shell() -> None:
    bridge = ZeroCopyBridge(Shell().start())
    gc.collect()
    bridge.send(b"x", "$x")
    bridge._shell.stop()


def test_a_dropped_bridge_is_closed(shell: Shell) -> None:
    bridge = ZeroCopyBridge(shell, "dropped")
    reference = weakref.ref(bridge)
    del bridge
    assert reference() is None
    with ZeroCopyBridge(shell, "dropped"):
        pass


def test_stop_closes_the_bridges() -> None:
    with Shell() as shell:
        bridge = ZeroCopyBridge(shell)
    assert bridge.closed
    bridge.close()


def test_bridges_and_shells_leave_no_descriptors(shell: Shell) -> None:
    def use() -> None:
        with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
            bridge.send(b"x" * 1000, "$x")
            bridge.receive("$x", return_memoryview=True)

    def in_use() -> Tuple[int, int]:
        gc.collect()
        theirs = shell.run("[GC]::Collect(); (Get-ChildItem /proc/$PID/fd).Count").out
        return len(os.listdir("/proc/self/fd")), int(theirs)

    use()
    ours, theirs = in_use()
    for _ in range(30):
        use()
    now = in_use()
    assert now[0] <= ours + 1 and now[1] < theirs + 30


def test_nothing_in_dev_shm(shell: Shell, bridge: ZeroCopyBridge) -> None:
    before = set(os.listdir("/dev/shm"))
    bridge.send(bytes(10_000_000), "$x")
    assert set(os.listdir("/dev/shm")) == before


# The engine dies


def killed(shell: Shell) -> float:
    """Kills the engine; the time at which the kernel says that it is dead."""
    pid = shell.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert wait_for_end(pid, WAIT_S)
    return time.monotonic()


def test_an_engine_that_is_killed_ends_every_wait_and_says_so(gate) -> None:
    shell = Shell().start()
    bridge = ZeroCopyBridge(shell)
    ended = {}

    def waits(name, call) -> threading.Thread:
        def run() -> None:
            try:
                call()
            except VirtualShellError as error:
                ended[name] = (time.monotonic(), str(error))

        thread = threading.Thread(target=run, name=name)
        thread.start()
        return thread

    other = ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25)
    queued = shell.run_async("1")
    queued.result(WAIT_S)
    future = shell.run_async(f"{gate.pass_command}; Start-Sleep 60")
    transfer = bridge.receive_to_powershell("$x")
    threads = [
        waits("run", lambda: shell.run("Start-Sleep 60")),
        waits("result", lambda: future.result(WAIT_S)),
        waits("receive", lambda: bridge.receive(timeout=WAIT_S)),
        waits("view", lambda: other.receive(timeout=WAIT_S, return_memoryview=True)),
        waits("send", lambda: other.send(bytes(8_000_000), timeout=WAIT_S)),
        waits("transfer", lambda: transfer.result(WAIT_S)),
    ]
    gate.wait()
    dead = killed(shell)
    for thread in threads:
        thread.join(WAIT_S)
    assert set(ended) == {thread.name for thread in threads}
    for name, (when, text) in ended.items():
        assert when - dead < DEATH_S, name
        assert "ended" in text or "killed" in text, text
    assert not shell.is_running
    with pytest.raises(SessionLostError, match="killed by signal 9"):
        shell.run("1")
    shell.stop()


def test_what_nobody_waits_for_ends_too_when_the_engine_is_killed() -> None:
    with Shell() as shell:
        called = threading.Event()
        future = shell.run_async("Start-Sleep 60", lambda result: called.set())
        killed(shell)
        assert called.wait(WAIT_S)
        assert isinstance(future.exception(0), SessionLostError)


def test_a_new_session_after_the_engine_was_killed() -> None:
    with Shell() as shell:
        killed(shell)
        assert shell.start().run("1+1").out == "2\n"
    with Shell(auto_restart=True) as shell:
        killed(shell)
        assert shell.run("1+1").out == "2\n"


def test_data_that_was_received_stays_when_the_engine_is_killed() -> None:
    with Shell() as shell, ZeroCopyBridge(shell) as bridge:
        bridge.send(b"stays" * 1000, "$x")
        view = bridge.receive("$x", return_memoryview=True)
        killed(shell)
        assert view == b"stays" * 1000


# Python ends

STARTED = """
import sys
from virtualshell import Shell, ZeroCopyBridge
shell = Shell().start()
bridge = ZeroCopyBridge(shell)
future = shell.run_async("Start-Sleep 600")
transfer = bridge.receive_to_powershell("$x")
print(shell.pid, flush=True)
"""


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "sys.exit(0)",
        "raise SystemExit",
        "kept = bridge._idle, transfer, shell._session",
        "import threading; threading.Thread(target=future.exception).start(); shell.stop()",
        "import gc; gc.disable(); cycle = [shell, bridge, future]; cycle.append(cycle)",
        "future.add_done_callback(lambda f: None); del shell",
    ],
)
def test_an_engine_ends_with_its_python(run_python, ending: str) -> None:
    done = run_python(STARTED + ending)
    assert (done.returncode, done.stderr) == (0, "")
    assert wait_for_end(int(done.stdout), WAIT_S)


def test_an_engine_ends_after_an_exception_of_the_program(run_python) -> None:
    done = run_python(STARTED + "raise ValueError('of the program')")
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: of the program")
    assert "virtualshell" not in done.stderr
    assert wait_for_end(int(done.stdout), WAIT_S)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_ends_within_a_second_when_python_is_killed(tmp_path: Path, number) -> None:
    file = tmp_path / "program.py"
    file.write_text(STARTED + "import signal; signal.pause()")
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.send_signal(number)
        program.wait()
        assert wait_for_end(pid, 1.0)


def test_programs_that_powershell_started_do_not_hold_the_session_open(tmp_path: Path) -> None:
    """One that goes on when Python is killed must not keep the engine."""
    code = STARTED.replace("Start-Sleep 600", "/bin/sleep 600")
    file = tmp_path / "program.py"
    file.write_text(code + "import signal; signal.pause()")
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.kill()
        program.wait()
        assert wait_for_end(pid, 1.0)


def test_the_import_starts_nothing(run_python) -> None:
    done = run_python(
        "import pathlib, threading, os, virtualshell\n"
        "children = pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text()\n"
        "print(threading.active_count(), children)"
    )
    assert (done.stdout.split(), done.stderr) == (["1"], "")


def test_no_reader_thread_without_a_future() -> None:
    before = threading.active_count()
    with Shell() as shell:
        shell.run("1")
        assert threading.active_count() == before


def test_an_idle_session_uses_no_time_of_python(shell: Shell, bridge: ZeroCopyBridge) -> None:
    """No wait wakes up by itself: measured over a command that Python waits for."""
    shell.run_async("1").result(WAIT_S)
    bridge.receive_to_powershell("$idle", timeout=WAIT_S)
    before = os.times()
    shell.run("Start-Sleep 2")
    after = os.times()
    assert (after.user - before.user) + (after.system - before.system) < 0.1
