"""multiprocessing.shared_memory, a .NET MemoryMappedFile, and a signal made by hand: the strongest peer.

The signal is a number in the shared memory. Who waits for it spins; PowerShell, when nothing comes for
a millisecond, says that it sleeps and waits for a byte on its stdin.
"""

from __future__ import annotations

import threading
from multiprocessing.shared_memory import SharedMemory
from typing import Optional

from .script import ScriptPeer

HEADER_BYTES = 4096  # the payload begins on a page
ASKED, ANSWERED, ASLEEP, WHAT, LENGTH = (
    0,
    8,
    16,
    24,
    32,
)  # 64-bit words, each on a cache line of its own
INTO, OUT, LINE = 1, 2, 3


class SharedMemoryByHand(ScriptPeer):
    name = "shared memory by hand"
    script = "shared_memory.ps1"
    ways = ("into", "out", "kept", "view")
    everywhere = True

    def __init__(self) -> None:
        super().__init__()
        self._memory: Optional[SharedMemory] = None
        self._words = memoryview(b"")
        self._bytes = memoryview(b"")
        self._fence = threading.Lock()
        self._asked = 0
        self._buffer = bytearray()

    def into(self, payload: bytearray) -> None:
        size = len(payload)
        self._need(size)
        self._bytes[:size] = payload
        self._signal(INTO, size)

    def out(self, size: int) -> bytes:
        return bytes(self.view(size))

    def kept(self, size: int) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        target = memoryview(self._buffer)[:size]
        target[:] = self.view(size)
        return target

    def view(self, size: int) -> memoryview:
        """The shared memory itself: valid until the next call, which writes into it."""
        self._need(size)
        self._signal(OUT, size)
        return self._bytes[:size]

    def forget(self) -> None:
        super().forget()
        self._buffer = bytearray()

    def close(self) -> None:
        if self._memory is not None:
            self._signal(LINE, 0, wait=False)
        super().close()
        self._unmap()

    def _ask(self, line: str) -> str:
        if self._memory is not None:
            self._signal(LINE, 0)  # makes it read a line
        return super()._ask(line)

    def _signal(self, what: int, length: int, wait: bool = True) -> None:
        words = self._words
        self._asked += 1
        words[WHAT], words[LENGTH] = what, length
        words[ASKED] = self._asked
        with self._fence:  # the look at ASLEEP must not overtake the store of ASKED
            pass
        if words[ASLEEP]:
            self._stdin.write(b"!")
            self._stdin.flush()
        while wait and words[ANSWERED] != self._asked:
            pass

    def _need(self, size: int) -> None:
        """Mapped anew where it is too small; else kept, so that its pages stay warm."""
        if len(self._bytes) >= size:
            return
        memory = SharedMemory(create=True, size=HEADER_BYTES + size)
        self._expect(self._ask(f"map {memory._name}"), "ok")  # type: ignore[attr-defined]
        self._unmap()
        self._memory, self._asked = memory, 0
        self._words = memory.buf[:HEADER_BYTES].cast("q")
        self._bytes = memory.buf[HEADER_BYTES:]

    def _unmap(self) -> None:
        self._words.release()
        self._bytes.release()
        if self._memory is not None:
            self._memory.unlink()
            self._memory.close()
