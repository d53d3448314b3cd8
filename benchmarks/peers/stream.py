"""Raw bytes over a pair of streams; pipe and socket differ in how Python reads and writes them."""

from __future__ import annotations

import struct
from abc import abstractmethod
from typing import Union

from .script import ScriptPeer

Buffer = Union[bytes, bytearray, memoryview]


class StreamPeer(ScriptPeer):
    ways = ("into", "out", "kept")

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._buffer = bytearray()

    @abstractmethod
    def _write(self, *parts: Buffer) -> None:
        """All bytes of all parts."""

    @abstractmethod
    def _read(self, size: int) -> bytes:
        """So many fresh bytes."""

    @abstractmethod
    def _read_into(self, buffer: memoryview) -> None:
        """Fills the buffer."""

    def into(self, payload: bytearray) -> None:
        self._write(header(b"i", len(payload)), payload)
        self._expect(self._read(1).decode(), "k")

    def out(self, size: int) -> bytes:
        self._write(header(b"o", size))
        return self._read(size)

    def kept(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        self._write(header(b"o", size))
        self._read_into(view)
        return view

    def digest(self) -> str:
        self._write(header(b"d"))
        return self._read(64).decode()

    def forget(self) -> None:
        self._write(header(b"f"))
        self._expect(self._read(1).decode(), "k")
        self._buffer = bytearray()

    def _tell(self, line: str) -> None:
        self._write(header(line[:1].encode()))


def header(letter: bytes, length: int = 0) -> bytes:
    return struct.pack("<cq", letter, length)
