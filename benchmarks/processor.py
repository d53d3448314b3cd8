"""Processor time of a transfer, of both processes together, counted in memcpys.

A memcpy's worth is half of what the two copies of `overlapped` took at the same size, in turns with the
transfers: a copy in to the warm ring and a copy out of it into fresh huge pages, with nothing else. Of
both the least counts: what is on top of that is what the machine did meanwhile.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Callable, DefaultDict, List

from virtualshell import Shell

from bridge import Bridge
from limits import Limits
from measure import Effort, Figures, pid_of, processor_seconds

SIZE = 64 << 20


def measure_processor(shell: Shell, limits: Limits, effort: Effort) -> Figures:
    payload = bytearray(os.urandom(SIZE))
    pids = [os.getpid(), pid_of(shell)]
    copies: List[float] = []
    spent_in: DefaultDict[str, List[float]] = defaultdict(list)
    bridge = Bridge(shell)
    for _ in range(effort.of(10, 40)):
        for way, action in (
            ("into", lambda: bridge.into(payload)),
            ("out", lambda: bridge.out(SIZE)),
        ):
            copies.append(limits.measure("overlapped", SIZE).processor)
            spent_in[way].append(spent(pids, action))
    bridge.close()
    least = min(copies) / 2
    return {way: min(seconds) / least for way, seconds in spent_in.items()}


def spent(pids: List[int], action: Callable[[], object]) -> float:
    before = sum(map(processor_seconds, pids))
    kept = action()
    seconds = sum(map(processor_seconds, pids)) - before
    del kept
    return seconds
