"""Every exception that virtualshell raises on its own account.

All of them are `VirtualShellError`s. What ended because its time was over is a built-in
`TimeoutError` too, and what the system had no memory for a `MemoryError`; everything else is a
`RuntimeError` too. Wrong arguments raise the built-in `TypeError` and `ValueError` at the call. All
may be pickled.
"""

from __future__ import annotations

import concurrent.futures
import sys
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .results import CommandResult


class VirtualShellError(Exception):
    """The base of all errors of this package.

    `result` is the `CommandResult` of the command or transfer that failed, with all that it wrote
    until then, or None where there is none.
    """

    result: Optional[CommandResult]

    def __init__(self, message: str = "", *, result: Optional[CommandResult] = None) -> None:
        super().__init__(message)
        self.result = result


class PowerShellNotFoundError(VirtualShellError, RuntimeError):
    """There is no PowerShell 7.4 or later; the text says where it was looked for and how to get
    one.
    """


class StartError(VirtualShellError, RuntimeError):
    """PowerShell was found, but the session could not be started; the text says why."""


class StartTimeoutError(StartError, TimeoutError):
    """PowerShell was started, but did not answer within `start_timeout`."""


class ExecutionError(VirtualShellError, RuntimeError):
    """A command failed, and `raise_on_error=True` (or a place like `initial_commands`) wants that
    raised.
    """


class ExecutionTimeoutError(VirtualShellError, TimeoutError):
    """A command did not end within its timeout and was stopped; `result` has what it wrote until
    then. Or it could not even be given to PowerShell in time, or `ping` got no answer.
    """


if sys.version_info >= (3, 11):

    class WaitTimeoutError(VirtualShellError, TimeoutError):
        """The time to wait for a future is over (`result(timeout=)`); what it stands for goes on."""

else:

    class WaitTimeoutError(VirtualShellError, TimeoutError, concurrent.futures.TimeoutError):
        """The time to wait for a future is over (`result(timeout=)`); what it stands for goes on."""


class SessionLostError(VirtualShellError, RuntimeError):
    """There is no live session: not started, stopped, ended by `exit`, or its process was
    killed.
    """


class OutOfMemoryError(VirtualShellError, MemoryError):
    """The system had no memory for it; the text says what raises the limit."""


class ChannelError(VirtualShellError, RuntimeError):
    """A bridge could not be opened ("Failed to create channel: ..."), or is closed."""


class TransferError(VirtualShellError, RuntimeError):
    """Data did not cross; the text says why, in PowerShell's words where the failure is on its
    side.
    """


class TransferTooLargeError(TransferError, ValueError):
    """The data is larger than the place it is to go to can be."""


class TransferTimeoutError(VirtualShellError, TimeoutError):
    """Data did not cross within the timeout; the channel goes on."""
