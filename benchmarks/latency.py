"""What one small operation costs: both sides awake (a tight loop), and from idle (after a pause).

Blocks of every subject follow each other, so that a noisy moment hits all of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial
from typing import Callable, DefaultDict, Dict, List, Sequence

from virtualshell import Shell

from bridge import Bridge
from contestant import Contestant
from measure import Effort, Figures, Seconds, median, summarize, timed
from peers.live_engine import LiveEngine

SIZE = 1024
BLOCKS = 5
WARM_UP = 20  # of each block
PAUSE_SECONDS = 0.05
PIPELINED = "run_async, pipelined"
SLOW_SECONDS = 2e-3  # what takes longer gets fewer samples
# What the engine itself takes for a text that it never saw: to parse, compile and run it.
OWN_COST = """
$watch = [Diagnostics.Stopwatch]::StartNew()
for ($n = {first}; $n -lt {last}; $n++) {{ $null = $ExecutionContext.InvokeCommand.InvokeScript("1+$n") }}
$watch.Elapsed.TotalSeconds / {count}
"""

Subjects = Dict[str, Callable[[], object]]


class NewTexts:
    """Commands that no engine has seen."""

    def __init__(self) -> None:
        self._next = 10_000_000

    def take(self, count: int) -> range:
        self._next += count
        return range(self._next - count, self._next)

    def one(self) -> str:
        return f"1+{self.take(1)[0]}"


def measure_latency(shell: Shell, contestants: Sequence[Contestant], effort: Effort) -> Figures:
    texts = NewTexts()
    subjects = transfers(contestants)
    subjects["run, seen before"] = lambda: shell.run("1+1").out
    subjects["run, a new text"] = lambda: shell.run(texts.one()).out
    for engine in (peer for peer in contestants if isinstance(peer, LiveEngine)):
        subjects["live engine, text, 1+1"] = partial(engine.run, b"1+1")
    awake: DefaultDict[str, Seconds] = defaultdict(list)
    own: Seconds = []
    over: Seconds = []
    for _ in range(BLOCKS):
        for name, action in subjects.items():
            block = tight_loop(action, effort.of(200, 1000))
            awake[name] += block
            if name == "run, a new text":
                own.append(own_cost(shell, texts.take(300)))
                over.append(median(block) - own[-1])
    awake[PIPELINED] = [pipelined(shell, 5000) for _ in range(BLOCKS)]
    idle = from_idle(subjects, effort.of(6, 60))
    return {
        "awake": awake,
        "idle": idle,
        "summary": {
            state: {name: summarize(seconds) for name, seconds in samples.items()}
            for state, samples in (("awake", awake), ("idle", idle))
        },
        "engine_own": median(own),
        "new_text_over_engine": median(over),
        "pipelined_per_second": 1 / median(awake[PIPELINED]),
    }


def transfers(contestants: Sequence[Contestant]) -> Subjects:
    """Into PowerShell and out of it, 1 KiB, by all that are not too slow to be asked so often."""
    subjects: Subjects = {}
    payload = bytearray(SIZE)
    for contestant in contestants:
        if type(contestant) is Bridge or not contestant.name.startswith("bridge"):
            name = contestant.name
            subjects[f"{name}, into"] = partial(contestant.into, payload)
            subjects[f"{name}, out"] = partial(contestant.out, SIZE)
    return subjects


def tight_loop(action: Callable[[], object], count: int) -> Seconds:
    first = [timed(action) for _ in range(WARM_UP)]
    if median(first) > SLOW_SECONDS:
        return first
    return [timed(action) for _ in range(count)]


def from_idle(subjects: Subjects, count: int) -> Dict[str, Seconds]:
    samples: DefaultDict[str, Seconds] = defaultdict(list)
    for _ in range(count):
        for name, action in subjects.items():
            if name.startswith(("bridge", "run", "live engine", "shared memory", "Unix socket")):
                time.sleep(PAUSE_SECONDS)
                samples[name].append(timed(action))
    return samples


def own_cost(shell: Shell, numbers: range) -> float:
    command = OWN_COST.format(first=numbers[0], last=numbers[-1] + 1, count=len(numbers))
    return float(shell.run(command, raise_on_error=True).out)


def pipelined(shell: Shell, count: int) -> float:
    """Seconds a command, all given before the first result is looked at."""

    def all_of_them() -> None:
        futures: List[object] = [shell.run_async("1+1") for _ in range(count)]
        for future in futures:
            future.result()  # type: ignore[attr-defined]

    return timed(all_of_them) / count
