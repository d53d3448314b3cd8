"""Limits, peers and the bridge over size, round by round: every contestant once in every round.

So a noisy moment of the machine hits all of them, and ratios can be taken within a round. A round
is a short burst, of which all is recorded but the first operation: that one woke both sides. Ratios
take each burst's best: others may have had to share the processors with somebody.
The first round is a rehearsal: it is checked, and then only decides what would take too long.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections import defaultdict
from itertools import chain
from typing import Any, Callable, DefaultDict, Dict, List, Optional, Sequence

from contestant import Contestant
from limits import COPIES, Limits
from measure import Effort, Figures, Seconds, summarize

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SIZES = (KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB, 256 * MIB, GIB)
BURST = {KIB: 40, 64 * KIB: 40, MIB: 20}
LONG_BURST = 5
LARGE = 256 * MIB
FORGET_FROM = 64 * MIB  # memory is freed after each contestant: there is not enough for all
FAR = 4.0  # times as slow as the fastest
QUICK_SECONDS = 30  # after these a quick run has had its rounds, one at least
REST_SECONDS = 0.003  # until the last contestant no longer spins

# [way][contestant][size]: a burst a round
Cells = DefaultDict[str, DefaultDict[str, DefaultDict[int, List[Seconds]]]]


class Throughput:
    def __init__(self, limits: Limits, contestants: Sequence[Contestant], effort: Effort) -> None:
        self._limits = limits
        self._contestants = contestants
        self._sizes = [size for size in SIZES if size <= effort.of(256 * MIB, GIB)]
        self._rounds = effort.of(3, 7)
        self._patience = 0.1 if effort.quick else 2.0  # seconds, for one operation
        self._burst_seconds = 0.05 if effort.quick else 0.15
        self._quick = effort.quick
        self._payloads = {size: bytearray(os.urandom(size)) for size in self._sizes}
        self._cells: Cells = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self._processor: DefaultDict[str, DefaultDict[int, Seconds]]
        self._processor = defaultdict(lambda: defaultdict(list))
        self._rehearsal: Dict[Any, Seconds] = {}
        self._checked = 0

    def measure(self, say: Callable[[str], None]) -> Figures:
        begin = time.monotonic()
        for round in range(self._rounds + 1):
            say(f"throughput, round {round} of {self._rounds}")
            for size in self._sizes:
                if round in self._rounds_of(size):
                    self._measure_size(round, size)
            if self._quick and round > 0 and time.monotonic() - begin > QUICK_SECONDS:
                break
        self._fill_in()
        return {
            "rounds": self._rounds,
            "sizes": self._sizes,
            "cells": self._cells,
            "summary": self._summary(),
            "processor": self._processor,
            "checked": self._checked,
        }

    def _summary(self) -> Figures:
        """Of all operations of all rounds."""
        return {
            way: {
                name: {
                    size: summarize(list(chain(*bursts)))
                    for size, bursts in sizes.items()
                    if bursts
                }
                for name, sizes in names.items()
            }
            for way, names in self._cells.items()
        }

    def _rounds_of(self, size: int) -> Sequence[int]:
        """Fewer of what takes long."""
        if size < LARGE:
            return range(self._rounds + 1)
        return (1,) if self._quick else range(min(self._rounds, 3) + 1)

    def _measure_size(self, round: int, size: int) -> None:
        payload = self._payloads[size]
        stamp(payload, round)
        rounds = self._rounds_of(size)
        thorough = round in (rounds[0], rounds[-1])
        digest = hashlib.sha256(payload).hexdigest() if thorough else None
        few = size > LARGE or (size == LARGE and self._quick)
        for limit in ("memcpy", "overlapped") if few else COPIES:
            time.sleep(REST_SECONDS)
            self._measure_limit(limit, round, size)
        for contestant in self._contestants:
            if not self._is_left_out(contestant, round, size):
                time.sleep(REST_SECONDS)
                self._measure_contestant(contestant, round, payload, digest)

    def _measure_limit(self, limit: str, round: int, size: int) -> None:
        figures = []

        def once() -> float:
            figures.append(self._limits.measure(limit, size))
            return figures[-1].seconds

        burst = self._burst(size, once)
        if round > 0:
            self._cells["limit"][limit][size].append(burst)
            processor = min(figure.processor for figure in figures)
            self._processor[limit][size].append(processor)

    def _measure_contestant(
        self, contestant: Contestant, round: int, payload: bytearray, digest: Optional[str]
    ) -> None:
        size = len(payload)
        for way in contestant.ways:
            if not contestant.everywhere and self._takes_too_long(contestant.name, way, size):
                if way == "into":
                    break  # there is nothing to bring out
                continue
            once = self._operation(contestant, way, payload)
            burst = self._burst(size, once)
            if way == "into" and digest is not None and contestant.digest() != digest:
                raise SystemExit(f"{contestant.name}: {size} bytes arrived wrong in PowerShell")
            self._checked += 1
            self._record(round, way, contestant.name, size, burst)
        if size >= FORGET_FROM:
            contestant.forget()

    def _operation(
        self, contestant: Contestant, way: str, payload: bytearray
    ) -> Callable[[], float]:
        """One timed operation. What comes out is compared with the payload, after the clock."""
        method = getattr(contestant, way)
        argument = payload if way == "into" else len(payload)
        prepare = getattr(contestant, f"prepare_{way}", None)

        def once() -> float:
            if prepare is not None:
                prepare(argument)
            begin = time.perf_counter()
            result = method(argument)
            seconds = time.perf_counter() - begin
            if way != "into" and result != payload:
                raise SystemExit(f"{contestant.name}: {len(payload)} bytes arrived wrong, {way}")
            return seconds

        return once

    def _burst(self, size: int, once: Callable[[], float]) -> Seconds:
        """Ends early where one operation takes long."""
        end = time.monotonic() + self._burst_seconds
        seconds: Seconds = []
        most = BURST.get(size, LONG_BURST)
        while len(seconds) < 2 or (len(seconds) < most and time.monotonic() < end):
            seconds.append(once())
        return seconds[1:]

    def _record(self, round: int, way: str, name: str, size: int, burst: Seconds) -> None:
        if round == 0:
            self._rehearsal[way, name, size] = burst
        else:
            self._cells[way][name][size].append(burst)

    def _is_left_out(self, contestant: Contestant, round: int, size: int) -> bool:
        """To be quick: the rehearsal is enough for what was far behind, and what is large is for the
        strongest."""
        if size > contestant.most:
            return True
        if not self._quick or contestant.everywhere or size < MIB:
            return False
        if size >= LARGE:
            return True
        return round > 0 and all(
            self._is_far_behind(way, contestant.name, size) for way in contestant.ways
        )

    def _is_far_behind(self, way: str, name: str, size: int) -> bool:
        best = min(
            min(burst)
            for (way_of, _, size_of), burst in self._rehearsal.items()
            if (way_of, size_of) == (way, size)
        )
        return min(self._rehearsal.get((way, name, size), [math.inf])) > FAR * best

    def _fill_in(self) -> None:
        """Where there was only a rehearsal, it has to do."""
        for (way, name, size), burst in self._rehearsal.items():
            if min(burst) <= self._patience and not self._cells[way][name][size]:
                self._cells[way][name][size].append(burst)

    def _takes_too_long(self, name: str, way: str, size: int) -> bool:
        """By its rehearsal, or by what a smaller size took there."""
        burst = self._rehearsal.get((way, name, size))
        if burst is None:
            smaller = [other for other in self._sizes if other < size]
            before = self._rehearsal.get((way, name, smaller[-1])) if smaller else [0.0]
            if before is None:
                return True
            burst = [min(before) * size / smaller[-1] if size > MIB and smaller else 0.0]
        return min(burst) > self._patience


def stamp(payload: bytearray, round: int) -> None:
    """Makes each round's payload another one: what is left of the last round is not taken for it."""
    mark = round.to_bytes(8, "little")
    for at in (0, len(payload) // 2, len(payload) - len(mark)):
        payload[at : at + len(mark)] = mark
