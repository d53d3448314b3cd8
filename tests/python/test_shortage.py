"""Short of descriptors, memory, processes, processors or files: a clear error that says what ran out
and what to do, no crash and no deadlock, and the session works again once there is enough. Each test
runs a Python of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence

import pytest

Program = Callable[..., None]
DEADLOCK_S = 50

TOOLS = """
import os, resource, sys, threading, time
from virtualshell import *

WAIT_S = 40
UNLIMITED = resource.RLIM_INFINITY

def check(shell):
    '''Commands, transfers both ways, a lease and a timeout.'''
    assert shell.run("6*7").out == "42\\n"
    assert shell.run_async("6*7").result(WAIT_S).out == "42\\n"
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        for size in 0, 1000, 3_000_000:
            data = os.urandom(size)
            bridge.send(data, "$data")
            assert bridge.receive("$data") == data
        view = bridge.receive("'x' * 1000", return_memoryview=True)
        assert b"xxx" in view.tobytes()
        try:
            bridge.receive(timeout=0.01)
            raise AssertionError("something came")
        except TransferTimeoutError:
            pass
    try:
        shell.run("Start-Sleep 60", timeout=0.01)
        raise AssertionError("no timeout")
    except ExecutionTimeoutError:
        pass

def limit(what, soft):
    resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))

def limit_engine(shell, what, soft):
    hard = resource.prlimit(shell.pid, what)[1]
    resource.prlimit(shell.pid, what, (soft, hard))

def refused(kinds, words, call):
    '''The text of the error, which has one of these words.'''
    try:
        call()
    except kinds as error:
        text = f"{type(error).__name__}: {error}"
        print(text, flush=True)
        assert any(word in text for word in words), text
        return text
    raise AssertionError("there was no error")

def open_descriptors(pid="self"):
    return len(os.listdir(f"/proc/{pid}/fd"))
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Runs a program text with TOOLS ahead of it. words: what comes ahead of the command."""

    def run(
        code: str,
        *args: str,
        words: Sequence[str] = (),
        environment: Optional[Dict[str, str]] = None,
    ) -> None:
        file = tmp_path / "program.py"
        file.write_text(TOOLS + code, encoding="utf-8")
        done = subprocess.run(
            [*words, sys.executable, "-X", "dev", str(file), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            timeout=DEADLOCK_S,
            env={**os.environ, **(environment or {})},
        )
        print(done.stdout, done.stderr, sep="\n")
        assert done.returncode == 0 and done.stderr == ""

    return run


# Descriptors

FEW_AT_START = """
shell = Shell(timeout_seconds=WAIT_S)
before = open_descriptors()
for more in range(40):
    limit(resource.RLIMIT_NOFILE, before - 1 + more)
    try:
        shell.start()
        break
    except StartError as error:
        print(more, error)
        assert "descriptors" in str(error) and "ulimit -n" in str(error), error
    finally:
        limit(resource.RLIMIT_NOFILE, 4096)
    assert open_descriptors() == before
assert more > 10
check(shell)
shell.stop()
"""

FEW_IN_TRANSFERS = """
with Shell(timeout_seconds=WAIT_S) as shell, ZeroCopyBridge(shell, frame_mb=1) as bridge:
    check(shell)
    texts = set()

    def work(number):
        data, end = os.urandom(300_000), time.monotonic() + 1
        while time.monotonic() < end:
            try:
                assert shell.run(str(number)).out == f"{number}\\n"
                bridge.send(data, f"$w{number}")
                assert bridge.receive(f"$w{number}") == data
            except VirtualShellError as error:
                texts.add(f"{type(error).__name__}: {error}")

    limit(resource.RLIMIT_NOFILE, open_descriptors())
    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    limit(resource.RLIMIT_NOFILE, 4096)
    print(*sorted(texts), sep="\\n")
    assert texts and all("descriptors" in text and "ulimit -n" in text for text in texts)
    check(shell)
"""

FEW_IN_THE_ENGINE = """
with Shell(timeout_seconds=WAIT_S) as shell:
    check(shell)
    limit_engine(shell, resource.RLIMIT_NOFILE, open_descriptors(shell.pid) + 2)
    with ZeroCopyBridge(shell) as bridge:
        refused(VirtualShellError, ["descriptors"], lambda: bridge.send(b"x", "$x"))
        refused(VirtualShellError, ["descriptors"], lambda: bridge.send(b"x", "$x"))
        refused(ChannelError, ["can't be used any more"], lambda: bridge.receive("1"))
        assert shell.run("6*7").out == "42\\n"
    limit_engine(shell, resource.RLIMIT_NOFILE, 4096)
    check(shell)
"""


def test_too_few_descriptors_to_start(program: Program) -> None:
    program(FEW_AT_START)


def test_too_few_descriptors_for_transfers(program: Program) -> None:
    program(FEW_IN_TRANSFERS)


def test_too_few_descriptors_in_the_engine(program: Program) -> None:
    program(FEW_IN_THE_ENGINE)


# Memory and its limits

LITTLE_ADDRESS_SPACE = """
def address_space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

shell = Shell(timeout_seconds=WAIT_S)
limit(resource.RLIMIT_AS, address_space() + (8 << 20))
refused(MemoryError, ["out of memory"], shell.start)
limit(resource.RLIMIT_AS, address_space() + (1 << 30))
refused(StartError, ["It wrote: "], shell.start)  # the engine's own words
limit(resource.RLIMIT_AS, UNLIMITED)
with shell, ZeroCopyBridge(shell) as bridge:
    check(shell)
    shell.run("$large = [byte[]]::new(300MB)")
    bridge.receive("1")  # has its memory from now on
    limit(resource.RLIMIT_AS, address_space() + (100 << 20))
    refused(ChannelError, ["out of memory"], lambda: ZeroCopyBridge(shell, frame_mb=1024))
    refused((MemoryError, TransferError), ["memory"], lambda: bridge.receive("$large"))
    assert shell.run("6*7").out == "42\\n"
    limit(resource.RLIMIT_AS, UNLIMITED)
    assert len(bridge.receive("$large")) == 300 << 20
    check(shell)
"""

LITTLE_ADDRESS_SPACE_IN_THE_ENGINE = """
def address_space(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

with Shell(timeout_seconds=WAIT_S) as shell:
    check(shell)
    limit_engine(shell, resource.RLIMIT_AS, address_space(shell.pid) + (100 << 20))
    with ZeroCopyBridge(shell, frame_mb=1024) as bridge:
        words = ["memory", "closed by the other side"]  # whichever is seen first
        refused(VirtualShellError, words, lambda: bridge.send(b"x", "$x"))
    assert shell.run("6*7").out == "42\\n"
    limit_engine(shell, resource.RLIMIT_AS, UNLIMITED)
    check(shell)
"""

SMALL_FILES = """
shell = Shell(timeout_seconds=WAIT_S)
limit(resource.RLIMIT_FSIZE, 1 << 20)
refused(MemoryError, ["ulimit -f"], shell.start)
limit(resource.RLIMIT_FSIZE, UNLIMITED)
with shell, ZeroCopyBridge(shell) as bridge:
    limit(resource.RLIMIT_FSIZE, 1 << 20)
    refused(ChannelError, ["ulimit -f"], lambda: ZeroCopyBridge(shell))
    bridge._idle.clear()
    data = os.urandom(30 << 20)
    future = bridge.receive_to_powershell("$data")
    bridge.send(data)
    assert future.result().success
    limit(resource.RLIMIT_FSIZE, UNLIMITED)
    assert bridge.receive("$data") == data
    check(shell)
"""


def test_little_address_space(program: Program) -> None:
    program(LITTLE_ADDRESS_SPACE)


def test_little_address_space_in_the_engine(program: Program) -> None:
    program(LITTLE_ADDRESS_SPACE_IN_THE_ENGINE)


def test_a_limit_on_the_size_of_files(program: Program) -> None:
    program(SMALL_FILES)


def can_make(group: Path, file: str, limit: str) -> bool:
    try:
        group.mkdir()
    except OSError:
        return False
    try:
        (group / file).write_text(limit)
    except OSError:
        group.rmdir()
        return False
    return True


@contextlib.contextmanager
def cgroup(controller: str, file: str, limit: str) -> Iterator[Path]:
    """A new group below this process's own; cgroup 1 has a hierarchy for each controller."""
    root = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in (controller, ""):
            continue
        group = Path(f"{root / controllers}{path}") / f"zcb-{os.getpid()}"
        if not can_make(group, file, limit):
            continue
        try:
            yield group
        finally:
            group.rmdir()
        return
    pytest.skip(f"no {controller} cgroup can be made here")


@pytest.fixture
def little_memory() -> Iterator[Path]:
    v1 = Path("/sys/fs/cgroup/memory").is_dir()
    with cgroup("memory", "memory.limit_in_bytes" if v1 else "memory.max", "300M") as group:
        yield group


ENGINE_IN_A_GROUP = """
group = sys.argv[1]
with Shell(timeout_seconds=WAIT_S) as shell:
    check(shell)
    with open(group + "/cgroup.procs", "w") as file:
        file.write(str(shell.pid))
    with ZeroCopyBridge(shell, frame_mb=1024) as bridge:
        # What a process touches first counts for its group.
        refused(VirtualShellError, ["killed by signal 9", "memory"],
            lambda: bridge.send_from_powershell("[byte[]]::new(900MB)").result(WAIT_S))
    if not shell.is_running:
        shell.start()
    check(shell)
"""


@pytest.mark.stress
def test_an_engine_in_a_group_with_little_memory(program: Program, little_memory: Path) -> None:
    """The kernel ends what takes more: Python learns it, and the next session works."""
    program(ENGINE_IN_A_GROUP, str(little_memory))


# Files

WORKS = """
with Shell(timeout_seconds=WAIT_S) as shell:
    check(shell)
"""


def test_a_temporary_folder_that_is_not_there(program: Program) -> None:
    program(WORKS, environment={"TMPDIR": "/nowhere"})


MOUNT = """
set -e
mount -t tmpfs -o size=4k tmpfs /dev/shm
if [ "$1" = full ]; then
    head -c 4096 /dev/zero > /dev/shm/full
else
    mount -t tmpfs -o ro tmpfs /dev/shm
fi
shift
exec "$@"
"""


def in_a_namespace(kind: str) -> List[str]:
    """The words ahead of a command that give it a /dev/shm of its own."""
    words = ["unshare", "--mount", "/bin/sh", "-c", MOUNT, "sh", kind]
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    done = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        pytest.skip(f"no mount namespace can be made here: {done.stderr.decode()}")
    return words


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_nothing_needs_dev_shm(program: Program, kind: str) -> None:
    program(WORKS, words=in_a_namespace(kind))


# Processes and threads

NO_MORE_PROCESSES = """
group = sys.argv[1]

def write(name, text):
    with open(f"{group}/{name}", "w") as file:
        file.write(str(text))

def allow_no_more(pid):
    if group:
        write("cgroup.procs", pid)
        write("pids.max", 1)
    else:
        resource.prlimit(pid, resource.RLIMIT_NPROC, (1, hard))

def go_on(pid):
    if group:
        write("pids.max", "max")
    else:
        resource.prlimit(pid, resource.RLIMIT_NPROC, (hard, hard))

hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
with Shell(timeout_seconds=WAIT_S) as shell:
    check(shell)
    allow_no_more(os.getpid())
    refused(StartError, ["ulimit -u"], Shell().start)
    go_on(os.getpid())
    allow_no_more(shell.pid)
    result = shell.run("/bin/true")
    print(result.err)
    assert not result.success
    with ZeroCopyBridge(shell) as bridge:
        bridge.send(b"x", "$x")
        assert bridge.receive("$x") == b"x"
        # The pipeline turns to something else: the transfer would need a thread of its own.
        posted = bridge.receive_to_powershell("$posted")
        shell.run("1")
        assert "can't start a thread" in posted.result(WAIT_S).err
        refused((TransferError, ChannelError), ["can't"], lambda: bridge.send(b"posted"))
    with ZeroCopyBridge(shell, frame_mb=1) as bridge:
        # Likewise for what Python doesn't read.
        sent = bridge.send_from_powershell("[byte[]]::new(3MB)")
        shell.run("1")
        assert "can't start a thread" in sent.result(WAIT_S).err
        refused(ChannelError, ["can't be used any more"], bridge.receive)
    assert shell.run("6*7").out == "42\\n"
    go_on(shell.pid)
    check(shell)
"""


@pytest.fixture
def process_group_limit() -> Iterator[str]:
    """A cgroup's folder, for root, whom `ulimit -u` does not bind; else ""."""
    if os.getuid() != 0:
        yield ""
        return
    with cgroup("pids", "pids.max", "max") as group:
        yield str(group)


def test_no_more_processes(program: Program, process_group_limit: str) -> None:
    program(NO_MORE_PROCESSES, process_group_limit)


# Processors

ONE_PROCESSOR = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
with Shell(timeout_seconds=WAIT_S) as shell:
    for _ in range(rounds):
        check(shell)
"""

LOADED = """
import subprocess
busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(4)]
try:
    with Shell(timeout_seconds=WAIT_S) as shell:
        for _ in range(rounds):
            check(shell)
finally:
    for process in busy:
        process.kill()
        process.wait()
"""


def test_one_processor(program: Program) -> None:
    program("rounds = 3\n" + ONE_PROCESSOR)


@pytest.mark.stress
def test_one_processor_for_long(program: Program) -> None:
    program("rounds = 50\n" + ONE_PROCESSOR)


@pytest.mark.stress
def test_a_loaded_machine(program: Program) -> None:
    program("rounds = 10\n" + LOADED)


@pytest.mark.stress
def test_one_loaded_processor(program: Program) -> None:
    program("rounds = 5\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + LOADED)
