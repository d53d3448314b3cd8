"""Draws docs/images/ from the figures: throughput over size, and how latencies are distributed.

    python benchmarks/pictures.py [FILE]

The pictures have no background and middle tones only, so that they can be read on light and on dark
pages; drawn twice from the same figures they are the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import matplotlib  # type: ignore[import]
from matplotlib.axes import Axes  # type: ignore[import]
from matplotlib.figure import Figure  # type: ignore[import]

from measure import Figures, percentile, size_name
from report import read_json

FOLDER = Path("docs", "images")
GREY = "#808890"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "zcb",
    "font.family": "sans-serif",
    "font.size": 10,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "grid.color": GREY,
    "grid.alpha": 0.25,
    "axes.grid": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}


class Line(NamedTuple):
    """One contestant: its way and name in the figures, how it is called and drawn."""

    way: str
    name: str
    label: str
    color: str
    style: str = "-"
    width: float = 1.4


BRIDGE, BRIDGE_OTHER = "#e8590c", "#f08c00"
LIMITS = [
    Line("limit", "memcpy", "memcpy, warm", GREY, ":"),
    Line("limit", "overlapped", "two overlapped copies", GREY, "--"),
]
INTO = [
    Line("into", "bridge", "the bridge", BRIDGE, "-", 2.8),
    *LIMITS,
    Line("into", "shared memory by hand", "shared memory by hand", "#1c9c8a"),
    Line("into", "Unix socket", "Unix socket", "#4c8dd6"),
    Line("into", "pipe", "pipe", "#9b6dd7"),
    Line("into", "file in tmpfs", "file in tmpfs", "#c2589a"),
    Line("into", "ZeroMQ", "ZeroMQ", "#7a9a2e"),
    Line("into", "base64 text", "base64 text", "#a8763e"),
]
OUT = [
    Line("view", "bridge", "the bridge, memoryview", BRIDGE_OTHER, "-", 2.8),
    Line("out", "bridge", "the bridge, bytes", BRIDGE, "-", 2.8),
    *LIMITS,
    *(line._replace(way="out") for line in INTO if line.way == "into" and line.name != "bridge"),
]
LATENCIES = [
    Line("awake", "run, seen before", "run, a text seen before", BRIDGE_OTHER, "-", 2.4),
    Line("awake", "bridge, into", "1 KiB into PowerShell", BRIDGE, "-", 2.4),
    Line("awake", "bridge, out", "1 KiB out of it", BRIDGE, "--", 2.4),
    Line("awake", "run, a new text", "run, a new text", BRIDGE_OTHER, "--", 2.4),
    Line("awake", "live engine, text, 1+1", "text way: 1+1", "#4c8dd6"),
    Line("awake", "live engine, text, into", "text way: 1 KiB in", "#a8763e"),
    Line("awake", "live engine, text, out", "text way: 1 KiB out", "#a8763e", "--"),
]


def draw(file: Path) -> None:
    figures = read_json(file)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        if "throughput" in figures:
            draw_throughput(figures["throughput"])
        if "latency" in figures:
            draw_latency(figures["latency"])


def draw_throughput(throughput: Figures) -> None:
    figure = Figure(figsize=(11, 4.4))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, lines in (
        (panels[0], "Python into PowerShell: a fresh byte[]", INTO),
        (panels[1], "PowerShell into Python", OUT),
    ):
        axes.set_title(title)
        for line in lines:
            draw_sizes(axes, line, throughput["summary"])
        sizes = throughput["sizes"]
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [size_name(size) for size in sizes], rotation=30)
        axes.minorticks_off()
        axes.set_yscale("log")
        axes.set_ylim(0.01, 60)
        axes.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        axes.legend(loc="lower right", ncols=2)
    panels[0].set_ylabel("GB/s")
    save(figure, "throughput")


def draw_sizes(axes: Axes, line: Line, summary: Dict[str, Any]) -> None:
    by_size = summary.get(line.way, {}).get(line.name, {})
    sizes = sorted(by_size)
    speeds = [size / by_size[size]["median"] / 1e9 for size in sizes]
    draw_line(axes, line, sizes, speeds)


def draw_latency(latency: Figures) -> None:
    """For each subject, which part of the operations took no longer than that."""
    figure = Figure(figsize=(8.5, 4))
    axes = figure.subplots()
    for line in LATENCIES:
        samples: List[float] = latency.get(line.way, {}).get(line.name, [])
        if samples:
            percents = range(1, 100, 2)
            micros = [percentile(samples, percent) * 1e6 for percent in percents]
            draw_line(axes, line, micros, percents)
    axes.set_xscale("log")
    ticks: Tuple[int, ...] = (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(4, 3000)
    axes.set_xlabel("µs, both sides awake")
    axes.set_ylabel("% of operations that took at most so long")
    axes.legend(loc="lower right")
    save(figure, "latency")


def draw_line(axes: Axes, line: Line, x: Any, y: Any) -> None:
    axes.plot(
        x,
        y,
        line.style,
        color=line.color,
        linewidth=line.width,
        label=line.label,
        zorder=3 if line.label.startswith("the bridge") else 2,
    )


def save(figure: Figure, name: str) -> None:
    figure.tight_layout()
    metadata = {"Date": None, "Creator": None}
    figure.savefig(FOLDER / f"{name}.svg", metadata=metadata)


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "build/bench/figures.json"))
