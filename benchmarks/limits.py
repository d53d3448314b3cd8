"""The program that measures what this machine can do at best (limits.c), as one more contestant."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

PROGRAM = Path("build", "bench", "benchmarks", "bench-limits")
COPIES = ("memcpy", "fresh-4k", "fresh-huge", "overlapped", "readv", "writev")


class Figure(NamedTuple):
    """Of one request: how long it took, and the processor time of its copies alone."""

    seconds: float
    processor: float


class Limits:
    def __init__(self) -> None:
        self._process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)

    def measure(self, name: str, size: int) -> Figure:
        """One copy of `size` bytes, or the median of `size` round trips."""
        self._stdin.write(f"{name} {size}\n".encode())
        self._stdin.flush()
        answer = self._stdout.readline().split()
        if len(answer) != 2:
            raise RuntimeError(f"limits: no answer to {name} {size}")
        return Figure(float(answer[0]), float(answer[1]))

    def __enter__(self) -> Limits:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stdin.close()
        self._process.wait()
        self._stdout.close()
