"""A file, in memory (tmpfs) or on disk, and a line over stdin that says it is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Optional

from .script import ScriptPeer


class File(ScriptPeer):
    script = "file.ps1"
    ways = ("into", "out", "kept")
    folder: Optional[str]

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zcb-bench-", dir=self.folder)
        self._path = Path(self._folder.name, "data")
        self._buffer = bytearray()
        super().__init__(self._path)

    def into(self, payload: bytearray) -> None:
        self._path.write_bytes(payload)
        self._expect(self._ask("into"), "ok")

    def out(self, size: int) -> bytes:
        self._expect(self._ask("out"), "ok")
        return self._path.read_bytes()

    def kept(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        self._expect(self._ask("out"), "ok")
        with open(self._path, "rb", buffering=0) as file:
            at = 0
            while at < size:  # a read moves at most some 2 GiB
                at += file.readinto(view[at:]) or 0
        return view

    def forget(self) -> None:
        super().forget()
        self._buffer = bytearray()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


class TmpfsFile(File):
    name = "file in tmpfs"
    folder = "/dev/shm"


class DiskFile(File):
    name = "file on disk"
    folder = "build"
