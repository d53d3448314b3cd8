"""Whatever goes wrong, what the package raises is a VirtualShellError, of the built-in kind that fits; and what is not
its own, a signal handler's exception, passes through as it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Callable, Dict, Iterator, List, Type

import pytest

from virtualshell import (
    ChannelError,
    ExecutionTimeoutError,
    OutOfMemoryError,
    Shell,
    TransferTimeoutError,
    VirtualShellError,
    WaitTimeoutError,
    ZeroCopyBridge,
    _native,
)

WAIT_S = 20

# A session that takes no more commands


@pytest.fixture
def full_shell(own_shell: Shell, gate) -> Iterator[Shell]:
    running = own_shell.run_async(gate.pass_command)
    for size in (1 << 20, 1 << 10, 1):
        with contextlib.suppress(ExecutionTimeoutError):
            while True:
                own_shell.run_async("#" * size, timeout=0.02)
    yield own_shell
    gate.wait()
    assert running.result(WAIT_S).success
    assert own_shell.run("'goes on'").out == "goes on\n"


def test_a_command_that_finds_no_room_times_out(full_shell: Shell) -> None:
    for call in (full_shell.run, full_shell.run_async):
        begin = time.monotonic()
        with pytest.raises(ExecutionTimeoutError, match="`1` was not taken within 0.1 seconds"):
            call("1", timeout=0.1)
        assert time.monotonic() - begin < 2


def test_a_transfer_that_finds_no_room_times_out(full_shell: Shell) -> None:
    bridge = ZeroCopyBridge(full_shell)
    calls: List[Callable[[], object]] = [
        lambda: bridge.receive_to_powershell("$x", timeout=0.1),
        lambda: bridge.send_from_powershell("$x", timeout=0.1),
        lambda: bridge.send(b"x", "$x", timeout=0.1),
        lambda: bridge.receive("$x", timeout=0.1),
    ]
    for call in calls:
        with pytest.raises(TransferTimeoutError, match=r"`\$x` was not taken within 0\.\d+ sec"):
            call()


# Every error of libzcb, at every call

NAMES = [
    "TIMEOUT",
    "CANCELLED",
    "INTERRUPTED",
    "CLOSED",
    "PEER_CLOSED",
    "PEER_GONE",
    "PROTOCOL",
    "ABORTED",
    "TOO_LARGE",
    "NO_MEMORY",
    "NO_HANDLES",
    "FORKED",
    "NOT_FOUND",
    "VERSION",
    "START",
    "REFUSED",
    "TOO_LATE",
    "SYSTEM",
    "WATCHED",
]
KINDS: Dict[str, Type[_native.Error]] = {
    "TIMEOUT": _native.Timeout,
    "NO_MEMORY": _native.OutOfMemory,
}


def native_error(name: str) -> _native.Error:
    error = KINDS.get(name, _native.Error)(f"Failed to create channel: {name}")
    error.name = f"ZCB_ERR_{name}"
    return error


class Failing:
    """A native object whose calls fail."""

    def __init__(self, real: object, error: str) -> None:
        self._real, self._error = real, error

    def __getattr__(self, name: str) -> object:
        if name in ("alive", "close", "pid", "version", "seen"):
            return getattr(self._real, name)

        def fail(*args: object) -> None:
            raise native_error(self._error)

        return fail


def kind_fits(error: VirtualShellError, name: str) -> bool:
    memory = isinstance(error, (OutOfMemoryError, ChannelError)) or name != "NO_MEMORY"
    timeout = isinstance(error, (TimeoutError, ChannelError)) or name != "TIMEOUT"
    return memory and timeout and str(error) != ""


def refused(name: str, calls: Dict[str, Callable[[], object]]) -> None:
    for text, call in calls.items():
        with pytest.raises(VirtualShellError) as caught:
            call()
        assert kind_fits(caught.value, name), text


@pytest.mark.parametrize("name", NAMES)
def test_every_native_error_of_a_session(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path, name: str
) -> None:
    script = tmp_path / "script.ps1"
    script.touch()
    future = shell.run_async("Start-Sleep 60")
    completions = future._completions
    with monkeypatch.context() as patch:
        failing = Failing(shell._session, name)
        patch.setattr(shell, "_session", failing)
        patch.setattr(completions, "session", failing)
        calls: Dict[str, Callable[[], object]] = {
            "run": lambda: shell.run("1"),
            "run_async": lambda: shell.run_async("1"),
            "script": lambda: shell.script(script),
            "ping": shell.ping,
            "result": lambda: future.result(1),
            "exception": lambda: future.exception(1),
        }
        refused(name, calls)
        assert future.cancel() is False
    assert future.cancel()


@pytest.mark.parametrize("name", NAMES)
def test_every_native_error_of_a_bridge(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with ZeroCopyBridge(shell) as bridge:
        bridge.send(b"x", "$x")  # opens the channel of the forms in one step
        future = bridge.receive_to_powershell("$x")
        with monkeypatch.context() as patch:
            failing = [Failing(transfers.native, name) for transfers in bridge._open]
            for transfers, native in zip(bridge._open, failing):
                patch.setattr(transfers, "native", native)
            patch.setattr(bridge, "_leave_channel", lambda transfers, clean: None)
            used = list(bridge._idle)
            patch.setattr(bridge, "_take_channel", lambda: used[0])
            calls: Dict[str, Callable[[], object]] = {
                "receive_to_powershell": lambda: bridge.receive_to_powershell("$x"),
                "send_from_powershell": lambda: bridge.send_from_powershell("1"),
                "send": lambda: bridge.send(b"x"),
                "send to": lambda: bridge.send(b"x", "$x"),
                "receive from": lambda: bridge.receive("1"),
                "allocate": lambda: bridge.allocate(1),
            }
            if name != "ABORTED":  # such a message is as good as none: receive goes on
                calls["receive"] = bridge.receive
                calls["view"] = lambda: bridge.receive(return_memoryview=True)
            refused(name, calls)
            assert future.cancel() is False
        assert future.cancel()


@pytest.mark.parametrize("name", NAMES)
def test_every_native_error_of_a_start(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise native_error(name)

    with monkeypatch.context() as patch:
        patch.setattr(_native, "Session", fail)
        patch.setattr(_native, "Bridge", fail)
        refused(name, {"start": Shell().start, "bridge": lambda: ZeroCopyBridge(shell, "new")})
    with ZeroCopyBridge(shell, "new"):
        pass


# What else the system may refuse


def test_a_thread_that_cannot_be_started(
    own_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    bridge = ZeroCopyBridge(own_shell)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for call in (
            lambda: own_shell.run_async("$given = 1"),
            lambda: bridge.send(b"x", "$given"),
            lambda: bridge.receive("($given = 1)"),
        ):
            with pytest.raises(VirtualShellError, match="can't start new thread"):
                call()
    assert own_shell.run_async("$null -eq $given").result(WAIT_S).out == "True\n"
    bridge.send(b"x", "$given")


def test_futures_go_on_when_the_reader_thread_could_not_wait(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    reader = shell.run_async("1")._completions._reader
    assert reader is not None
    with monkeypatch.context() as patch:
        completions = shell._completions
        assert completions is not None
        patch.setattr(completions, "session", Failing(shell._session, "NO_HANDLES"))
        shell._session.submit("2")  # type: ignore[union-attr]
        reader.join(WAIT_S)
        assert not reader.is_alive()
    assert shell.run_async("3", lambda result: done.set()).result(WAIT_S).out == "3\n"
    assert done.wait(WAIT_S)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no class has a buffer before Python 3.12")
def test_an_object_that_refuses_its_buffer_is_a_wrong_argument(bridge: ZeroCopyBridge) -> None:
    class Refuses:
        def __buffer__(self, flags: int) -> memoryview:
            raise BufferError("not now")

    with pytest.raises(TypeError, match="not now"):
        bridge.send(Refuses())


# What is not the package's own


class Alarm:
    """Raises an exception, or does something, in the main thread soon."""

    def __init__(self) -> None:
        self._previous = signal.getsignal(signal.SIGALRM)

    def __call__(self, action: Callable[[], object]) -> None:
        signal.signal(signal.SIGALRM, lambda number, frame: action())
        signal.setitimer(signal.ITIMER_REAL, 0.2)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._previous)


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    if sys.platform == "win32":
        pytest.skip("no alarms")
    made = Alarm()
    yield made
    made.end()


@pytest.mark.parametrize("kind", [TimeoutError, MemoryError, RuntimeError, ValueError, OSError])
def test_an_exception_of_a_signal_handler_passes_through(
    shell: Shell, bridge: ZeroCopyBridge, alarm: Alarm, kind: Type[Exception]
) -> None:
    def call_with_alarm(call: Callable[[], object]) -> None:
        mine = kind("of the handler")

        def fail() -> None:
            raise mine

        alarm(fail)
        with pytest.raises(kind) as caught:
            call()
        assert caught.value is mine

    call_with_alarm(lambda: shell.run("Start-Sleep 60"))
    running = shell.run_async("Start-Sleep 60")
    call_with_alarm(lambda: running.result(WAIT_S))
    call_with_alarm(bridge.receive)
    call_with_alarm(lambda: bridge.send(bytes(100 << 20)))
    call_with_alarm(lambda: bridge.send(b"x", "$x"))
    call_with_alarm(lambda: bridge.receive("1"))
    assert running.cancel()
    assert shell.run("'goes on'").out == "goes on\n"


def test_an_exception_of_a_signal_handler_passes_through_a_wait_for_another_thread(
    shell: Shell, alarm: Alarm
) -> None:
    running = shell.run_async("Start-Sleep 60")
    other = threading.Thread(target=lambda: running.exception(WAIT_S))
    other.start()
    while not running.is_being_collected():
        pass
    mine = TimeoutError("of the handler")

    def fail() -> None:
        raise mine

    alarm(fail)
    with pytest.raises(TimeoutError) as caught:
        running.result(WAIT_S)
    assert caught.value is mine
    shell._session.stop(running.id)  # type: ignore[union-attr]
    other.join(WAIT_S)


def test_a_signal_handler_that_cannot_wait_there(shell: Shell, alarm: Alarm) -> None:
    raised: List[BaseException] = []

    def wait() -> None:
        with pytest.raises(VirtualShellError, match="a signal handler cannot make this call") as caught:
            shell.run("1")
        raised.append(caught.value)

    alarm(wait)
    assert shell.run("Start-Sleep 1").success
    assert len(raised) == 1


def test_the_time_to_wait_is_not_the_time_of_the_command(shell: Shell, gate) -> None:
    future = shell.run_async(gate.pass_command)
    for call in (future.result, future.exception):
        with pytest.raises(WaitTimeoutError, match="it goes on"):
            call(0.05)
    gate.wait()
    assert future.result(WAIT_S).success


def test_a_ping_without_an_answer(own_shell: Shell) -> None:
    if sys.platform == "win32":
        pytest.skip("nothing stops a process there")
    pid = own_shell.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ExecutionTimeoutError, match="did not answer within 0.1 seconds"):
        own_shell.ping(0.1)
    os.kill(pid, signal.SIGCONT)
    assert own_shell.ping(WAIT_S) < WAIT_S
