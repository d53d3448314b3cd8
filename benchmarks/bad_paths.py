"""Bad paths stay fast: a peer that dies, a time that is over, a receiver that is slow."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from typing import Callable, Iterator, List, Optional, Tuple

from virtualshell import Shell, VirtualShellError, ZeroCopyBridge

from measure import Figures, median, pid_of, processor_seconds

MIB, GIB = 1 << 20, 1 << 30
LIMIT_SECONDS = 0.3
KILL_AFTER_SECONDS = 0.04  # a gigabyte takes longer anywhere
WATCH_SECONDS = 0.5


def measure_bad_paths() -> Figures:
    figures: Figures = {}
    with Shell(timeout_seconds=60) as shell:
        figures["death while sending"] = death(shell, sending)
    with Shell(timeout_seconds=60) as shell:
        figures["death while receiving"] = death(shell, receiving)
    with Shell(timeout_seconds=60) as shell:
        figures.update(timeouts(shell))
        figures["slow receiver, PowerShell sends"] = slow_python(shell)
        figures["slow receiver, Python sends"] = slow_powershell(shell)
    return figures


# Death


def sending(bridge: ZeroCopyBridge) -> Callable[[], object]:
    payload = bytearray(GIB)
    return lambda: bridge.send(payload, "$data")


def receiving(bridge: ZeroCopyBridge) -> Callable[[], object]:
    bridge.send_from_powershell("[byte[]]::new(1GB)")
    return bridge.receive


def death(
    shell: Shell, prepare: Callable[[ZeroCopyBridge], Callable[[], object]]
) -> Optional[float]:
    """Seconds from the kernel's word, a readable pidfd, until the transfer raises."""
    bridge = ZeroCopyBridge(shell)
    action = prepare(bridge)
    shell.run("1")  # what was prepared has begun
    words: List[float] = []  # when it was killed, and when the kernel said so
    killer = threading.Thread(target=lambda: words.extend(kill(pid_of(shell))))
    killer.start()
    try:
        action()
        return None  # it was faster than the knife
    except VirtualShellError:
        noticed = time.monotonic()
    finally:
        killer.join()
    killed, word = words
    if noticed < killed:
        raise SystemExit("a transfer failed before its peer died")
    return max(noticed - word, 0.0)  # the thread that heard the word may have heard it later


def kill(pid: int) -> Tuple[float, float]:
    life = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(life, select.POLLIN)
    time.sleep(KILL_AFTER_SECONDS)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    poll.poll()
    word = time.monotonic()
    os.close(life)
    return killed, word


# Timeouts


def timeouts(shell: Shell) -> Figures:
    """How late each of them raises, in seconds."""
    large = bytearray(16 * MIB)
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=1) as bridge:
        late = {
            "run": median([late_stop(shell) for _ in range(3)]),
            "send": off_time(lambda: bridge.send(large, timeout=LIMIT_SECONDS)),
            "receive": off_time(lambda: bridge.receive(timeout=LIMIT_SECONDS)),
            "transfer future": off_time(
                lambda: bridge.receive_to_powershell("$late", timeout=LIMIT_SECONDS).result()
            ),
        }
    return {f"timeout of {name}": seconds for name, seconds in late.items()}


def late_stop(shell: Shell) -> float:
    return off_time(lambda: shell.run("Start-Sleep 5", timeout=LIMIT_SECONDS))


def off_time(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    try:
        action()
    except TimeoutError:
        return time.monotonic() - begin - LIMIT_SECONDS
    raise SystemExit("what was to time out did not")


# A slow receiver


def slow_powershell(shell: Shell) -> float:
    """Milliseconds of this process a second, while a stopped engine takes nothing of a large send."""
    payload = bytearray(GIB)
    with ZeroCopyBridge(shell) as bridge:
        sender = threading.Thread(target=lambda: bridge.send(payload, "$data"))
        sender.start()
        time.sleep(KILL_AFTER_SECONDS)
        with stopped(pid_of(shell)):
            spent = watch(os.getpid())
            if not sender.is_alive():
                raise SystemExit("the transfer was over before its receiver was slow")
        sender.join()
    shell.run("$data = $null; [GC]::Collect()")
    return spent


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def slow_python(shell: Shell) -> float:
    """The same of the engine, while nobody here receives."""
    with ZeroCopyBridge(shell) as bridge:
        future = bridge.send_from_powershell("[byte[]]::new(256MB)")
        shell.run("1")
        spent = watch(pid_of(shell))
        if len(bridge.receive()) != 256 * MIB:
            raise SystemExit("a message arrived short")
        future.result()
    return spent


def watch(pid: int) -> float:
    """The lesser of two whiles: the engine compiles in the background what it has just begun to use."""
    return min(spent_in_a_while(pid), spent_in_a_while(pid))


def spent_in_a_while(pid: int) -> float:
    time.sleep(0.3)
    before = processor_seconds(pid)
    time.sleep(WATCH_SECONDS)
    return (processor_seconds(pid) - before) * 1000 / WATCH_SECONDS
