"""Peak memory of both processes for one transfer, beyond what has to be: destination and frame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable, Dict

from virtualshell import Shell, ZeroCopyBridge

from measure import Figures, pid_of

MIB = 1 << 20
SIZE = 256 * MIB
FRAME_MB, CHUNK_MB = 16, 4
FRESH = "$data = $null; [GC]::Collect(); [GC]::WaitForPendingFinalizers(); [GC]::Collect()"


def measure_memory() -> Figures:
    """MiB, by way and process."""
    payload = bytearray(os.urandom(MIB)) * (SIZE // MIB)
    with Shell(timeout_seconds=60) as shell:
        with ZeroCopyBridge(shell, frame_mb=FRAME_MB, chunk_mb=CHUNK_MB) as bridge:
            pids = {"Python": os.getpid(), "engine": pid_of(shell)}
            bridge.send(b"warm", "$data")
            bridge.receive("$data")
            figures = {}
            for way, destination in (("into", "engine"), ("out", "Python")):
                if way == "into":
                    shell.run(FRESH)
                    peaks = peak_mib(pids, lambda: bridge.send(payload, "$data"))
                else:
                    peaks = peak_mib(pids, lambda: bridge.receive("$data"))
                for side, peak in peaks.items():
                    needed = FRAME_MB + CHUNK_MB + (SIZE // MIB if side == destination else 0)
                    figures[f"{way}, {side}"] = peak - needed
            return figures


def peak_mib(pids: Dict[str, int], action: Callable[[], object]) -> Dict[str, float]:
    """How far each process grew while the action ran, at the most (proc(5): clear_refs, VmHWM)."""
    for pid in pids.values():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = {side: high_water_kib(pid) for side, pid in pids.items()}
    action()
    return {side: (high_water_kib(pid) - before[side]) / 1024 for side, pid in pids.items()}


def high_water_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
