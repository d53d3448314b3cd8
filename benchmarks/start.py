"""How long until a first result, against the bare engine that runs `1`; and what a new bridge costs."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import List

from virtualshell import Shell, ZeroCopyBridge

from engine import engine_command
from measure import Effort, Figures, median, pid_of, summarize, timed

BRIDGES = 50


def measure_start(effort: Effort) -> Figures:
    bare, ours = [], []
    for _ in range(effort.of(3, 15)):
        command = engine_command("-Command", "1")
        bare.append(timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)))
        ours.append(first_result())
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, bare))
    return {
        "bare engine": median(bare),
        "first result": median(ours),
        "ratio": ratio,
        "summary": {
            "the bare engine runs 1": summarize(bare),
            "start to first result": summarize(ours),
        },
    }


def first_result() -> float:
    begin = time.perf_counter()
    with Shell(timeout_seconds=60) as shell:
        shell.run("1")
        return time.perf_counter() - begin


def measure_new_bridge(shell: Shell, effort: Effort) -> Figures:
    """Time of a new bridge, and what memory each keeps in both processes while nobody uses it."""
    for _ in range(5):
        ZeroCopyBridge(shell).close()
    pids = {"Python": os.getpid(), "engine": pid_of(shell)}
    before = {side: resident_kib(pid) for side, pid in pids.items()}
    seconds: List[float] = []
    bridges: List[ZeroCopyBridge] = []
    for _ in range(BRIDGES):
        seconds.append(timed(lambda: bridges.append(ZeroCopyBridge(shell))))
    shell.run("1")  # the engine has taken them all
    figures: Figures = {"seconds": median(seconds)}
    figures["summary"] = {"a new bridge": summarize(seconds)}
    for side, pid in pids.items():
        figures[f"{side} KiB"] = (resident_kib(pid) - before[side]) / BRIDGES
    for bridge in bridges:
        bridge.close()
    return figures


def resident_kib(pid: int) -> int:
    """Exactly: what smaps_rollup counts page by page, unlike VmRSS, which may lag behind."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))
