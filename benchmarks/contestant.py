"""What is measured side by side: a way to move bytes between Python and a live PowerShell."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import ClassVar, Tuple


class Contestant(ABC):
    """Moves a payload into a variable of PowerShell, and that variable's value out of it.

    `ways` says which of the methods it has. Every method is complete: `into` returns when PowerShell
    holds a byte[], the others when Python holds all bytes.
    """

    name: ClassVar[str]
    ways: ClassVar[Tuple[str, ...]] = ("into", "out")
    everywhere: ClassVar[bool] = False  # measured at every size, however long it takes
    most: ClassVar[int] = sys.maxsize  # bytes that it can move at a time

    @abstractmethod
    def into(self, payload: bytearray) -> None:
        """Until PowerShell holds a fresh byte[] with the payload in a variable."""

    def out(self, size: int) -> bytes:
        """The variable's value, `size` bytes, as fresh `bytes`."""
        raise NotImplementedError

    def kept(self, size: int) -> memoryview:
        """The same, copied into a buffer that is kept from call to call."""
        raise NotImplementedError

    def view(self, size: int) -> memoryview:
        """The same, where it lies in shared memory."""
        raise NotImplementedError

    def array(self, size: int) -> memoryview:
        """The same, where it lies in shared memory, by way of a NumPy array."""
        raise NotImplementedError

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 of the variable's value, computed in PowerShell, in hexadecimal."""

    @abstractmethod
    def forget(self) -> None:
        """Lets both sides free what the last transfers left, so that a machine's memory is enough."""

    @abstractmethod
    def close(self) -> None:
        """Ends its processes and removes its files."""
