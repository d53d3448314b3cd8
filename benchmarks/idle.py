"""What an idle session costs beside the bare engine idle: processor time and context switches over some seconds.

    python benchmarks/idle.py [--seconds 10]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path
from typing import Dict, NamedTuple

from virtualshell import Shell, ZeroCopyBridge, _native

TICK = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    cpu_ms: float
    switches: int

    def minus(self, earlier: Cost) -> Cost:
        return Cost(self.cpu_ms - earlier.cpu_ms, self.switches - earlier.switches)


def switches(status: Path) -> int:
    return sum(int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line)


def cost(pid: int) -> Cost:
    """Of all threads of the process so far (proc(5): stat fields 14 and 15, status)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return Cost((int(fields[11]) + int(fields[12])) * 1000 / TICK, sum(switches(task / "status") for task in tasks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds: float = parser.parse_args().seconds
    engine, _ = _native.find_engine()
    wait_for_ever = "1; [Threading.Thread]::Sleep(-1)"
    arguments = [engine, "-NoLogo", "-NoProfile", "-NonInteractive", "-Command", wait_for_ever]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as bare, Shell(timeout_seconds=60) as shell:
        assert bare.stdout is not None
        bare.stdout.readline()
        with ZeroCopyBridge(shell) as bridge:
            bridge.send(b"x" * 1_000_000, "$x")
            shell.run("$x.Length")
            pids = {"bare engine": bare.pid, "our engine": shell.pid, "Python": os.getpid()}
            time.sleep(2)  # both settle: tiered compilation works on in the background
            before: Dict[str, Cost] = {name: cost(pid) for name, pid in pids.items()}
            time.sleep(seconds)
            for name, pid in pids.items():
                spent = cost(pid).minus(before[name])
                print(f"{name:12} {spent.cpu_ms:8.0f} ms processor time {spent.switches:8} context switches in {seconds:.0f} s")
        bare.kill()


if __name__ == "__main__":
    main()
