"""Memory: none for a message, and none that leaks."""

from __future__ import annotations

import copy
import gc
import mmap
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any, Callable, Dict

from virtualshell import _native
from virtualshell._native import Bridge, CliXml, Session

from .calls import MIB, into, leased_from, open_bridge, out_of


def test_no_memory_for_a_message(run_python: Callable[..., Any]) -> None:
    ran: "subprocess.CompletedProcess[str]" = run_python(
        """
import resource
from pathlib import Path
from virtualshell import _native
from virtualshell.engine import module_folder

session = _native.Session(module=str(module_folder()))
bridge = _native.Bridge(session, frame_bytes=1 << 20, window_bytes=1 << 20)
session.run("$large = [byte[]]::new(512MB); $small = [byte[]](1..9)")
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), resource.RLIM_INFINITY))
for receive in (bridge.receive, bridge.receive_lease):
    bridge.post_send("$large")
    bridge.post_send("$small")
    try:
        receive(20)
    except MemoryError as error:
        assert "536870912 bytes" in str(error), error
    else:
        raise SystemExit("no MemoryError")
    kind, data, id = receive(20)
    assert bytes(data) == bytes(range(1, 10))
session.close()
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def growth(work: Callable[[], None], times: int) -> float:
    """References or, in a release build, traced bytes that a repetition leaves behind."""
    count: Callable[[], int]
    tracing = tracemalloc.is_tracing()
    if hasattr(sys, "gettotalrefcount"):
        count = sys.gettotalrefcount
    else:
        tracemalloc.start()
        count = lambda: tracemalloc.get_traced_memory()[0]  # noqa: E731
    try:
        for _ in range(5):
            work()
        gc.collect()
        before = count()
        for _ in range(times):
            work()
        gc.collect()
        return (count() - before) / times
    finally:
        if not tracing:
            tracemalloc.stop()


def attempt(call: Callable[[], object]) -> Callable[[], None]:
    def work() -> None:
        try:
            call()
        except (
            ArithmeticError,
            BufferError,
            MemoryError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ):
            pass

    return work


def test_nothing_leaks_in_calls(session: Session, bridge: Bridge) -> None:
    calls: Dict[str, Callable[[], object]] = {
        "run": lambda: session.run("1", timeout=9, local_scope=True).out,
        "submit": lambda: session.wait(session.submit("1")),
        "no such id": lambda: session.wait(1 << 60),
        "alive": session.alive,
        "engine": _native.find_engine,
        "no engine": lambda: _native.find_engine("/no/such/pwsh"),
        "no session": lambda: Session(engine="/no/such/pwsh", environment={"A": "1", "B": None}),
        "bad option": lambda: Session(engine="a", module="b", environment={"A": "1", "B": 1}),  # type: ignore[dict-item]
        "bad path": lambda: Session(engine="a", module=3),  # type: ignore[arg-type]
        "no keyword": lambda: session.run("1", limit=1),  # type: ignore[call-arg]
        "bad text": lambda: session.run(b"1"),  # type: ignore[arg-type]
        "bad timeout": lambda: session.run("1", -1),
        "receive timeout": lambda: bridge.receive(0),
        "not a buffer": lambda: bridge.send("text"),
        "not contiguous": lambda: bridge.send(memoryview(b"abcd")[::2]),
        "bad target": lambda: bridge.post_receive("x"),
        "bridge": lambda: open_bridge(session),
        "CliXml": lambda: copy.copy(CliXml(b"x")),
        "bytes": lambda: into(session, bridge, b"x"),
        "object": lambda: out_of(session, bridge, "'x'"),
        "lease": lambda: leased_from(session, bridge, "'x'"),
        "large": lambda: out_of(session, bridge, "[byte[]]::new(9MB)"),
        "large lease": lambda: leased_from(session, bridge, "[byte[]]::new(24MB)"),
    }
    grown = {}
    for name, call in calls.items():
        times = 5 if "large" in name else 60
        found = growth(attempt(call), times)
        if found > (1 if hasattr(sys, "gettotalrefcount") else 60):
            grown[name] = found
    assert grown == {}


def test_memory_of_results_and_copies_is_given_back(session: Session, bridge: Bridge) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    def work() -> None:
        assert len(session.run("'x' * 4MB").out) > 4 * MIB - 1
        leased_from(session, bridge, "$sixteen")
        out_of(session, bridge, "$sixteen")

    session.run("$sixteen = [byte[]]::new(16MB)")
    for _ in range(3):
        work()
    before = resident()
    for _ in range(20):
        work()
    assert resident() - before < 64 * MIB
