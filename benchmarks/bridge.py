"""The bridge, in the ways its users use it."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from virtualshell import Shell, ZeroCopyBridge

from contestant import Contestant

DIGEST = "[Convert]::ToHexString([Security.Cryptography.SHA256]::HashData({})).ToLower()"
VIEW_FRAME_MB = 256  # what is held in place has to fit
CLEAR_GARBAGE = "[GC]::Collect(2, 'Aggressive', $true, $true)"
FILL_OWN_LEASE = """
if ($lease) {{ $bytes = $lease.ToArray(); $lease.Dispose(); $lease = $null }}
if ($own) {{ $own.Dispose() }}
$own = New-ZeroCopyLease -ChannelName bench-leases -Length {size}
$own.Stream.Write($bytes, 0, {size})
"""
LEASE_FRAME_MB = 512


class Bridge(Contestant):
    """Copies with the default settings; out in place with a frame that holds the largest message."""

    name = "bridge"
    ways = ("into", "out", "view", "array")
    everywhere = True

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.bridge = ZeroCopyBridge(shell)
        self._large = ZeroCopyBridge(shell, frame_mb=VIEW_FRAME_MB)

    def into(self, payload: bytearray) -> None:
        future = self.bridge.receive_to_powershell("$bench")
        self.bridge.send(payload)
        future.result()

    def out(self, size: int) -> bytes:
        future = self.bridge.send_from_powershell("$bench")
        data = self.bridge.receive()
        future.result()
        return data

    def view(self, size: int) -> memoryview:
        future = self._large.send_from_powershell("$bench")
        data = self._large.receive(return_memoryview=True)
        future.result()
        return data

    def array(self, size: int) -> memoryview:
        return np.frombuffer(self.view(size), dtype=np.uint8).data

    def digest(self) -> str:
        return self.shell.run(DIGEST.format("$bench")).out.strip()

    def forget(self) -> None:
        self.shell.run("$bench = $null; " + CLEAR_GARBAGE)

    def close(self) -> None:
        self.bridge.close()
        self._large.close()


class BridgeLease(Contestant):
    """Leases at both ends: written in place, read in place. What is timed is all but the filling.

    The value of the variable that is sent out is a lease too, one of PowerShell's own making.
    """

    name = "bridge, leases"
    ways = ("into", "view")
    everywhere = True
    most = LEASE_FRAME_MB << 19  # one may still be out when the next is made

    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        self.bridge = ZeroCopyBridge(shell, frame_mb=LEASE_FRAME_MB, channel_name="bench-leases")
        self._filled: Optional[Any] = None

    def prepare_into(self, payload: bytearray) -> None:
        """Untimed: room in the frame, filled."""
        self.shell.run("if ($lease) { $lease.Dispose(); $lease = $null }")
        self._filled = self.bridge.allocate(len(payload))
        self._filled[:] = payload
        self._wake()

    def into(self, payload: bytearray) -> None:
        filled, self._filled = self._filled, None
        future = self.bridge.receive_to_powershell("$lease", lease=True)
        self.bridge.send(filled)
        future.result()

    def prepare_view(self, size: int) -> None:
        """Untimed: the same on PowerShell's side, filled with what came in."""
        self.shell.run(FILL_OWN_LEASE.format(size=size), raise_on_error=True)
        self._wake()

    def _wake(self) -> None:
        """To fill much takes long: meanwhile the other side falls asleep, and caches are emptied of
        the program. Of both nothing is to be measured here."""
        for _ in range(10):
            future = self.bridge.receive_to_powershell("$warm")
            self.bridge.send(b"warm")
            future.result()
            future = self.bridge.send_from_powershell("$warm")
            self.bridge.receive(return_memoryview=True)
            future.result()

    def view(self, size: int) -> memoryview:
        future = self.bridge.send_from_powershell("$own")
        data = self.bridge.receive(return_memoryview=True)
        future.result()
        return data

    def digest(self) -> str:
        return self.shell.run(DIGEST.format("$lease.ToArray()")).out.strip()

    def forget(self) -> None:
        self.shell.run("$own = $bytes = $null; " + CLEAR_GARBAGE)

    def close(self) -> None:
        self.bridge.close()
