"""A peer is a script in a pwsh of its own, driven over its stdin and stdout."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO, ClassVar, cast

from contestant import Contestant
from engine import start_engine

SCRIPTS = Path(__file__).parent


class ScriptPeer(Contestant):
    """Starts `script` with some arguments and speaks its protocol: a line asks, a line answers.

    All scripts say "ready" and know `digest`, `forget` and `quit`; the rest is theirs.
    """

    script: ClassVar[str]

    def __init__(self, *arguments: object) -> None:
        script = str(SCRIPTS / self.script)
        self._process = start_engine("-File", script, *map(str, arguments))
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)

    def await_ready(self) -> None:
        """The engines of all peers start at the same time; this waits for its own."""
        self._expect(self._line(), "ready")

    def digest(self) -> str:
        return self._ask("digest")

    def forget(self) -> None:
        self._expect(self._ask("forget"), "ok")

    def close(self) -> None:
        try:
            self._tell("quit")
            self._process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for stream in (self._stdin, self._stdout):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def _tell(self, line: str) -> None:
        self._stdin.write(line.encode() + b"\n")
        self._stdin.flush()

    def _line(self) -> str:
        line = self._stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: its engine has ended")
        return line.decode().strip()

    def _ask(self, line: str) -> str:
        self._tell(line)
        return self._line()

    def _expect(self, got: str, wanted: str) -> None:
        if got != wanted:
            raise RuntimeError(f"{self.name}: {got!r} instead of {wanted!r}")
