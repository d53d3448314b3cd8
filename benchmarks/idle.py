"""What an idle session costs, beside the bare engine idle: processor time and wake-ups."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO, Dict, cast

from virtualshell import Shell, ZeroCopyBridge

from engine import start_engine
from measure import Effort, Figures, pid_of, processor_seconds

SETTLE_SECONDS = 2  # tiered compilation works on in the background


def context_switches(pid: int) -> Dict[str, int]:
    """By thread: of one that ended, what it had is gone."""
    counts = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        counts[task.name] = sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return counts


def measure_idle(effort: Effort) -> Figures:
    with start_engine("-Command", "1; [Threading.Thread]::Sleep(-1)") as bare:
        cast("IO[bytes]", bare.stdout).readline()
        try:
            with Shell(timeout_seconds=60) as shell, ZeroCopyBridge(shell) as bridge:
                bridge.send(b"x" * 1_000_000, "$x")
                shell.run("$x.Length")
                pids = {"bare engine": bare.pid, "engine": pid_of(shell), "Python": os.getpid()}
                return watch(pids, effort.of(3, 20))
        finally:
            bare.kill()


def watch(pids: Dict[str, int], seconds: float) -> Figures:
    """The clocks are read next to the pause, so that reading the rest is not taken for Python's cost."""
    time.sleep(SETTLE_SECONDS)
    switches = {name: context_switches(pid) for name, pid in pids.items()}
    clocks = {name: processor_seconds(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    processor = {
        name: (processor_seconds(pid) - clocks[name]) * 1000 / seconds for name, pid in pids.items()
    }
    wake_ups = {}
    for name, pid in pids.items():
        now, before = context_switches(pid), switches[name]
        wake_ups[name] = sum(count - before.get(task, 0) for task, count in now.items()) / seconds
    return {"processor": processor, "wake-ups": wake_ups}
