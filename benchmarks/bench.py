"""Measures the bridge: throughput both ways, the cost of a command, the time to start.

    python benchmarks/bench.py [--quick] [--json FILE]

Sizes are interleaved, so that a noisy moment of the machine hits all of them; the figures are medians.
Every transfer is checked. Two limits of the machine are measured beside the bridge in the same run: a
copy between warm buffers, and the bare engine running `1`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Callable, Dict, List

from virtualshell import Shell, _native
from virtualshell.zero_copy_bridge_shell import ZeroCopyBridge

SIZES = [1 << 10, 1 << 16, 1 << 20, 1 << 24, 1 << 26, 1 << 28]
Seconds = List[float]


def timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def size_name(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"


class Transfers:
    """One bridge, one payload a size, and a check of each transfer."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.bridge = ZeroCopyBridge(shell, frame_mb=256)
        self.payload = {size: os.urandom(size) for size in SIZES}
        self.warm = {size: bytearray(size) for size in SIZES}

    def close(self) -> None:
        self.bridge.close()

    def copy(self, size: int) -> float:
        target, source = memoryview(self.warm[size]), self.payload[size]

        def action() -> None:
            target[:] = source

        return timed(action)

    def into(self, size: int) -> float:
        payload = self.payload[size]

        def action() -> None:
            future = self.bridge.receive_to_powershell("$bench")
            self.bridge.send(payload)
            future.result()

        seconds = timed(action)
        command = "[Convert]::ToHexString([Security.Cryptography.SHA256]::HashData($bench))"
        self.check(size, self.shell.run(command).out.strip().lower(), hashlib.sha256(payload).hexdigest())
        return seconds

    def out(self, size: int, memoryview: bool) -> float:
        received: List[object] = []

        def action() -> None:
            future = self.bridge.send_from_powershell("$bench")
            received.append(self.bridge.receive(return_memoryview=memoryview))
            future.result()

        seconds = timed(action)
        self.check(size, received[0] == self.payload[size], True)
        return seconds

    @staticmethod
    def check(size: int, got: object, want: object) -> None:
        if got != want:
            raise SystemExit(f"a transfer of {size} bytes arrived wrong")


def throughput(shell: Shell, rounds: int) -> Dict[str, Dict[int, float]]:
    """Median seconds by way and size."""
    transfers = Transfers(shell)
    ways: Dict[str, Callable[[int], float]] = {
        "into PowerShell": transfers.into,
        "out as bytes": lambda size: transfers.out(size, memoryview=False),
        "out as memoryview": lambda size: transfers.out(size, memoryview=True),
        "memcpy, warm": transfers.copy,
    }
    seconds: Dict[str, Dict[int, Seconds]] = {way: {size: [] for size in SIZES} for way in ways}
    for _ in range(rounds):
        for size in SIZES:
            for way, measure in ways.items():
                seconds[way][size].append(measure(size))
    transfers.close()
    return {way: {size: statistics.median(all_of) for size, all_of in sizes.items()} for way, sizes in seconds.items()}


def commands(shell: Shell, count: int) -> Dict[str, float]:
    """Median seconds of `run`, for a text seen before and for a new one each time."""
    seen = [timed(lambda: shell.run("1+1")) for _ in range(count)][count // 5 :]
    new = [timed(lambda text=f"1+{n}": shell.run(text)) for n in range(1000, 1000 + count // 5)]
    begin = time.perf_counter()
    futures = [shell.run_async("1+1") for _ in range(count)]
    for future in futures:
        future.result()
    return {
        "run('1+1'), seen before": statistics.median(seen),
        "run, a new text each time": statistics.median(new),
        "run_async, pipelined": (time.perf_counter() - begin) / count,
    }


def start_times(rounds: int) -> Dict[str, float]:
    engine, _ = _native.find_engine()
    bare, ours = [], []
    for _ in range(rounds):
        arguments = [engine, "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", "1"]
        bare.append(timed(lambda: subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)))

        def first_result() -> None:
            with Shell(timeout_seconds=60) as shell:
                shell.run("1")
                times.append(time.perf_counter())

        times: List[float] = []
        begin = time.perf_counter()
        first_result()
        ours.append(times[0] - begin)
    return {"bare engine running `1`": statistics.median(bare), "start to first result": statistics.median(ours)}


def print_throughput(results: Dict[str, Dict[int, float]]) -> None:
    print(f"\n{'GB/s, median':24}" + "".join(f"{size_name(size):>10}" for size in SIZES))
    for way, sizes in results.items():
        print(f"{way:24}" + "".join(f"{size / sizes[size] / 1e9:10.2f}" for size in SIZES))
    print(f"\n{'microseconds, median':24}" + "".join(f"{size_name(size):>10}" for size in SIZES))
    for way, sizes in results.items():
        print(f"{way:24}" + "".join(f"{sizes[size] * 1e6:10.0f}" for size in SIZES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON, in seconds")
    arguments = parser.parse_args()
    rounds = 5 if arguments.quick else 15
    starts = start_times(3 if arguments.quick else 7)
    with Shell(timeout_seconds=120) as shell:
        costs = commands(shell, 2000 if arguments.quick else 10000)
        transfers = throughput(shell, rounds)
    print_throughput(transfers)
    print()
    for name, seconds in costs.items():
        print(f"{name:32}{seconds * 1e6:10.1f} µs")
    for name, seconds in starts.items():
        print(f"{name:32}{seconds * 1e3:10.0f} ms")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"throughput": transfers, "commands": costs, "start": starts}, file, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
