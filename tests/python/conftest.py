"""Shared fixtures: one live session for all tests that do it no harm, and a look for what is left
behind.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import gc
import os
import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable, Iterator, Set

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from virtualshell import Shell, ZeroCopyBridge

COMMAND_S = 60.0

# Hypothesis keeps nothing in the source tree.
set_hypothesis_home_dir(str(Path(__file__).parents[2] / "build" / "hypothesis"))
settings.register_profile("here", database=None)
settings.load_profile("here")


# What is about POSIX alone, and why it is not run on Windows.
if sys.platform == "win32":
    collect_ignore = [
        "test_benchmarks.py",  # `make bench` reads /proc
        "test_crash.py",  # processes ended and stopped by signals, seen in /proc
        "test_fork.py",  # there is no fork
        "test_injection.py",  # names of POSIX for folders and files
        "test_interrupt.py",  # signals sent to this process; Ctrl-C needs a console
        "test_old_kernel.py",  # a kernel of Linux
        "test_security.py",  # users, modes and descriptors of POSIX, seen in /proc
        "test_shortage.py",  # limits of POSIX (setrlimit, control groups)
    ]


def children() -> Set[int]:
    """The process ids of this process's children, ended but not reaped ones included. Windows has
    none of the latter, and names no process's children."""
    if sys.platform == "win32":
        return set()
    found: Set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):  # that thread has just ended
            found.update(map(int, Path(f"/proc/self/task/{task}/children").read_text().split()))
    return found


def descriptors() -> int:
    if sys.platform == "win32":
        kernel, count = ctypes.windll.kernel32, ctypes.c_ulong()
        assert kernel.GetProcessHandleCount(ctypes.c_void_p(-1), ctypes.byref(count))
        return int(count.value)
    return len(os.listdir("/proc/self/fd"))


def wait_for_end(pid: int, timeout: float) -> bool:
    """Waits until a process has ended; it need not be a child."""
    if sys.platform == "win32":
        return wait_for_end_on_windows(pid, timeout)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(handle)


def wait_for_end_on_windows(pid: int, timeout: float) -> bool:
    synchronize, signalled = 0x00100000, 0
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:
        return True
    try:
        waited = kernel.WaitForSingleObject(ctypes.c_void_p(handle), int(timeout * 1000))
        return bool(waited == signalled)
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))


@pytest.fixture(scope="session")
def shared_shell() -> Iterator[Shell]:
    files = descriptors()
    shell = Shell(timeout_seconds=COMMAND_S).start()
    warm_up(shell)
    yield shell
    shell.stop()
    gc.collect()
    assert descriptors() == files


def warm_up(shell: Shell) -> None:
    """Lets everything be made that is made once a session."""
    shell.run_async("1").result(COMMAND_S)
    with ZeroCopyBridge(shell) as bridge:
        bridge.send(b"x", "$warmUp")
        bridge.receive("$warmUp")


@pytest.fixture
def shell(shared_shell: Shell) -> Shell:
    """The session that most tests share: leave it running, and its preferences as they were."""
    if not shared_shell.is_running:
        warm_up(shared_shell.start())
    return shared_shell


@pytest.fixture
def bridge(shell: Shell) -> Iterator[ZeroCopyBridge]:
    """A bridge of the shared session, of a test's own."""
    with ZeroCopyBridge(shell) as bridge:
        yield bridge


@pytest.fixture
def small(shell: Shell) -> Iterator[ZeroCopyBridge]:
    """A bridge named "small", whose frame is soon full."""
    shell.run("[GC]::Collect(); [GC]::WaitForPendingFinalizers()")
    with ZeroCopyBridge(shell, "small", frame_mb=1, chunk_mb=0.25) as bridge:
        yield bridge
    shell.run("$lease = $second = $copy = $null")


@pytest.fixture
def own_shell() -> Iterator[Shell]:
    """A session to be ended or killed."""
    with Shell(timeout_seconds=COMMAND_S) as shell:
        yield shell


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test ends with as many processes and descriptors as it began with (and one more, at
    times, by which the reader thread is woken).
    """
    if "shared_shell" in request.fixturenames:
        request.getfixturevalue("shell")
    processes, files = len(children()), descriptors()
    yield
    if len(children()) != processes or descriptors() > files + 1:
        gc.collect()
    assert len(children()) == processes, f"processes left behind: {children()}"
    assert descriptors() <= files + 1, f"{descriptors() - files} descriptors left behind"


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Calls `work` with each number, all at once. Raises what one of them raised."""
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work, number) for number in range(count)]:
            future.result()


class Gate:
    """A named pipe by which a command says that it runs, and is held until the test lets it go
    on.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        os.mkfifo(self._path)
        self.pass_command = f"/bin/sh -c 'echo > {self._path}'"
        """PowerShell code that goes on when `wait` or `open` is called."""

    def wait(self) -> None:
        """Returns once the command has got to its `pass_command`."""
        with open(self._path, "rb") as pipe:
            assert pipe.read() == b"\n"

    def then(self, action: Callable[[], object]) -> threading.Thread:
        """Does something, in another thread, once the command has got there."""

        def run() -> None:
            self.wait()
            action()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, "gate")


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a program text in a Python of its own."""

    def run(code: str, *args: str, **options: object) -> "subprocess.CompletedProcess[str]":
        file = tmp_path / "program.py"
        file.write_text(code, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-X", "dev", str(file), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=50,
            **options,  # type: ignore[call-overload]
        )

    return run
