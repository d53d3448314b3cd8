"""Raw bytes over stdin and stdout, which are pipes of the largest size that anybody may ask for."""

from __future__ import annotations

import fcntl
import io
from typing import cast

from .stream import Buffer, StreamPeer

F_SETPIPE_SZ = 1031  # fcntl has it since Python 3.10
PIPE_BYTES = 1 << 20


class Pipe(StreamPeer):
    name = "pipe"
    script = "pipe.ps1"

    def __init__(self) -> None:
        super().__init__()
        for stream in (self._stdin, self._stdout):
            fcntl.fcntl(stream, F_SETPIPE_SZ, PIPE_BYTES)

    def _write(self, *parts: Buffer) -> None:
        for part in parts:
            self._stdin.write(part)
        self._stdin.flush()

    def _read(self, size: int) -> bytes:
        return self._stdout.read(size)

    def _read_into(self, buffer: memoryview) -> None:
        cast("io.BufferedReader", self._stdout).readinto(buffer)
