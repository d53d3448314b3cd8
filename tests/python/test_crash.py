"""Either side is killed at random moments of mixed traffic: every wait ends, nothing is left behind,
and the next session works. ZCB_CRASHES says how often in `make stress`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Set

import pytest
from conftest import children, wait_for_end

from virtualshell import SessionLostError, Shell, VirtualShellError, ZeroCopyBridge

MB = 2**20
WAIT_S = 60
NOTICE_S = 0.5  # from the kernel's word that the engine has ended; tests/crash is stricter
END_S = 1.0  # from the kernel's word that Python has ended to the end of what it leaves
FEW = 2
KILLS_OF_THE_ENGINE = int(os.environ.get("ZCB_CRASHES", "30"))
KILLS_OF_PYTHON = int(os.environ.get("ZCB_CRASHES", "15"))
PR_SET_CHILD_SUBREAPER = 36

CHILD_OF_THE_ENGINE = "(Start-Process /bin/sleep -ArgumentList 600 -PassThru).Id"


# What a program does


def contents(rnd: random.Random) -> bytes:
    """From nothing to more than the frame, which then streams."""
    return rnd.randbytes(251) * rnd.choice([0, 1, 100, 1000, rnd.randrange(16_000)])


def commands(shell: Shell, rnd: random.Random) -> None:
    number = rnd.randrange(1, 2000)
    assert shell.run(f"1..{number} | Select-Object -Last 1").out == f"{number}\n"


def futures(shell: Shell, rnd: random.Random) -> None:
    started = [shell.run_async(str(number)) for number in range(rnd.randrange(10))]
    for number, future in enumerate(started):
        assert future.result(WAIT_S).out == f"{number}\n"


def transfers(shell: Shell, rnd: random.Random, bridge: ZeroCopyBridge) -> None:
    content, name = contents(rnd), f"$t{threading.get_ident()}"
    bridge.send(content, name)
    assert bridge.receive(name) == content


def leases(shell: Shell, rnd: random.Random, bridge: ZeroCopyBridge) -> None:
    content, name = contents(rnd), f"$l{threading.get_ident()}"
    bridge.send(content, name, lease=0 < len(content) <= MB)
    assert bridge.receive(f"{name}.Length") is not None
    bridge.send(content, name)
    view = bridge.receive(name, return_memoryview=True)
    assert view == content


def posted(shell: Shell, rnd: random.Random) -> None:
    content = contents(rnd)
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        future = bridge.receive_to_powershell("$posted")
        bridge.send(content)
        assert future.result(WAIT_S).success
        future = bridge.send_from_powershell("$posted")
        assert bridge.receive() == content
        assert future.result(WAIT_S).success


def traffic(shell: Shell, seed: int) -> List[Callable[[], None]]:
    """Endless works, each for a thread of its own; the end of the session ends them."""
    bridge = ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25)
    steps: List[Callable[[random.Random], None]] = [
        lambda rnd: commands(shell, rnd),
        lambda rnd: futures(shell, rnd),
        lambda rnd: transfers(shell, rnd, bridge),
        lambda rnd: leases(shell, rnd, bridge),
        lambda rnd: posted(shell, rnd),
        lambda rnd: bridge.receive(timeout=WAIT_S) and None,  # what never comes
    ]

    def work(number: int) -> Callable[[], None]:
        rnd = random.Random(seed * 100 + number)

        def run() -> None:
            while True:
                steps[number](rnd)

        return run

    return [work(number) for number in range(len(steps))]


def moment(rnd: random.Random) -> float:
    """Seconds; each order of magnitude is as likely as the next."""
    return float(10 ** rnd.uniform(-6, -0.5))


# The engine is killed


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the engine would put temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("/memfd:zcb")


class Killer(threading.Thread):
    """Kills a process at a random moment; knows when the kernel said that it has ended."""

    def __init__(self, pid: int, delay_s: float) -> None:
        super().__init__()
        self._handle = os.pidfd_open(pid)
        self._delay_s = delay_s
        self.ended = 0.0

    def run(self) -> None:
        time.sleep(self._delay_s)
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        assert poll.poll(WAIT_S * 1000)
        self.ended = time.monotonic()
        os.close(self._handle)


def kill_engine_in_traffic(shell: Shell, seed: int) -> Dict[int, float]:
    """How many seconds after the engine's end each of the program's threads knew it."""
    ends: Dict[int, float] = {}
    errors: Dict[int, BaseException] = {}

    def until_error(number: int, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            ends[number], errors[number] = time.monotonic(), error

    threads = [
        threading.Thread(target=until_error, args=(number, work))
        for number, work in enumerate(traffic(shell, seed))
    ]
    assert shell.pid is not None
    killer = Killer(shell.pid, moment(random.Random(seed)))
    for thread in [*threads, killer]:
        thread.start()
    for thread in [*threads, killer]:
        thread.join(WAIT_S)
    assert len(errors) == len(threads)
    for error in errors.values():
        assert isinstance(error, VirtualShellError), repr(error)
        assert "killed by signal 9" in str(error) or "has ended" in str(error), repr(error)
    return {number: end - killer.ended for number, end in ends.items()}


def check_kill_of_the_engine(shell: Shell, temporary: Path, seed: int) -> None:
    others = mappings()
    shell.start()
    assert shell.run("6*7").out == "42\n"
    child = int(shell.run(CHILD_OF_THE_ENGINE).out)
    late = max(kill_engine_in_traffic(shell, seed).values())
    print(f"noticed after {late * 1000:.1f} ms")
    assert late < NOTICE_S
    with pytest.raises(SessionLostError, match="killed by signal 9"):
        shell.run("1")
    assert wait_for_end(child, WAIT_S)
    shell.stop()
    gc.collect()  # the errors' tracebacks hold the bridges
    assert mappings() == others
    assert list(temporary.iterdir()) == []


def test_an_engine_that_is_killed_in_traffic(temporary: Path) -> None:
    shell = Shell(timeout_seconds=WAIT_S)
    for seed in range(FEW):
        check_kill_of_the_engine(shell, temporary, seed)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(100, 100 + KILLS_OF_THE_ENGINE))
def test_an_engine_that_is_killed_in_traffic_many_times(temporary: Path, seed: int) -> None:
    check_kill_of_the_engine(Shell(timeout_seconds=WAIT_S), temporary, seed)


# Python is killed


@pytest.fixture
def orphans() -> Iterator[Callable[[], Set[int]]]:
    """What the killed programs of a test leave: they become children of this process."""
    libc, before = ctypes.CDLL(None), children()
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield lambda: children() - before
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


def be_program(seed: int) -> None:
    """Runs in a Python of its own."""
    print("starting", flush=True)
    shell = Shell(timeout_seconds=WAIT_S).start()
    shell.run(CHILD_OF_THE_ENGINE)
    for work in traffic(shell, seed):
        threading.Thread(target=work).start()
    print("started", flush=True)


def start_program(seed: int) -> "subprocess.Popen[bytes]":
    code = f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
    code += f"import test_crash; test_crash.be_program({seed})"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def await_end(pid: int, since: float) -> float:
    assert wait_for_end(pid, WAIT_S)
    late = time.monotonic() - since
    os.waitpid(pid, 0)
    return late


def check_kill_of_python(
    orphans: Callable[[], Set[int]], temporary: Path, seed: int, starting: bool
) -> None:
    rnd = random.Random(seed)
    with start_program(seed) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"starting\n"
        if starting:
            time.sleep(rnd.random())
        else:
            assert program.stdout.readline() == b"started\n"
            time.sleep(moment(rnd))
        program.kill()
        program.wait()
    ended, late = time.monotonic(), [0.0]
    while left := orphans():
        late += [await_end(pid, ended) for pid in left]
    what = "starting" if starting else "started"
    print(f"{what}: {len(late) - 1} ended after {max(late) * 1000:.1f} ms")
    assert starting or max(late) < END_S  # one that is starting has to get that far first
    assert list(temporary.iterdir()) == []


def test_a_python_that_is_killed_in_traffic(
    orphans: Callable[[], Set[int]], temporary: Path
) -> None:
    for seed in range(FEW):
        check_kill_of_python(orphans, temporary, seed, starting=seed == 0)


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(100, 100 + KILLS_OF_PYTHON))
def test_a_python_that_is_killed_in_traffic_many_times(
    orphans: Callable[[], Set[int]], temporary: Path, seed: int
) -> None:
    check_kill_of_python(orphans, temporary, seed, starting=seed % 3 == 0)


# The engine has no memory left

HEAP = {"DOTNET_GCHeapHardLimit": "0x4000000"}  # 64 MiB
EAT = "$hog = [Collections.ArrayList]::new(); while ($true) { [void]$hog.Add([byte[]]::new(1MB)) }"


def ended_or_error(call: Callable[[], Optional[str]]) -> str:
    """What a user reads of a failure, whichever way it comes."""
    try:
        return call() or ""
    except VirtualShellError as error:
        return str(error)


def test_a_command_that_eats_all_memory_says_so_and_the_next_one_works() -> None:
    with Shell(environment=HEAP, timeout_seconds=WAIT_S, auto_restart=True) as shell:
        said = ended_or_error(lambda: shell.run(EAT).err)
        assert "OutOfMemoryException" in said or "has ended" in said, said
        assert shell.run("$hog = $null; [GC]::Collect(); 6*7").out == "42\n"


def test_data_that_the_engine_has_no_memory_for() -> None:
    with Shell(environment=HEAP, timeout_seconds=WAIT_S) as shell:
        with ZeroCopyBridge(shell) as bridge:
            said = ended_or_error(lambda: bridge.send(bytes(300 * MB), "$large"))
            assert "memory" in said.lower() or "OutOfMemory" in said, said
            assert shell.run("6*7").out == "42\n"
            bridge.send(b"small", "$small")
            assert bridge.receive("$small") == b"small"
