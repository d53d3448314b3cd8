"""A live engine behind stdin and stdout: commands as lines of text, data as base64 in them.

This is what tools do that drive a PowerShell session without a bridge: "the text way".
"""

from __future__ import annotations

import base64
import subprocess
from typing import IO, cast

from contestant import Contestant
from engine import start_engine


class LiveEngine(Contestant):
    name = "live engine, text"

    def __init__(self) -> None:
        self._process = start_engine("-Command", "-")
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        self._stdin.write(b"'ready'\n")
        self._stdin.flush()

    def await_ready(self) -> None:
        self._expect(self._stdout.readline(), b"ready")

    def run(self, command: bytes) -> bytes:
        """The first line that a command writes."""
        self._stdin.write(command + b"\n")
        self._stdin.flush()
        return self._stdout.readline()

    def into(self, payload: bytearray) -> None:
        text = base64.b64encode(payload)
        answer = self.run(b"$data = [Convert]::FromBase64String('" + text + b"'); 'ok'")
        self._expect(answer, b"ok")

    def out(self, size: int) -> bytes:
        return base64.b64decode(self.run(b"[Convert]::ToBase64String($data)"))

    def digest(self) -> str:
        hash = b"[Security.Cryptography.SHA256]::HashData($data)"
        return self.run(b"[Convert]::ToHexString(" + hash + b").ToLower()").decode().strip()

    def forget(self) -> None:
        self._expect(
            self.run(b"$data = $null; [GC]::Collect(2, 'Aggressive', $true, $true); 'ok'"), b"ok"
        )

    def close(self) -> None:
        try:
            self._stdin.close()
            self._process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._stdout.close()

    def _expect(self, got: bytes, wanted: bytes) -> None:
        if got.strip() != wanted:
            raise RuntimeError(f"{self.name}: {got!r} instead of {wanted!r}")
