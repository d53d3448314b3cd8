"""The exceptions of virtualshell.

All of them are `VirtualShellError`s. A subclass for a timeout is also a built-in `TimeoutError`, and
one for a lack of memory a `MemoryError`. Every other subclass is also a `RuntimeError`. Wrong
arguments raise the built-in `TypeError` and `ValueError` at the call. All may be pickled.
"""

from __future__ import annotations

import concurrent.futures
import sys
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .results import CommandResult


class VirtualShellError(Exception):
    """The base of all errors of this package.

    `result` is the `CommandResult` of the command or transfer that failed, with everything that it
    had written; None if there is no result.
    """

    result: Optional[CommandResult]

    def __init__(self, message: str = "", *, result: Optional[CommandResult] = None) -> None:
        super().__init__(message)
        self.result = result


class PowerShellNotFoundError(VirtualShellError, RuntimeError):
    """No PowerShell was found. The text lists the places that were searched, and how to get it."""


class StartError(VirtualShellError, RuntimeError):
    """PowerShell was found, but the session could not be started. The text says why."""


class StartTimeoutError(StartError, TimeoutError):
    """PowerShell was started, but did not answer within `start_timeout`."""


class ExecutionError(VirtualShellError, RuntimeError):
    """A command failed, and `raise_on_error=True` was given or it was one of the
    `initial_commands`.
    """


class ExecutionTimeoutError(VirtualShellError, TimeoutError):
    """A command did not end within its timeout and was stopped. `result` has what it had
    written. Or it could not even be given to PowerShell in time, or `ping` got no answer.
    """


if sys.version_info >= (3, 11):

    class WaitTimeoutError(VirtualShellError, TimeoutError):
        """The time to wait for a future is over (`result(timeout=)`); what it stands for goes on."""

else:

    class WaitTimeoutError(VirtualShellError, TimeoutError, concurrent.futures.TimeoutError):
        """The time to wait for a future is over (`result(timeout=)`); what it stands for goes on."""


class SessionLostError(VirtualShellError, RuntimeError):
    """There is no live session: it was not started, or it was stopped, or a command ran `exit`, or
    its process was killed.
    """


class OutOfMemoryError(VirtualShellError, MemoryError):
    """The system had no memory for it; the text says what raises the limit."""


class ChannelError(VirtualShellError, RuntimeError):
    """A bridge could not be opened ("Failed to create channel: ..."), or it is closed."""


class TransferError(VirtualShellError, RuntimeError):
    """Data did not cross. The text says why, in PowerShell's own words if the transfer failed
    there.
    """


class TransferTooLargeError(TransferError, ValueError):
    """The data is longer than its destination can be: a `byte[]`, or the frame."""


class TransferTimeoutError(VirtualShellError, TimeoutError):
    """Data did not cross within the timeout. The bridge can still be used."""
