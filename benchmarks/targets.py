"""The targets, as a table: what, the figure of this run, what was wanted, and whether it meets that.

Ratios between contestants are the median over rounds of the ratio within a round, so that what the
machine did meanwhile cancels out. A round's figure is the best of its burst.

A target that would take the machine's own limit of the same run, or more, is out of reach whatever
the bridge does. A part of the limit is wanted instead.
"""

from __future__ import annotations

import statistics
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from measure import Figures, size_name

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
FRAME = 256 * MIB  # of the contestants that hold messages in place
IN_PLACE = {"view": "out as memoryview", "array": "out as NumPy"}
# How much of what the machine does a bridge is to reach.
PARTS = {"overlapped": 0.85, "memcpy": 0.9}


class Limit(NamedTuple):
    """What the machine did in this run, and the part of it that is wanted in place of more."""

    name: str
    figure: float  # in the target's unit
    part: float


class Target(NamedTuple):
    what: str
    figure: Optional[float]  # None: not measured in this run
    wanted: float
    at_least: bool
    unit: str = ""
    note: str = ""
    limit: Optional[Limit] = None

    @property
    def goal(self) -> float:
        """What is wanted of this run."""
        if self.limit is None or not self._reaches(self.wanted, self.limit.figure):
            return self.wanted
        part = self.limit.part if self.at_least else 1 / self.limit.part
        return part * self.limit.figure

    @property
    def meets(self) -> Optional[bool]:
        return None if self.figure is None else self._reaches(self.figure, self.goal)

    def _reaches(self, figure: float, goal: float) -> bool:
        return figure >= goal if self.at_least else figure <= goal

    @property
    def verdict(self) -> str:
        return {True: "meets", False: "misses", None: "not measured"}[self.meets]


def at_least(
    what: str, figure: Optional[float], wanted: float, unit: str = "x", note: str = ""
) -> Target:
    return Target(what, figure, wanted, True, unit, note)


def at_most(
    what: str, figure: Optional[float], wanted: float, unit: str = "x", note: str = ""
) -> Target:
    return Target(what, figure, wanted, False, unit, note)


class Cells:
    """Looks up and compares the figures of the throughput section."""

    def __init__(self, throughput: Figures) -> None:
        self.sizes: List[int] = throughput.get("sizes", [])
        self._cells: Dict[str, Any] = throughput.get("cells", {})

    def rounds(self, way: str, name: str, size: int) -> List[float]:
        """Seconds, the best of each."""
        bursts: List[List[float]] = self._cells.get(way, {}).get(name, {}).get(size, [])
        return [min(burst) for burst in bursts]

    def best_peer(self, way: str, size: int) -> Optional[str]:
        medians: Dict[str, float] = {
            name: statistics.median(self.rounds(way, name, size))
            for name, sizes in self._cells.get(way, {}).items()
            if not name.startswith("bridge") and sizes.get(size)
        }
        return min(medians, key=lambda name: medians[name]) if medians else None

    def over_best_peer(
        self, what: str, way: str, size: int, peer_way: str, wanted: float
    ) -> Target:
        peer = self.best_peer(peer_way, size)
        theirs = self.rounds(peer_way, peer, size) if peer else []
        figure = speedup(self.rounds(way, "bridge", size), theirs)
        target = at_least(f"{what}, over the best peer", figure, wanted, note=peer or "")
        return target._replace(limit=self._limit(way, size, theirs))

    def _limit(self, way: str, size: int, theirs: List[float]) -> Optional[Limit]:
        """How many times as fast as a peer the machine is. A message that is held in place takes
        one copy; others take two, overlapped or one after the other, whichever is faster."""
        copies = self.rounds("limit", "memcpy", size)
        if way in IN_PLACE:
            name, part = "one copy", PARTS["memcpy"]
        else:
            name, part = "two copies", PARTS["overlapped"]
            overlapped = self.rounds("limit", "overlapped", size)
            copies = [min(both, 2 * one) for both, one in zip(overlapped, copies)]
        figure = speedup(copies, theirs)
        return None if figure is None else Limit(name, figure, part)

    def of_limit(self, what: str, way: str, size: int, limit: str) -> Target:
        figure = speedup(self.rounds(way, "bridge", size), self.rounds("limit", limit, size))
        return at_least(f"{what}, of {limit}", figure, PARTS[limit])


def speedup(ours: List[float], theirs: List[float]) -> Optional[float]:
    """How many times as fast the first is, round by round."""
    ratios = [their / our for our, their in zip(ours, theirs)]
    return statistics.median(ratios) if ratios else None


def throughput_targets(figures: Figures) -> Iterator[Target]:
    cells = Cells(figures.get("throughput", {}))
    large = [size for size in cells.sizes if size >= 16 * MIB]
    for way, what, times in (("into", "into PowerShell", 1.5), ("out", "out as bytes", 3.0)):
        for size in large:
            cell = f"{what}, {size_name(size)}"
            yield cells.of_limit(cell, way, size, "overlapped")
        for size in large:
            cell = f"{what}, {size_name(size)}"
            yield cells.over_best_peer(cell, way, size, way, times)
        for size in (64 * KIB, MIB):
            cell = f"{what}, {size_name(size)}"
            yield cells.over_best_peer(cell, way, size, way, 1.5)
    for way, what in IN_PLACE.items():
        for size in (size for size in large if size <= FRAME):
            cell = f"{what}, {size_name(size)}"
            yield cells.of_limit(cell, way, size, "memcpy")
            yield cells.over_best_peer(cell, way, size, "kept", 1.5)
    yield from lease_targets(cells)


def lease_targets(cells: Cells) -> Iterator[Target]:
    for way, what in (("into", "into PowerShell"), ("view", "out of it")):
        small = cells.rounds(way, "bridge, leases", KIB)
        large = cells.rounds(way, "bridge, leases", FRAME)
        figure = statistics.median(large) / statistics.median(small) if small and large else None
        yield at_most(f"leases at both ends, {what}: 256 MiB against 1 KiB", figure, 2)


def latency_targets(figures: Figures) -> Iterator[Target]:
    latency = figures.get("latency", {})
    awake, idle = latency.get("awake", {}), latency.get("idle", {})

    def micros(samples: Dict[str, List[float]], name: str) -> Optional[float]:
        return statistics.median(samples[name]) * 1e6 if name in samples else None

    for way in ("into", "out"):
        name = f"bridge, {way}"
        ours, text = micros(awake, name), micros(awake, f"live engine, text, {way}")
        yield at_most(f"1 KiB {way}, awake", ours, 40, "µs")
        yield at_most(f"1 KiB {way}, from idle", micros(idle, name), 150, "µs")
        yield at_least(
            f"1 KiB {way}, against the text way",
            text / ours if text is not None and ours is not None else None,
            20,
            note="text in a live engine",
        )
    yield at_most("run('1+1'), a text seen before", micros(awake, "run, seen before"), 25, "µs")
    over = latency.get("new_text_over_engine")
    note = f"the engine's own: {latency['engine_own'] * 1e6:.0f} µs" if latency else ""
    over = None if over is None else over * 1e6
    yield at_most("run, a new text, over the engine's own cost", over, 20, "µs", note)
    yield at_least("run_async, pipelined", latency.get("pipelined_per_second"), 50_000, "/s")


def text_targets(figures: Figures) -> Iterator[Target]:
    for name, text in figures.get("text", {}).get("texts", {}).items():
        beyond = text["seconds"] - text["formatting_seconds"]
        speed = text["bytes"] / max(beyond, 1e-3) / 1e6
        note = (
            f"whole {text['seconds'] * 1e3:.0f} ms, Out-String"
            f" {text['formatting_seconds'] * 1e3:.0f} ms"
        )
        yield at_least(f"run that returns {name}, beyond formatting", speed, 300, "MB/s", note)


def cost_targets(figures: Figures) -> Iterator[Target]:
    start, bridge = figures.get("start", {}), figures.get("new_bridge", {})
    note = "{first result:.3f} s, {bare engine:.3f} s".format(**start) if start else ""
    yield at_most("start to first result, of the bare engine", start.get("ratio"), 1.1, note=note)
    seconds = bridge.get("seconds")
    yield at_most("a new bridge", None if seconds is None else seconds * 1e6, 100, "µs")
    for side in ("Python", "engine"):
        yield at_most(f"a new bridge, memory of {side}", bridge.get(f"{side} KiB"), 64, "KiB")
    idle = figures.get("idle", {})
    for what, unit, slack in (("processor", "ms/s", 0.1), ("wake-ups", "/s", 0.5)):
        values = idle.get(what, {})
        bare = values.get("bare engine", 0.0)
        for side in ("engine", "Python"):
            wanted = (bare if side == "engine" else 0.0) + slack
            note = f"bare engine {bare:.2f}; noise {slack}"
            yield at_most(f"idle, {what} of {side}", values.get(side), wanted, unit, note)
    for name, value in figures.get("memory", {}).items():
        yield at_most(f"memory, {name}: beyond destination and frame", value, 8, "MiB")
    for name, value in figures.get("processor", {}).items():
        yield at_most(f"processor time, {name}, in copies", value, 2.2)


def growth_targets(figures: Figures) -> Iterator[Target]:
    growth = figures.get("growth", {})
    for way in ("into", "out"):
        worst = growth.get(f"{way} step")
        note = "worst step from 1 MiB up, by the limit's own"
        yield at_most(f"doubling the size, {way}", worst, 2.4, "x", note)
    yield at_most("the 10,000th transfer, of the 10th", growth.get("ten thousandth"), 1.1)
    yield at_most("50 bridges on the shell, of one", growth.get("fifty bridges"), 1.1)


def bad_path_targets(figures: Figures) -> Iterator[Target]:
    bad = figures.get("bad_paths", {})
    for name in ("sending", "receiving"):
        seconds = bad.get(f"death while {name}")
        figure = None if seconds is None else seconds * 1e3
        what = f"a peer dies in 1 GiB, {name}: after the kernel's word"
        yield at_most(what, figure, 100, "ms")
    for name in ("run", "send", "receive", "transfer future"):
        seconds = bad.get(f"timeout of {name}")
        figure = None if seconds is None else abs(seconds) * 1e3
        yield at_most(f"a timeout of {name}: off its time", figure, 20, "ms")
    for name in ("Python", "PowerShell"):
        figure = bad.get(f"slow receiver, {name} sends")
        what = f"a slow receiver, {name} sends: processor time"
        yield at_most(what, figure, 2, "ms/s")


TABLE: List[Callable[[Figures], Iterator[Target]]] = [
    throughput_targets,
    latency_targets,
    text_targets,
    cost_targets,
    growth_targets,
    bad_path_targets,
]


def targets(figures: Figures) -> List[Target]:
    return [target for part in TABLE for target in part(figures)]
