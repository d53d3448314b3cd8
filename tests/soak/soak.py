"""Moves messages of random sizes both ways, with everything else mixed in, for as long as it is told.

    python tests/soak/soak.py [--minutes 10] [--threads 2] [--seed N] [--json FILE]

Both sides hold the same random bytes, and every message is a part of them that begins at a random place:
what arrives is compared byte by byte, in PowerShell and in Python. Between the messages there are
commands, timeouts, cancelled commands and transfers, objects, leases at both ends, views that are held
for a while, and bridges that come and go. Now and then it looks at the memory, the descriptors, the mappings
and the threads of both processes; at the end it says whether they have grown.

Exits with 0 when no byte was wrong, nothing failed that should not, and nothing has grown (which is
judged from four minutes on).
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import hashlib
import json
import os
import random
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, Counter, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from virtualshell import Shell, VirtualShellError, ZeroCopyBridge

MB = 1 << 20
POOL_BYTES = 256 * MB
LARGEST = 64 * MB
FRAME_MB = 32  # smaller than the largest message: some stream, others lie whole
PATIENCE_S = 120.0  # whoever runs into it has found a deadlock
VIEWS_HELD = 4
# Whatever lies in the frame, and wherever, has room for one more of these beside it.
HELD = FRAME_MB * MB // (2 * (VIEWS_HELD + 2))
SAMPLE_SECONDS = 10.0
SAMPLES_TO_JUDGE = 24  # with fewer the garbage collector's rhythm hides growth
MEMORY_SLACK = 256 * MB  # the variables hold a message each, of any size
SLACK = 20  # of descriptors, mappings and threads: a view keeps those of its bridge


class Part(NamedTuple):
    """A message: bytes of the pool."""

    offset: int
    length: int


class Pool:
    """The reference bytes, the same on both sides."""

    def __init__(self, shell: Shell, seed: int) -> None:
        self.bytes = np.random.default_rng(seed).bytes(POOL_BYTES)
        self._view = memoryview(self.bytes)
        self._array = np.frombuffer(self.bytes, dtype=np.uint8)
        self._memcmp = ctypes.CDLL(None).memcmp
        self._memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        source = (Path(__file__).parent / "check.cs").read_text(encoding="utf-8")
        must(
            shell,
            "Add-Type -ReferencedAssemblies ([ZeroCopyBridge.Lease].Assembly.Location), System.Memory"
            f" -CompilerOptions '-nowarn:CS1701' -TypeDefinition @'\n{source}\n'@",
        )
        with ZeroCopyBridge(shell) as bridge:
            bridge.send(self.bytes, "$pool", timeout=PATIENCE_S)
        digest = must(
            shell,
            "[Soak]::Pool = $pool; Remove-Variable pool;"
            "[Convert]::ToHexString([Security.Cryptography.SHA256]::HashData([Soak]::Pool))",
        )
        if digest.lower() != hashlib.sha256(self.bytes).hexdigest():
            raise Wrong("the reference bytes themselves arrived wrong")

    def view(self, part: Part) -> memoryview:
        return self._view[part.offset : part.offset + part.length]

    def holds(self, data: Any, part: Part) -> bool:
        """Whether these are the bytes of this part."""
        found = np.frombuffer(data, dtype=np.uint8)
        if len(found) != part.length:
            return False
        wanted = self._array[part.offset :]
        return bool(self._memcmp(found.ctypes.data, wanted.ctypes.data, part.length) == 0)

    def copy_to(self, memory: memoryview, part: Part) -> None:
        np.frombuffer(memory, dtype=np.uint8)[:] = self._array[part.offset :][: part.length]


class Wrong(Exception):
    """Bytes that are not what was sent, or a result that is not what was asked for."""


def must(shell: Shell, code: str) -> str:
    """The output of a command that has to succeed."""
    result = shell.run(code, timeout=PATIENCE_S)
    if not result.success or result.err:
        raise Wrong(f"{code[:200]!r}: {result.err}")
    return result.out.strip()


class Worker:
    """One thread with a bridge of its own; the session is everybody's."""

    def __init__(self, number: int, shell: Shell, pool: Pool, seed: int) -> None:
        self._shell = shell
        self._pool = pool
        self._random = random.Random(f"{seed} {number}")
        self._name = f"soak{number}"
        self._variable = f"$soak{number}"
        self._views: List[tuple[memoryview, Part]] = []
        self._bridge = self._open()
        self.bytes = 0
        self.counts: Counter[str] = collections.Counter()
        self._actions: Dict[Callable[[], None], int] = {
            self._into: 50,
            self._into_in_two_steps: 40,
            self._out_of: 50,
            self._view: 20,
            self._lease_in: 8,
            self._lease_out: 8,
            self._small_ones: 10,
            self._command: 10,
            self._commands_at_once: 3,
            self._object: 4,
            self._command_times_out: 2,
            self._command_is_cancelled: 3,
            self._send_times_out: 5,
            self._receive_times_out: 5,
            self._posted_is_cancelled: 5,
            self._bridge_comes_and_goes: 1,
        }

    def work(self, until: float) -> None:
        actions, weights = list(self._actions), list(self._actions.values())
        while time.monotonic() < until:
            action = self._random.choices(actions, weights)[0]
            action()
            self.counts[action.__name__.strip("_")] += 1
        self._views.clear()
        self._bridge.close()

    def _open(self) -> ZeroCopyBridge:
        return ZeroCopyBridge(self._shell, self._name, frame_mb=FRAME_MB, chunk_mb=1)

    def _part(self, most: int = LARGEST) -> Part:
        """As many of each order of magnitude, and more of the large ones."""
        if self._random.random() < 0.5:
            length = self._random.randrange(most // 2, most)
        else:
            length = min(int(2 ** self._random.uniform(0, 26)), most)
        return Part(self._random.randrange(POOL_BYTES - length), length)

    def _count(self, part: Part) -> None:
        self.bytes += part.length

    def _check_here(self, data: Any, part: Part, what: str) -> None:
        if not self._pool.holds(data, part):
            raise Wrong(f"{what}: {part} arrived wrong in Python")
        self._count(part)

    def _check_there(self, part: Part, what: str) -> None:
        code = f"[Soak]::Holds({self._variable}, {part.offset}, {part.length})"
        if must(self._shell, code) != "True":
            raise Wrong(f"{what}: {part} arrived wrong in PowerShell")
        self._count(part)

    # Transfers

    def _into(self) -> None:
        part = self._part()
        self._bridge.send(self._pool.view(part), self._variable, timeout=PATIENCE_S)
        self._check_there(part, "into")

    def _into_in_two_steps(self) -> None:
        part = self._part()
        future = self._bridge.receive_to_powershell(self._variable, timeout=PATIENCE_S)
        self._bridge.send(self._pool.view(part), timeout=PATIENCE_S)
        self._check_there(part, "into in two steps")  # there before the next command
        if not future.result(PATIENCE_S).success:
            raise Wrong("into in two steps: no success")

    def _out_of(self) -> None:
        part = self._part()
        expression = f"[Soak]::Part({part.offset}, {part.length})"
        future = self._bridge.send_from_powershell(expression, timeout=PATIENCE_S)
        data = self._bridge.receive(timeout=PATIENCE_S)
        self._check_here(data, part, "out of")
        if not future.result(PATIENCE_S).success:
            raise Wrong("out of: no success")

    def _view(self) -> None:
        part = self._part(HELD)
        future = self._bridge.send_from_powershell(
            f"[Soak]::Part({part.offset}, {part.length})", timeout=PATIENCE_S
        )
        view = self._bridge.receive(timeout=PATIENCE_S, return_memoryview=True)
        future.result(PATIENCE_S)
        self._views.append((view, part))
        if len(self._views) > VIEWS_HELD:
            old, its_part = self._views.pop(self._random.randrange(len(self._views)))
            self._check_here(old, its_part, "a view, held for a while")

    def _lease_in(self) -> None:
        part = self._part(HELD)
        memory = self._bridge.allocate(part.length, timeout=PATIENCE_S)
        self._pool.copy_to(memory, part)
        future = self._bridge.receive_to_powershell(
            self._variable, timeout=PATIENCE_S, lease=True
        )
        self._bridge.send(memory, timeout=PATIENCE_S)
        if not future.result(PATIENCE_S).success:
            raise Wrong("lease in: no success")
        self._check_there(part, "lease in")
        must(self._shell, f"{self._variable}.Dispose(); {self._variable} = $null")

    def _lease_out(self) -> None:
        part = self._part(HELD)
        lease = f"$lease{self._name}"
        must(
            self._shell,
            f"{lease} = New-ZeroCopyLease {self._name} {part.length};"
            f"[Soak]::Fill({lease}, {part.offset})",
        )
        future = self._bridge.send_from_powershell(lease, timeout=PATIENCE_S)
        view = self._bridge.receive(timeout=PATIENCE_S, return_memoryview=True)
        future.result(PATIENCE_S)
        self._check_here(view, part, "lease out")
        must(self._shell, f"{lease}.Dispose(); {lease} = $null")

    def _small_ones(self) -> None:
        for _ in range(50):
            part = self._part(1024)
            future = self._bridge.receive_to_powershell(self._variable, timeout=PATIENCE_S)
            self._bridge.send(self._pool.view(part), timeout=PATIENCE_S)
            future.result(PATIENCE_S)
            future = self._bridge.send_from_powershell(self._variable, timeout=PATIENCE_S)
            self._check_here(self._bridge.receive(timeout=PATIENCE_S), part, "small ones")
            future.result(PATIENCE_S)

    def _object(self) -> None:
        number = self._random.randrange(10**9)
        must(self._shell, f"{self._variable} = [pscustomobject]@{{ N = {number}; L = 1..50 }}")
        clixml = self._bridge.receive(self._variable, timeout=PATIENCE_S)
        self._bridge.send(clixml, f"{self._variable}", timeout=PATIENCE_S)
        if must(self._shell, f"{self._variable}.N + {self._variable}.L[49]") != str(number + 50):
            raise Wrong("an object came back as another one")

    # Commands

    def _command(self) -> None:
        for _ in range(20):
            number = self._random.randrange(10**9)
            if must(self._shell, f"{number} + 1") != str(number + 1):
                raise Wrong(f"{number} + 1")

    def _commands_at_once(self) -> None:
        numbers = [self._random.randrange(10**9) for _ in range(100)]
        futures = [self._shell.run_async(f"'{n}'", timeout=PATIENCE_S) for n in numbers]
        for number, future in zip(numbers, futures):
            if future.result(PATIENCE_S).out != f"{number}\n":
                raise Wrong(f"'{number}'")

    # What ends early

    def _command_times_out(self) -> None:
        expect_timeout(lambda: self._shell.run("Start-Sleep 60", timeout=self._moment()))

    def _command_is_cancelled(self) -> None:
        future = self._shell.run_async("Start-Sleep -Milliseconds 30", timeout=PATIENCE_S)
        time.sleep(self._moment() / 10)
        if not future.cancel():
            future.result(PATIENCE_S)

    def _send_times_out(self) -> None:
        part = self._part()
        expect_timeout(
            lambda: self._bridge.send(
                self._pool.view(part), self._variable, timeout=self._moment()
            )
        )

    def _receive_times_out(self) -> None:
        part = self._part()
        expect_timeout(
            lambda: self._bridge.receive(
                f"[Soak]::Part({part.offset}, {part.length})", timeout=self._moment()
            )
        )

    def _posted_is_cancelled(self) -> None:
        future = self._bridge.receive_to_powershell(self._variable, timeout=PATIENCE_S)
        time.sleep(self._moment() / 10)
        if not future.cancel():
            raise Wrong("a posted receive was done before anything was sent")

    def _bridge_comes_and_goes(self) -> None:
        self._bridge.close()
        self._bridge = self._open()

    def _moment(self) -> float:
        """Seconds; mostly too few."""
        return self._random.choice([0.0, 1e-4, 1e-3, 1e-2]) * self._random.random()


def expect_timeout(action: Callable[[], object]) -> None:
    try:
        action()
    except TimeoutError:
        pass


class Sample(NamedTuple):
    """What both processes hold at a moment."""

    heap_bytes: int  # of the engine's objects that are alive
    python_bytes: int
    engine_bytes: int
    python_files: int
    engine_files: int
    python_mappings: int
    engine_mappings: int
    python_threads: int
    engine_threads: int


def look_at(pid: int) -> List[int]:
    process = Path(f"/proc/{pid}")
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    with open(process / "maps", encoding="utf-8") as maps:
        shared = sum("memfd:zcb" in line for line in maps)
    return [
        int(status["VmRSS"].split()[0]) * 1024,
        len(os.listdir(process / "fd")),
        shared,
        int(status["Threads"]),
    ]


def take_sample(shell: Shell) -> Sample:
    assert shell.pid is not None
    heap = int(must(shell, "[GC]::GetTotalMemory($true)"))
    here, there = look_at(os.getpid()), look_at(shell.pid)
    return Sample(heap, *(value for pair in zip(here, there) for value in pair))


def growth(samples: Sequence[Sample]) -> Dict[str, tuple[int, int, bool]]:
    """Each figure's median in the second and in the last quarter of the time, and whether it is flat.

    Empty when there was too little time to tell.
    """
    grown: Dict[str, tuple[int, int, bool]] = {}
    if len(samples) < SAMPLES_TO_JUDGE:
        return grown
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    for name in Sample._fields:
        before = int(statistics.median(getattr(sample, name) for sample in early))
        after = int(statistics.median(getattr(sample, name) for sample in late))
        slack = max(MEMORY_SLACK, before // 5) if name.endswith("bytes") else SLACK
        grown[name] = (before, after, after <= before + slack)
    return grown


class Soak:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self._seconds = arguments.minutes * 60
        self._shell = Shell(timeout_seconds=PATIENCE_S).start()
        self._pool = Pool(self._shell, arguments.seed)
        self._workers = [
            Worker(number, self._shell, self._pool, arguments.seed)
            for number in range(arguments.threads)
        ]
        self._failures: List[str] = []
        self._samples: List[Sample] = []

    def run(self) -> Dict[str, Any]:
        begin = time.monotonic()
        until = begin + self._seconds
        threads = [
            threading.Thread(target=self._work, args=(worker, until), daemon=True)
            for worker in self._workers
        ]
        for thread in threads:
            thread.start()
        while time.monotonic() < until and not self._failures:
            threads[0].join(min(SAMPLE_SECONDS, max(until - time.monotonic(), 0)))
            self._sample(time.monotonic() - begin)
        end = time.monotonic() + PATIENCE_S
        for thread in threads:
            thread.join(max(end - time.monotonic(), 0))
            if thread.is_alive() and not self._failures:
                self._failures.append("a thread did not end: a deadlock")
        seconds = time.monotonic() - begin
        self._shell.stop(force=bool(self._failures))
        return self._summary(seconds)

    def _work(self, worker: Worker, until: float) -> None:
        try:
            worker.work(until)
        except (Wrong, VirtualShellError, TimeoutError, BufferError) as error:
            self._failures.append(f"{type(error).__name__}: {error}")

    def _sample(self, seconds: float) -> None:
        try:
            sample = take_sample(self._shell)
        except (Wrong, VirtualShellError) as error:
            self._failures.append(f"{type(error).__name__}: {error}")
            return
        self._samples.append(sample)
        moved = sum(worker.bytes for worker in self._workers)
        print(
            f"{seconds:6.0f} s  {moved / 1e9:8.1f} GB  "
            f"memory {sample.python_bytes / MB:5.0f} + {sample.engine_bytes / MB:5.0f} MiB, "
            f"{sample.heap_bytes / MB:4.0f} of it alive  "
            f"descriptors {sample.python_files} + {sample.engine_files}  "
            f"mappings {sample.python_mappings} + {sample.engine_mappings}  "
            f"threads {sample.python_threads} + {sample.engine_threads}",
            flush=True,
        )

    def _summary(self, seconds: float) -> Dict[str, Any]:
        counts: Counter[str] = sum((worker.counts for worker in self._workers), collections.Counter())
        return {
            "seconds": round(seconds, 1),
            "bytes": sum(worker.bytes for worker in self._workers),
            "counts": dict(counts.most_common()),
            "growth": growth(self._samples),
            "failures": self._failures,
        }


def report(summary: Dict[str, Any]) -> bool:
    """Prints it; True when all is well."""
    print(f"\n{summary['bytes'] / 1e9:.1f} GB in {summary['seconds']:.0f} s, compared byte by byte")
    for name, count in summary["counts"].items():
        print(f"  {count:8}  {name.replace('_', ' ')}")
    well = not summary["failures"]
    for name, (before, after, flat) in summary["growth"].items():
        well &= flat
        print(f"  {name:16} {before:14,} -> {after:14,}  {'flat' if flat else 'GROWS'}")
    for failure in summary["failures"]:
        print(f"FAILED: {failure}")
    grows = ", nothing grows" if summary["growth"] else "; too short to tell what grows"
    print(f"nothing lost{grows}" if well else "NOT WELL")
    return well


def main(given: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", type=Path, metavar="FILE", help="the summary as JSON")
    arguments = parser.parse_args(given)
    print(f"soak: {arguments.minutes:g} minutes, {arguments.threads} threads, seed {arguments.seed}")
    summary = Soak(arguments).run()
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    return 0 if report(summary) else 1


if __name__ == "__main__":
    sys.exit(main())
