"""The figures as a text table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from itertools import chain
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from rich.console import Console
from rich.table import Table

from measure import SUMMARY, Figures, size_name
from targets import Target

WAY_TITLES = {
    "limit": "Limits",
    "into": "Into PowerShell, a fresh byte[]",
    "out": "Out of PowerShell, fresh bytes",
    "kept": "Out of PowerShell, into a kept buffer",
    "view": "Out of PowerShell, where it lies in shared memory (memoryview)",
    "array": "Out of PowerShell, where it lies in shared memory (NumPy)",
}
OTHERS = ("start", "text", "new_bridge")  # sections
WIDTH = 140


def machine() -> Dict[str, Any]:
    """What the figures were measured on; nothing that says whose it is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }


def print_report(figures: Figures, targets: List[Target]) -> None:
    console = Console(width=WIDTH, highlight=False)
    if "throughput" in figures:
        for way in WAY_TITLES:
            console.print(throughput_table(figures["throughput"], way))
    if "latency" in figures:
        console.print(latency_table(figures["latency"]))
    others = [figures[name] for name in OTHERS if name in figures]
    if others:
        console.print(others_table(others))
    console.print(targets_table(targets))
    verdicts = [target.verdict for target in targets]
    console.print(", ".join(f"{verdicts.count(word)} {word}" for word in sorted(set(verdicts))))


def throughput_table(throughput: Figures, way: str) -> Table:
    """Below each contestant's medians the rest of its summary."""
    table = Table(title=f"{WAY_TITLES[way]} (median time, GB/s)", title_justify="left")
    table.add_column("")
    for size in throughput["sizes"]:
        table.add_column(size_name(size), justify="right")
    for name, summaries in throughput["summary"].get(way, {}).items():
        for what in SUMMARY:
            title = name if what == SUMMARY[0] else f"  {what}"
            row = (cell(size, what, summaries.get(size)) for size in throughput["sizes"])
            table.add_row(title, *row)
    return table


def cell(size: int, what: str, summary: Optional[Dict[str, float]]) -> str:
    """- is what would have taken too long, or does not fit."""
    if summary is None:
        return "-"
    seconds = summary[what]
    return f"{time_text(seconds)}  {size / seconds / 1e9:6.2f}"


def time_text(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def latency_table(latency: Figures) -> Table:
    table = Table(title="One operation, 1 KiB or a command (µs)", title_justify="left")
    states = {"awake": "awake", "idle": "from idle"}
    table.add_column("")
    for state in states.values():
        add_summary_columns(table, f"{state}, ")
    for name in latency["summary"]["awake"]:
        summaries = (latency["summary"][state].get(name) for state in states)
        table.add_row(name, *chain(*(columns(summary, 1e6) for summary in summaries)))
    return table


def others_table(sections: List[Figures]) -> Table:
    """Of sections whose summary has a row by each name."""
    table = Table(title="Other operations (ms)", title_justify="left")
    table.add_column("")
    add_summary_columns(table)
    for section in sections:
        for name, summary in section["summary"].items():
            table.add_row(name, *columns(summary, 1e3))
    return table


def add_summary_columns(table: Table, first: str = "") -> None:
    for what in SUMMARY:
        table.add_column(f"{first}{what}" if what == SUMMARY[0] else what, justify="right")


def columns(summary: Optional[Dict[str, float]], per_second: float) -> List[str]:
    return [number(summary[what] * per_second) if summary else "-" for what in SUMMARY]


def targets_table(targets: List[Target]) -> Table:
    table = Table(title="Targets", title_justify="left")
    for heading in ("what", "figure", "wanted", "", "note"):
        table.add_column(heading, justify="right" if heading in ("figure", "wanted") else "left")
    colors = {"meets": "green", "misses": "bold red", "not measured": "yellow"}
    for target in targets:
        figure = "-" if target.figure is None else f"{number(target.figure)} {target.unit}"
        sign = "≥" if target.at_least else "≤"
        wanted = f"{sign} {number(target.goal)} {target.unit}"
        verdict = f"[{colors[target.verdict]}]{target.verdict}[/]"
        table.add_row(target.what.replace("[", r"\["), figure, wanted, verdict, note(target))
    return table


def note(target: Target) -> str:
    """With the limit, where that decides."""
    if target.limit is None or target.goal == target.wanted:
        return target.note
    limit = f"limit: {target.limit.name}, {number(target.limit.figure)} {target.unit}"
    instead = f"{target.limit.part} of that instead of {number(target.wanted)}"
    return f"{target.note}; {limit}; {instead}" if target.note else f"{limit}; {instead}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write_json(figures: Figures, targets: List[Target], file: Path) -> None:
    rows = [row(target) for target in targets]
    document = {"machine": machine(), **figures, "targets": rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def row(target: Target) -> Dict[str, Any]:
    limit = target.limit._asdict() if target.limit else None
    return {**target._asdict(), "limit": limit, "goal": target.goal, "verdict": target.verdict}


def read_json(file: Path) -> Figures:
    """As it was before it was written: sizes are numbers again."""

    def sizes(pairs: List[Tuple[str, Any]]) -> Dict[Any, Any]:
        return {int(key) if key.isdigit() else key: value for key, value in pairs}

    figures: Figures = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=sizes)
    return figures
