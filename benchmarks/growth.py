"""How the cost of a transfer grows: with its size, with how many there were, with other bridges."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import DefaultDict, Dict, List

from virtualshell import Shell, ZeroCopyBridge

from bridge import Bridge
from limits import Limits
from measure import Effort, Figures, median, timed

MIB = 1 << 20
SMALL = bytearray(1024)
MANY = 10_000
BRIDGES = 50


def measure_growth(shell: Shell, limits: Limits, effort: Effort) -> Figures:
    figures: Figures = measure_doubling(shell, limits, effort)
    figures["ten thousandth"] = measure_many(shell)
    figures["fifty bridges"] = measure_bridges(shell)
    return figures


def measure_doubling(shell: Shell, limits: Limits, effort: Effort) -> Figures:
    """Seconds by size, and the worst step: how much longer twice the size takes.

    The least time at each size is what the code costs without the machine's noise.
    Where a size leaves a cache, copying itself takes more than twice as long; a step of the limit
    in the same rounds stands for that and is taken out.
    """
    largest = effort.of(64, 1024) * MIB
    sizes = [size * MIB for size in (1 << n for n in range(11)) if size * MIB <= largest]
    payload = memoryview(bytearray(os.urandom(MIB)) * (largest // MIB))
    seconds: Dict[str, DefaultDict[int, List[float]]]
    seconds = {name: defaultdict(list) for name in ("into", "out", "overlapped")}
    bridge = Bridge(shell)
    for _ in range(effort.of(2, 5)):
        for size in sizes:
            for _ in range(10 if size <= 8 * MIB else 3 if size <= 64 * MIB else 2):
                data = payload[:size]
                limit = limits.measure("overlapped", size).seconds
                seconds["overlapped"][size].append(limit)
                seconds["into"][size].append(timed(lambda: bridge.into(data)))  # type: ignore[arg-type]
                seconds["out"][size].append(timed(lambda: bridge.out(size)))
        bridge.forget()
    bridge.close()
    least = {
        name: {size: min(values) for size, values in by_size.items()}
        for name, by_size in seconds.items()
    }
    figures: Figures = {"seconds": least}
    limit_steps = steps(least["overlapped"], sizes)
    for way in ("into", "out"):
        own = steps(least[way], sizes)
        figures[f"{way} step"] = max(
            ours / max(limit / 2, 1.0) for ours, limit in zip(own, limit_steps)
        )
    return figures


def steps(seconds: Dict[int, float], sizes: List[int]) -> List[float]:
    return [seconds[large] / seconds[small] for small, large in zip(sizes, sizes[1:])]


def measure_many(shell: Shell) -> float:
    bridge = Bridge(shell)
    seconds = [timed(lambda: bridge.into(SMALL)) for _ in range(MANY)]
    bridge.close()
    return median(seconds[-100:]) / median(seconds[10:110])


def measure_bridges(shell: Shell) -> float:
    """One bridge's transfers while there are others, which were used, against alone."""
    bridge = Bridge(shell)
    alone, among = [], []
    for _ in range(6):
        alone.append(median([timed(lambda: bridge.into(SMALL)) for _ in range(300)]))
        others = [ZeroCopyBridge(shell) for _ in range(BRIDGES - 1)]
        for other in others:
            other.send(SMALL, "$bench")
        among.append(median([timed(lambda: bridge.into(SMALL)) for _ in range(300)]))
        for other in others:
            other.close()
    bridge.close()
    return median([many / one for many, one in zip(among[1:], alone[1:])])
