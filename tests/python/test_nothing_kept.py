"""After `stop()` and `close()` a session keeps nothing of the system, however its calls have ended, what
the program still holds of them, and without the collector of cycles. The same for one that is dropped.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Set, Type

import pytest
from conftest import Gate, wait_for_end

from virtualshell import Shell, VirtualShellError, ZeroCopyBridge

if sys.platform == "win32":
    pytest.skip("descriptors and mappings are seen in /proc", allow_module_level=True)

WAIT_S = 20
MIB = 1 << 20
FAILS = "throw 'of the command'"

Ending = Callable[["Use"], object]
endings: List[Ending] = []


class Use:
    """What an ending works with."""

    def __init__(self, shell: Shell, bridge: ZeroCopyBridge, gate: Gate) -> None:
        self.shell, self.bridge, self.gate = shell, bridge, gate
        self.blocks = f"{gate.pass_command}; Start-Sleep 60"

    def kill(self) -> None:
        pid = self.shell.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


def ending(function: Ending) -> Ending:
    endings.append(function)
    return function


def caught(
    call: Callable[[], object], kind: Type[BaseException] = VirtualShellError
) -> BaseException:
    """The exception, which the program keeps. It refers to the callers' frames: none may hold it."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("nothing was raised")


def in_a_thread(call: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(VirtualShellError, concurrent.futures.CancelledError):
            call()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def caught_while(
    thread: threading.Thread,
    call: Callable[[], object],
    kind: Type[BaseException] = VirtualShellError,
) -> BaseException:
    """As `caught`; the thread does meanwhile what ends the call."""
    try:
        return caught(call, kind)
    finally:
        thread.join(WAIT_S)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def caught_while_interrupted(use: Use, call: Callable[[], object]) -> BaseException:
    """As `caught`, for a command that runs already: the interrupt may come before the call."""
    return caught(lambda: (use.gate.then(interrupt), call()), KeyboardInterrupt)


def until_it_fails(call: Callable[[], object]) -> None:
    while True:
        call()


# Commands


@ending
def a_command_succeeds(use: Use) -> object:
    return use.shell.run("'x' * 100000")


@ending
def a_command_fails(use: Use) -> object:
    return caught(lambda: use.shell.run(FAILS, raise_on_error=True))


@ending
def a_command_times_out(use: Use) -> object:
    return caught(lambda: use.shell.run("Start-Sleep 60", timeout=0.1))


@ending
def a_command_is_interrupted(use: Use) -> object:
    thread = use.gate.then(interrupt)
    return caught_while(thread, lambda: use.shell.run(use.blocks), KeyboardInterrupt)


@ending
def the_engine_is_killed_in_a_command(use: Use) -> object:
    return caught_while(use.gate.then(use.kill), lambda: use.shell.run(use.blocks))


@ending
def the_session_is_stopped_in_a_command(use: Use) -> object:
    return caught_while(use.gate.then(use.shell.stop), lambda: use.shell.run(use.blocks))


@ending
def a_command_ends_the_session(use: Use) -> object:
    return use.shell.run("exit 3"), caught(lambda: use.shell.run("1"))


@ending
def a_command_that_cannot_stop_costs_the_session(use: Use) -> object:
    use.shell._stop_grace = 0.1
    use.shell.stop()
    use.shell.start()
    return caught(lambda: use.shell.run("[Threading.Thread]::Sleep(60000)", timeout=0.1))


@ending
def a_script_is_missing(use: Use) -> object:
    return caught(lambda: use.shell.script("/no/such/script.ps1"), FileNotFoundError)


@ending
def a_ping_gets_no_answer(use: Use) -> object:
    pid = use.shell.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        return caught(lambda: use.shell.ping(0.1))
    finally:
        os.kill(pid, signal.SIGCONT)


# Futures


@ending
def a_future_has_its_result(use: Use) -> object:
    future = use.shell.run_async("1")
    return future, future.result(WAIT_S)


@ending
def futures_are_dropped(use: Use) -> object:
    use.shell.run_async("1")
    use.shell.run_async("Start-Sleep 60")
    use.bridge.receive_to_powershell("$x")
    use.bridge.send_from_powershell("$x")
    return None


@ending
def futures_are_kept_and_never_done(use: Use) -> object:
    return (
        use.shell.run_async("Start-Sleep 60"),
        use.bridge.receive_to_powershell("$x"),
        use.bridge.send_from_powershell("[byte[]]::new(100MB)"),
    )


@ending
def a_future_raises(use: Use) -> object:
    future = use.shell.run_async("Start-Sleep 60", timeout=0.1)
    return future, caught(future.result)


@ending
def a_future_gives_its_exception(use: Use) -> object:
    future = use.shell.run_async("Start-Sleep 60", timeout=0.1)
    return future, future.exception()


@ending
def a_future_is_not_done_in_time(use: Use) -> object:
    future = use.shell.run_async("Start-Sleep 60")
    return future, caught(lambda: future.result(0.05))


@ending
def a_future_is_cancelled(use: Use) -> object:
    future = use.shell.run_async("Start-Sleep 60")
    assert future.cancel()
    return future, caught(future.result, concurrent.futures.CancelledError)


@ending
def waiting_for_a_future_is_interrupted(use: Use) -> object:
    future = use.shell.run_async(use.blocks)
    return future, caught_while(use.gate.then(interrupt), future.result, KeyboardInterrupt)


@ending
def the_engine_is_killed_before_a_future_is_done(use: Use) -> object:
    future = use.shell.run_async(use.blocks)
    return future, caught_while(use.gate.then(use.kill), future.result)


@ending
def the_session_is_stopped_before_a_future_is_done(use: Use) -> object:
    future = use.shell.run_async(use.blocks)
    return future, caught_while(use.gate.then(use.shell.stop), future.result)


@ending
def callbacks_refer_to_all(use: Use) -> object:
    called = threading.Event()
    all_of_it: List[object] = [use]
    future = use.shell.run_async("1", lambda result: all_of_it.append(result))
    future.add_done_callback(lambda done: all_of_it.append(done) or called.set())
    all_of_it.append(future)
    assert called.wait(WAIT_S)
    all_of_it.clear()
    return future


@ending
def a_callback_refers_to_its_future(use: Use) -> object:
    called = threading.Event()
    future = use.shell.run_async("1")
    future.add_done_callback(lambda done: called.set() if done is future else None)
    assert called.wait(WAIT_S)
    return future


@ending
def a_callback_ends_its_thread(use: Use) -> object:
    future = use.shell.run_async("1", lambda result: sys.exit())
    concurrent.futures.wait([future], WAIT_S)
    return future, use.shell.run_async("2").result(WAIT_S)


@ending
def asyncio_waits(use: Use) -> object:
    async def wait() -> None:
        with contextlib.suppress(asyncio.TimeoutError, VirtualShellError):
            await asyncio.wait_for(asyncio.wrap_future(use.shell.run_async("Start-Sleep 60")), 0.1)
            raise AssertionError("it was done")

    asyncio.run(wait())
    return None


# Into PowerShell


@ending
def data_is_sent(use: Use) -> object:
    use.bridge.send(bytes(10 * MIB), "$x")
    future = use.bridge.receive_to_powershell("$y")
    use.bridge.send(b"y")
    return future, future.result(WAIT_S)


@ending
def data_cannot_be_assigned(use: Use) -> object:
    return caught(lambda: use.bridge.send(b"data", "[int]$x"))


@ending
def data_is_refused(use: Use) -> object:
    future = use.bridge.receive_to_powershell("$x", timeout=0.1)
    concurrent.futures.wait([future], WAIT_S)
    return future, caught(lambda: use.bridge.send(b"data"))


@ending
def nobody_takes_the_data(use: Use) -> object:
    return caught(lambda: use.bridge.send(bytes(100 * MIB), timeout=0.1))


@ending
def a_send_into_a_busy_session_times_out(use: Use) -> object:
    running = use.shell.run_async(use.blocks)
    use.gate.wait()
    return running, caught(lambda: use.bridge.send(bytes(MIB), "$x", timeout=0.1))


@ending
def a_send_is_interrupted(use: Use) -> object:
    running = use.shell.run_async(use.blocks)
    return running, caught_while_interrupted(use, lambda: use.bridge.send(bytes(MIB), "$x"))


@ending
def a_posted_receive_is_cancelled(use: Use) -> object:
    future = use.bridge.receive_to_powershell("$x")
    assert future.cancel()
    return future


@ending
def the_engine_is_killed_in_sends(use: Use) -> object:
    use.bridge.send(b"x", "$x")
    thread = in_a_thread(lambda: until_it_fails(lambda: use.bridge.send(bytes(MIB), "$x")))
    use.kill()
    error = caught(lambda: until_it_fails(lambda: use.bridge.send(bytes(MIB), "$x")))
    thread.join(WAIT_S)
    del error
    return None


@ending
def the_bridge_is_closed_in_sends(use: Use) -> object:
    sends = [
        in_a_thread(lambda: until_it_fails(lambda: use.bridge.send(bytes(MIB), "$x"))),
        in_a_thread(lambda: use.bridge.send(bytes(100 * MIB))),
    ]
    use.bridge.send(b"x", "$y")
    use.bridge.close()
    for thread in sends:
        thread.join(WAIT_S)
    return caught(lambda: use.bridge.send(b"x"))


@ending
def the_session_is_stopped_in_sends(use: Use) -> object:
    sends = in_a_thread(lambda: until_it_fails(lambda: use.bridge.send(bytes(MIB), "$x")))
    use.bridge.send(b"x", "$y")
    use.shell.stop()
    sends.join(WAIT_S)
    return caught(lambda: use.bridge.send(b"x"))


# Out of PowerShell


@ending
def data_is_received(use: Use) -> object:
    use.bridge.send_from_powershell("[byte[]]::new(10MB)")
    return len(use.bridge.receive()), len(use.bridge.receive("[byte[]]::new(1000)"))


@ending
def an_expression_fails(use: Use) -> object:
    return caught(lambda: use.bridge.receive(FAILS))


@ending
def a_posted_expression_fails(use: Use) -> object:
    future = use.bridge.send_from_powershell(FAILS)
    return future, caught(use.bridge.receive)


@ending
def nothing_comes(use: Use) -> object:
    return caught(lambda: use.bridge.receive(timeout=0.05))


@ending
def a_receive_of_a_busy_session_times_out(use: Use) -> object:
    running = use.shell.run_async(use.blocks)
    use.gate.wait()
    return running, caught(lambda: use.bridge.receive("$x", timeout=0.1))


@ending
def a_receive_is_interrupted(use: Use) -> object:
    running = use.shell.run_async(use.blocks)
    return running, caught_while_interrupted(use, lambda: use.bridge.receive("$x"))


@ending
def the_engine_is_killed_in_receives(use: Use) -> object:
    receives = [
        in_a_thread(use.bridge.receive),
        in_a_thread(lambda: until_it_fails(lambda: use.bridge.receive("[byte[]]::new(1MB)"))),
    ]
    use.bridge.receive("1")
    use.kill()
    for thread in receives:
        thread.join(WAIT_S)
    return caught(lambda: use.bridge.receive("1"))


@ending
def the_bridge_is_closed_in_receives(use: Use) -> object:
    receives = [
        in_a_thread(use.bridge.receive),
        in_a_thread(lambda: until_it_fails(lambda: use.bridge.receive("[byte[]]::new(1MB)"))),
    ]
    use.bridge.receive("1")
    use.bridge.close()
    for thread in receives:
        thread.join(WAIT_S)
    return caught(use.bridge.receive)


@ending
def views_are_gone_before_the_end(use: Use) -> object:
    use.bridge.send(bytes(MIB), "$x")
    return len(use.bridge.receive("$x", return_memoryview=True)), len(use.bridge.allocate(MIB))


# What can't be begun


@ending
def a_bridge_cannot_be_opened(use: Use) -> object:
    return caught(lambda: ZeroCopyBridge(use.shell, use.bridge.channel_name))


@ending
def another_shell_does_not_start(use: Use) -> object:
    return (
        caught(Shell(initial_commands=FAILS).start),
        caught(Shell(powershell_path="/no/such/pwsh").start),
        caught(Shell(start_timeout=0.01).start),
    )


@ending
def the_session_is_replaced(use: Use) -> object:
    use.shell._auto_restart = True
    pid = use.shell.pid
    use.kill()
    assert pid is not None and wait_for_end(pid, WAIT_S)
    return use.shell.run("1"), caught(lambda: use.bridge.receive("1"))


# What is looked at


def of_the_system() -> Set[str]:
    """Descriptors, and mappings of shared memory."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return found | {line.split()[0] for line in maps if "memfd:" in line}


def garbage() -> List[object]:
    """What of the package only the collector would find."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return [
            found for found in gc.garbage if type(found).__module__.split(".")[0] == "virtualshell"
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Also with Python's own handler of SIGINT, which a program in the background does not have."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, handler)


def reader_of(shell: Shell) -> Optional[threading.Thread]:
    return None if shell._completions is None else shell._completions._reader


def name_of(ending: Any) -> str:
    return str(ending.__name__)


@pytest.mark.parametrize("ending", endings, ids=name_of)
def test_nothing_is_kept_after_stop_and_close(no_collector: None, ending: Ending, gate) -> None:
    before = of_the_system()
    shell = Shell(timeout_seconds=WAIT_S).start()
    bridge = ZeroCopyBridge(shell, frame_mb=64)
    kept = ending(Use(shell, bridge, gate))
    shell.stop(force=True)
    bridge.close()
    assert of_the_system() - before == set()
    del shell, bridge, kept
    assert garbage() == []


@pytest.mark.parametrize("ending", endings, ids=name_of)
def test_nothing_is_kept_of_what_is_dropped(no_collector: None, ending: Ending, gate) -> None:
    before = of_the_system()
    shell = Shell(timeout_seconds=WAIT_S).start()
    bridge = ZeroCopyBridge(shell, frame_mb=64)
    kept = ending(Use(shell, bridge, gate))
    reader, pid = reader_of(shell), shell.pid
    del kept, bridge, shell
    assert pid is None or wait_for_end(pid, WAIT_S)
    if reader is not None:
        reader.join(WAIT_S)
    del reader
    assert of_the_system() - before == set()
    assert garbage() == []


def test_a_view_keeps_its_own_memory_only_as_long_as_it_is_there(no_collector: None) -> None:
    before = of_the_system()
    with Shell(timeout_seconds=WAIT_S) as shell, ZeroCopyBridge(shell) as bridge:
        bridge.send(b"data" * 1000, "$x")
        view = bridge.receive("$x", return_memoryview=True)
        memory = bridge.allocate(MIB)
    memory[:4] = b"data"
    assert view == b"data" * 1000
    del view, memory
    assert of_the_system() - before == set()


def test_a_call_that_is_running_keeps_what_it_uses_until_it_ends(no_collector: None) -> None:
    before = of_the_system()
    shell = Shell(timeout_seconds=WAIT_S).start()
    bridge = ZeroCopyBridge(shell)
    closed_inside = []

    def close(number: int, frame: object) -> None:
        bridge.close()
        shell.stop()
        closed_inside.append(len(of_the_system()) > len(before))

    previous = signal.signal(signal.SIGALRM, close)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        error = caught(bridge.receive)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert closed_inside == [True] and "closed" in str(error)
    assert of_the_system() - before == set()
    del error


def test_results_that_were_not_asked_for_come_after_stop(gate) -> None:
    """What the session has is given back when they have come."""
    before = of_the_system()
    shell = Shell(timeout_seconds=WAIT_S).start()
    held, results = threading.Event(), []

    def hold(result: object) -> None:
        held.wait(WAIT_S)

    first = shell.run_async("1", hold)
    running = shell.run_async(f"'kept'; {gate.pass_command}; Start-Sleep 60", results.append)
    queued = shell.run_async("2", results.append)
    gate.wait()
    stopping = in_a_thread(shell.stop)
    while shell.is_running:
        pass
    held.set()
    stopping.join(WAIT_S)
    assert concurrent.futures.wait([first, running, queued], WAIT_S).not_done == set()
    assert [result.status for result in results] == ["lost", "lost"]
    assert of_the_system() - before == set()
