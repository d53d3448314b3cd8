"""The engine that every contestant uses: the same pwsh that the bridge starts."""

from __future__ import annotations

import os
import subprocess
from typing import List

from virtualshell import _native

QUIET = ("-NoLogo", "-NoProfile", "-NonInteractive")
# Ends with the benchmark, however that ends, and writes no escape sequences.
END_WITH_US = ("setpriv", "--pdeathsig", "KILL")
ENVIRONMENT = {**os.environ, "TERM": "dumb"}


def engine() -> str:
    """The path of the pwsh that the bridge finds."""
    return _native.find_engine()[0]


def engine_command(*arguments: str) -> List[str]:
    """The command line of a bare engine."""
    return [engine(), *QUIET, *arguments]


def start_engine(*arguments: str) -> subprocess.Popen[bytes]:
    """A bare engine behind stdin and stdout."""
    return subprocess.Popen(
        [*END_WITH_US, *engine_command(*arguments)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
