"""Base64 text over stdin and stdout."""

from __future__ import annotations

import base64

from .script import ScriptPeer


class Base64Text(ScriptPeer):
    name = "base64 text"
    script = "base64_text.ps1"

    def into(self, payload: bytearray) -> None:
        self._stdin.write(b"into\n" + base64.b64encode(payload) + b"\n")
        self._stdin.flush()
        self._expect(self._line(), "ok")

    def out(self, size: int) -> bytes:
        self._tell("out")
        return base64.b64decode(self._stdout.readline())
