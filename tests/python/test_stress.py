"""Everything at once, at random moments, many times: `make stress`."""

from __future__ import annotations

import concurrent.futures
import os
import random
import signal
import threading
from typing import Callable, List

import pytest
from conftest import in_threads

from virtualshell import Shell, VirtualShellError, ZeroCopyBridge

pytestmark = pytest.mark.stress

MB = 2**20
WAIT_S = 60
SEEDS = range(int(os.environ.get("STRESS_SEEDS", "5")))


class Moment(Exception):
    """Raised by a signal handler."""


def data_of(rnd: random.Random, most: int) -> bytes:
    size = rnd.choice([0, 1, 100, 4096, rnd.randrange(most), rnd.randrange(most)])
    return rnd.randbytes(min(size, 1000)) * (size // 1000 + 1)


def check(shell: Shell, bridge: ZeroCopyBridge) -> None:
    """Session and bridge do all that they should."""
    assert shell.run("6*7", timeout=WAIT_S).out == "42\n"
    assert shell.run_async("6*7", timeout=WAIT_S).result(WAIT_S).out == "42\n"
    content = os.urandom(100_000)
    bridge.send(content, "$checked", timeout=WAIT_S)
    assert bridge.receive("$checked", timeout=WAIT_S) == content


@pytest.mark.parametrize("seed", SEEDS)
def test_threads_that_do_everything_at_once(shell: Shell, seed: int) -> None:
    bridges = [ZeroCopyBridge(shell, frame_mb=2, chunk_mb=0.25) for _ in range(3)]

    def work(number: int) -> None:
        rnd = random.Random(seed * 100 + number)
        held: List[memoryview] = []
        for i in range(60):
            bridge = rnd.choice(bridges)
            kind = rnd.randrange(5)
            if kind == 0:
                assert shell.run(f"'{number} {i}'", timeout=WAIT_S).out == f"{number} {i}\n"
            elif kind == 1:
                future = shell.run_async(f"'{number} {i}'", timeout=WAIT_S)
                assert future.result(WAIT_S).out == f"{number} {i}\n"
            elif kind == 2 and held:
                held.pop(rnd.randrange(len(held)))
            else:
                content = data_of(rnd, 3 * MB)
                bridge.send(content, f"$s{number}", timeout=WAIT_S)
                view = bridge.receive(f"$s{number}", timeout=WAIT_S, return_memoryview=kind == 3)
                assert view == content
                if kind == 3 and len(content) < MB // 8:
                    held.append(view)

    in_threads(6, work)
    for bridge in bridges:
        check(shell, bridge)
        bridge.close()


def steps_of(
    shell: Shell, bridge: ZeroCopyBridge, content: bytes, timeout: float
) -> List[Callable[[], object]]:
    """What can end early; `$source` is there."""
    return [
        lambda: shell.run("foreach ($i in 1..2000) { $i }", timeout=timeout),
        lambda: shell.run_async("1..2000", timeout=timeout).result(WAIT_S),
        lambda: bridge.send(content, "$early", timeout=timeout),
        lambda: bridge.receive("$source", timeout=timeout),
        lambda: bridge.receive("$source", timeout=timeout, return_memoryview=True),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_timeouts_at_any_moment(shell: Shell, seed: int) -> None:
    rnd = random.Random(seed)
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        shell.run("$source = [byte[]]::new(3MB)")
        for i in range(60):
            limit = rnd.choice([0, rnd.random() / 1000, rnd.random() / 100, rnd.random() / 20])
            content = data_of(rnd, 3 * MB)
            try:
                rnd.choice(steps_of(shell, bridge, content, limit))()
            except TimeoutError:
                pass
            if i % 10 == 0:
                check(shell, bridge)
        check(shell, bridge)


@pytest.mark.parametrize("seed", SEEDS)
def test_posted_transfers_that_time_out_and_are_cancelled(shell: Shell, seed: int) -> None:
    """Whatever happened before, a pair of post and message that both succeed belong together."""
    rnd = random.Random(seed)
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        for i in range(100):
            future = bridge.receive_to_powershell("$posted", timeout=rnd.random() / 50)
            if rnd.random() < 0.5:
                future.cancel()
            if not future.cancelled():
                concurrent.futures.wait([future], WAIT_S)
                assert future.done()
                if not future.cancelled():
                    assert isinstance(future.exception(), TimeoutError)
            content = os.urandom(1000 + i)
            good = bridge.receive_to_powershell("$good", timeout=WAIT_S)
            bridge.send(content, timeout=WAIT_S)
            assert good.result(WAIT_S).success
            sent = bridge.send_from_powershell("$good", timeout=WAIT_S)
            assert bridge.receive(timeout=WAIT_S) == content
            assert sent.result(WAIT_S).success
        check(shell, bridge)


@pytest.mark.parametrize("seed", SEEDS)
def test_interrupts_at_any_moment(shell: Shell, seed: int) -> None:
    rnd = random.Random(seed)

    def interrupt(number: int, frame: object) -> None:
        raise Moment

    before = signal.signal(signal.SIGALRM, interrupt)
    shell.run("$source = [byte[]]::new(3MB)")
    try:
        with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
            for i in range(100):
                content = data_of(rnd, 3 * MB)
                step = rnd.choice(steps_of(shell, bridge, content, WAIT_S))
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-6 + rnd.random() / 100)
                    step()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Moment:
                    pass
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                if i % 10 == 0:
                    check(shell, bridge)
            check(shell, bridge)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("seed", SEEDS)
def test_commands_cancelled_at_any_moment(shell: Shell, seed: int) -> None:
    rnd = random.Random(seed)
    for i in range(40):
        count = rnd.randrange(1, 8)
        futures = [shell.run_async(f"foreach ($j in 1..500) {{ $j }}; {n}") for n in range(count)]
        chosen = rnd.sample(futures, rnd.randrange(count + 1))
        for future in chosen:
            future.cancel()
        done, pending = concurrent.futures.wait(futures, WAIT_S)
        assert not pending
        for number, future in enumerate(futures):
            if not future.cancelled():
                assert future.result().out.endswith(f"\n{number}\n")
            else:
                assert future in chosen
    assert shell.run("6*7").out == "42\n"


@pytest.mark.parametrize("seed", SEEDS)
def test_an_engine_killed_at_any_moment(seed: int) -> None:
    """Every call ends, with a clear error; a new session works."""
    rnd = random.Random(seed)
    with Shell(timeout_seconds=WAIT_S) as shell:
        bridge = ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25)
        shell.run("$source = [byte[]]::new(3MB)")
        started = threading.Barrier(5)

        def work(number: int) -> None:
            content = bytes(rnd.randrange(4 * MB))
            steps: List[Callable[[], object]] = [
                lambda: shell.run("1..1000"),
                lambda: shell.run_async("1..1000").result(WAIT_S),
                lambda: bridge.send(content, "$killed"),
                lambda: bridge.receive("$source"),
            ]
            started.wait()
            while True:
                try:
                    steps[number]()
                except VirtualShellError:
                    if not shell.is_running:
                        return

        def kill(number: int) -> None:
            started.wait()
            threading.Event().wait(rnd.random() / 5)
            os.kill(shell.pid or 0, signal.SIGKILL)

        in_threads(5, lambda number: kill(number) if number == 4 else work(number))
        shell.start()
        with ZeroCopyBridge(shell) as bridge:
            check(shell, bridge)


@pytest.mark.parametrize("seed", SEEDS)
def test_bridges_closed_at_any_moment(shell: Shell, seed: int) -> None:
    rnd = random.Random(seed)
    shell.run("$source = [byte[]]::new(3MB)")
    for _ in range(20):
        bridge = ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25)
        content = bytes(rnd.randrange(4 * MB))
        delay = rnd.random() / 50
        steps: List[Callable[[], object]] = [
            lambda: bridge.send(content, "$closed"),
            lambda: bridge.receive("$source"),
            lambda: bridge.receive_to_powershell("$never").result(WAIT_S),
            lambda: bridge.receive(),
        ]

        def work(number: int) -> None:
            if number == len(steps):
                threading.Event().wait(delay)
                bridge.close()
                return
            try:
                while True:
                    steps[number]()
            except VirtualShellError as error:
                assert "closed" in str(error), error

        in_threads(len(steps) + 1, work)
    with ZeroCopyBridge(shell) as bridge:
        check(shell, bridge)


def test_sessions_begun_and_ended_many_times() -> None:
    shell = Shell(timeout_seconds=WAIT_S)
    for _ in range(15):
        with shell, ZeroCopyBridge(shell) as bridge:
            check(shell, bridge)


def test_forks_at_any_moment(shell: Shell, bridge: ZeroCopyBridge) -> None:
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            check(shell, bridge)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(50):
        pid = os.fork()
        if pid == 0:
            try:
                shell.run("1")
            except VirtualShellError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    thread.join(WAIT_S)
    check(shell, bridge)
