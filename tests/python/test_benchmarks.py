"""What `make bench` says of its figures: how samples are summarized, and how a target is judged."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import measure
import report
import targets
import throughput
from contestant import Contestant
from limits import Figure, Limits

MIB = 1 << 20
WHAT = "out as bytes, 16 MiB, over the best peer"  # three times are wanted


def figures(*, bridge: float, peer: float, memcpy: float, overlapped: float) -> measure.Figures:
    """Of a run that brought 16 MiB out as bytes; in seconds."""

    def rounds(seconds: float) -> Dict[int, List[List[float]]]:
        return {16 * MIB: [[seconds, 9 * seconds], [seconds]]}

    cells = {
        "out": {"bridge": rounds(bridge), "a peer": rounds(peer)},
        "limit": {"memcpy": rounds(memcpy), "overlapped": rounds(overlapped)},
    }
    return {"throughput": {"sizes": [16 * MIB], "cells": cells}}


def judge(**seconds: float) -> targets.Target:
    return next(target for target in targets.targets(figures(**seconds)) if target.what == WHAT)


def test_a_summary_shows_what_a_median_hides() -> None:
    summary = measure.summarize([1.0] * 18 + [9.0, 11.0])
    assert summary == {"median": 1.0, "mean": 1.9, "worst tenth": 10.0}


def test_the_worst_tenth_of_a_few_samples_is_the_slowest() -> None:
    assert measure.summarize([3.0, 1.0, 2.0])["worst tenth"] == 3.0


@pytest.mark.parametrize("bridge, verdict", [(3.0, "meets"), (3.5, "misses")])
def test_a_target_that_the_machine_can_reach_stays_as_it_is(bridge: float, verdict: str) -> None:
    target = judge(bridge=bridge, peer=9.0, memcpy=1.4, overlapped=2.9)
    assert (target.goal, target.verdict) == (3.0, verdict)


@pytest.mark.parametrize("bridge, verdict", [(5.2, "meets"), (5.4, "misses")])
def test_a_target_beyond_the_machine_is_judged_by_the_limit(bridge: float, verdict: str) -> None:
    """The machine is only twice as fast as the peer: 0.85 of that is wanted."""
    target = judge(bridge=bridge, peer=9.0, memcpy=3.0, overlapped=4.5)
    assert (target.goal, target.verdict) == (0.85 * 2.0, verdict)


def test_two_copies_one_after_the_other_are_a_limit_too() -> None:
    assert judge(bridge=3.0, peer=9.0, memcpy=1.0, overlapped=9.0).goal == 3.0


def test_a_target_without_a_limit_in_its_run_stays_as_it_is() -> None:
    run = figures(bridge=3.0, peer=9.0, memcpy=1.0, overlapped=1.0)
    del run["throughput"]["cells"]["limit"]
    assert next(target for target in targets.targets(run) if target.what == WHAT).goal == 3.0


def test_the_line_of_a_target_names_the_limit_that_decides() -> None:
    beyond = judge(bridge=5.0, peer=9.0, memcpy=3.0, overlapped=4.5)
    within = judge(bridge=5.0, peer=9.0, memcpy=1.0, overlapped=2.0)
    assert report.note(beyond) == "a peer; limit: two copies, 2 x; 0.85 of that instead of 3"
    assert report.note(within) == "a peer"


def test_the_json_has_the_limit_and_the_goal(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    report.write_json({}, [judge(bridge=5.0, peer=9.0, memcpy=3.0, overlapped=4.5)], file)
    row: Dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["targets"][0]
    assert row["limit"] == {"name": "two copies", "figure": 2.0, "part": 0.85}
    assert (row["wanted"], row["goal"], row["verdict"]) == (3.0, 1.7, "meets")


class InMemory(Contestant):
    """Moves bytes within this process."""

    name = "in memory"

    def __init__(self) -> None:
        self.transfers = 0
        self._value = b""

    def into(self, payload: bytearray) -> None:
        self.transfers += 1
        self._value = bytes(payload)

    def out(self, size: int) -> bytes:
        return self._value

    def digest(self) -> str:
        return hashlib.sha256(self._value).hexdigest()

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass


class NoLimits(Limits):
    def __init__(self) -> None:
        pass

    def measure(self, name: str, size: int) -> Figure:
        return Figure(1e-6, 1e-6)


def test_a_throughput_row_counts_all_operations_but_the_first_of_each_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throughput, "SIZES", (1024,))
    contestant = InMemory()
    section = throughput.Throughput(NoLimits(), [contestant], measure.Effort(quick=True))
    section._burst_seconds = 60.0
    run = section.measure(lambda _: None)
    bursts = run["cells"]["into"]["in memory"][1024]
    assert [len(burst) for burst in bursts] == [throughput.BURST[1024] - 1] * 3
    assert contestant.transfers == throughput.BURST[1024] * (3 + 1)
    samples = [seconds for burst in bursts for seconds in burst]
    assert run["summary"]["into"]["in memory"][1024] == measure.summarize(samples)
    assert set(run["summary"]["limit"]["memcpy"][1024]) == set(measure.SUMMARY)
