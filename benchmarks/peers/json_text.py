"""JSON over stdin and stdout; bytes are base64 in it, as JSON has none of its own."""

from __future__ import annotations

import base64
import json
from typing import Any

from .script import ScriptPeer


class JsonText(ScriptPeer):
    name = "JSON"
    script = "json_text.ps1"

    def into(self, payload: bytearray) -> None:
        self._call(ask="into", data=base64.b64encode(payload).decode())

    def out(self, size: int) -> bytes:
        return base64.b64decode(self._call(ask="out")["data"])

    def _ask(self, line: str) -> str:
        return str(self._call(ask=line)["data"])

    def _call(self, **request: str) -> Any:
        self._tell(json.dumps(request))
        return json.loads(self._stdout.readline())
