"""Times and processor times, and what the sections of the benchmark share."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any, Callable, Dict, List, NamedTuple

from virtualshell import Shell

Seconds = List[float]
SUMMARY = ("median", "mean", "worst tenth")
Figures = Dict[str, Any]  # of one section: plain values, as they go into the JSON


class Effort(NamedTuple):
    """How much is measured: `--quick` takes under two minutes."""

    quick: bool

    def of(self, quick: int, full: int) -> int:
        return quick if self.quick else full


def timed(action: Callable[[], object]) -> float:
    """Seconds; what the action returns lives a little longer than the clock runs."""
    begin = time.perf_counter()
    kept = action()
    seconds = time.perf_counter() - begin
    del kept
    return seconds


def median(values: Seconds) -> float:
    return statistics.median(values)


def summarize(samples: Seconds) -> Dict[str, float]:
    """What tables and the JSON say of samples. A median alone hides what happens now and then, as
    .NET's collections do."""
    slowest = sorted(samples)[-math.ceil(len(samples) / 10) :]
    figures = (statistics.median(samples), statistics.mean(samples), statistics.mean(slowest))
    return dict(zip(SUMMARY, figures))


def percentile(values: Seconds, percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def pid_of(shell: Shell) -> int:
    """Of the engine of a shell that runs."""
    assert shell.pid is not None
    return shell.pid


def processor_seconds(pid: int) -> float:
    """Of all threads of a process so far, in nanoseconds' resolution.

    The clock of a process has a number made of its pid: see clock_getcpuclockid(3) and the kernel's
    include/linux/posix-timers_types.h (CPUCLOCK_SCHED).
    """
    return time.clock_gettime((~pid << 3) | 2)


def size_name(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"
