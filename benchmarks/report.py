"""The figures as a text table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any, Dict, List, Tuple

from rich.console import Console
from rich.table import Table

from measure import Figures, percentile, size_name
from targets import Target

WAY_TITLES = {
    "limit": "Limits",
    "into": "Into PowerShell, a fresh byte[]",
    "out": "Out of PowerShell, fresh bytes",
    "kept": "Out of PowerShell, into a kept buffer",
    "view": "Out of PowerShell, where it lies in shared memory (memoryview)",
    "array": "Out of PowerShell, where it lies in shared memory (NumPy)",
}
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
    console.print(targets_table(targets))
    verdicts = [target.verdict for target in targets]
    console.print(", ".join(f"{verdicts.count(word)} {word}" for word in sorted(set(verdicts))))


def throughput_table(throughput: Figures, way: str) -> Table:
    table = Table(title=f"{WAY_TITLES[way]} (median time, GB/s)", title_justify="left")
    table.add_column("")
    for size in throughput["sizes"]:
        table.add_column(size_name(size), justify="right")
    for name, cells in throughput["cells"].get(way, {}).items():
        table.add_row(name, *(cell(size, cells.get(size)) for size in throughput["sizes"]))
    return table


def cell(size: int, rounds: Any) -> str:
    """- is what would have taken too long, or does not fit."""
    if not rounds:
        return "-"
    seconds = statistics.median(rounds)
    return f"{time_text(seconds)}  {size / seconds / 1e9:6.2f}"


def time_text(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def latency_table(latency: Figures) -> Table:
    table = Table(title="One operation, 1 KiB or a command (µs)", title_justify="left")
    for heading in ("", "awake, median", "99 %", "from idle, median", "90 %"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, samples in latency["awake"].items():
        idle = latency["idle"].get(name)
        row = columns(samples, 99) + (columns(idle, 90) if idle else ("-", "-"))
        table.add_row(name, *row)
    return table


def columns(samples: List[float], percent: float) -> Tuple[str, str]:
    pair = (statistics.median(samples), percentile(samples, percent))
    return (f"{pair[0] * 1e6:.1f}", f"{pair[1] * 1e6:.1f}")


def targets_table(targets: List[Target]) -> Table:
    table = Table(title="Targets", title_justify="left")
    for heading in ("what", "figure", "wanted", "", "note"):
        table.add_column(heading, justify="right" if heading in ("figure", "wanted") else "left")
    colors = {"meets": "green", "misses": "bold red", "not measured": "yellow"}
    for target in targets:
        figure = "-" if target.figure is None else f"{number(target.figure)} {target.unit}"
        sign = "≥" if target.at_least else "≤"
        wanted = f"{sign} {number(target.wanted)} {target.unit}"
        verdict = f"[{colors[target.verdict]}]{target.verdict}[/]"
        table.add_row(target.what.replace("[", r"\["), figure, wanted, verdict, target.note)
    return table


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write_json(figures: Figures, targets: List[Target], file: Path) -> None:
    rows = [{**target._asdict(), "verdict": target.verdict} for target in targets]
    document = {"machine": machine(), **figures, "targets": rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(file: Path) -> Figures:
    """As it was before it was written: sizes are numbers again."""

    def sizes(pairs: List[Tuple[str, Any]]) -> Dict[Any, Any]:
        return {int(key) if key.isdigit() else key: value for key, value in pairs}

    figures: Figures = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=sizes)
    return figures
