"""Measures what the machine can do, what others reach, and the bridge, in one run, interleaved.

    python benchmarks/bench.py [--quick] [--json FILE] [--pictures] [--only WORD]

Prints tables and every target with its figure and `meets` or `misses`. `make bench` builds what it
needs and runs it; run it from the root of the repository.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from virtualshell import Shell

from bad_paths import measure_bad_paths
from bridge import Bridge, BridgeLease
from contestant import Contestant
from growth import measure_growth
from idle import measure_idle
from latency import measure_latency
from limits import Limits
from measure import Effort, Figures
from memory import measure_memory
from peers import start_peers
from processor import measure_processor
from report import print_report, write_json
from start import measure_new_bridge, measure_start
from targets import targets
from text import measure_text
from throughput import Throughput

JSON = Path("build", "bench", "figures.json")


class Stage:
    """What sections share, each thing made when it is first asked for, and closed at the end."""

    def __init__(self, quick: bool) -> None:
        self.effort = Effort(quick)
        self._begin = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._limits: List[Limits] = []
        self._shells: List[Shell] = []
        self._contestants: List[Contestant] = []

    @property
    def limits(self) -> Limits:
        if not self._limits:
            self._limits.append(self._stack.enter_context(Limits()))
        return self._limits[0]

    @property
    def shell(self) -> Shell:
        if not self._shells:
            self._shells.append(self._stack.enter_context(Shell(timeout_seconds=120)))
        return self._shells[0]

    @property
    def contestants(self) -> Sequence[Contestant]:
        """The bridge first: its figures stand beside the limits' in time."""
        if not self._contestants:
            bridges = (Bridge(self.shell), BridgeLease(self.shell))
            for contestant in (*bridges, *start_peers()):
                self._stack.callback(contestant.close)
                self._contestants.append(contestant)
        return self._contestants

    def say(self, what: str) -> None:
        """Where it is, for who watches."""
        print(f"{time.monotonic() - self._begin:6.1f} s  {what}", file=sys.stderr, flush=True)

    def close(self) -> None:
        self._stack.close()


SECTIONS: Dict[str, Callable[[Stage], Figures]] = {
    "start": lambda stage: measure_start(stage.effort),
    "idle": lambda stage: measure_idle(stage.effort),
    "bad_paths": lambda stage: measure_bad_paths(),
    "memory": lambda stage: measure_memory(),
    "throughput": lambda stage: Throughput(stage.limits, stage.contestants, stage.effort).measure(
        stage.say
    ),
    "latency": lambda stage: measure_latency(stage.shell, stage.contestants, stage.effort),
    "text": lambda stage: measure_text(stage.shell, stage.effort),
    "new_bridge": lambda stage: measure_new_bridge(stage.shell, stage.effort),
    "processor": lambda stage: measure_processor(stage.shell, stage.limits, stage.effort),
    "growth": lambda stage: measure_growth(stage.shell, stage.limits, stage.effort),
}


def measure(stage: Stage, only: str) -> Figures:
    figures: Figures = {}
    for name, section in SECTIONS.items():
        if only in name:
            stage.say(name)
            figures[name] = section(stage)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under two minutes")
    parser.add_argument("--json", metavar="FILE", type=Path, default=JSON, help=f"default: {JSON}")
    parser.add_argument("--pictures", action="store_true", help="draw docs/images/ anew")
    parser.add_argument("--only", metavar="WORD", default="", help=", ".join(SECTIONS))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends with it
    stage = Stage(arguments.quick)
    try:
        figures = measure(stage, arguments.only)
    finally:
        stage.close()
    results = targets(figures)
    if arguments.only:
        results = [target for target in results if target.meets is not None]
    print_report(figures, results)
    write_json(figures, results, arguments.json)
    if arguments.pictures:
        from pictures import draw

        draw(arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
