"""Raw bytes over a Unix socket."""

from __future__ import annotations

import socket
import tempfile

from .stream import Buffer, StreamPeer


class UnixSocket(StreamPeer):
    name = "Unix socket"
    script = "unix_socket.ps1"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zcb-bench-")
        path = f"{self._folder.name}/socket"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        super().__init__(path)

    def await_ready(self) -> None:
        self._socket, _ = self._listener.accept()
        super().await_ready()

    def close(self) -> None:
        super().close()
        self._socket.close()
        self._listener.close()
        self._folder.cleanup()

    def _write(self, *parts: Buffer) -> None:
        for part in parts:
            self._socket.sendall(part)

    def _read(self, size: int) -> bytes:
        return self._socket.recv(size, socket.MSG_WAITALL)

    def _read_into(self, buffer: memoryview) -> None:
        self._socket.recv_into(buffer, len(buffer), socket.MSG_WAITALL)
