"""Turns the errors of the native layer into the package's exceptions, which also say what to do.
Internal.
"""

from __future__ import annotations

from typing import Optional

from . import _native
from .errors import (
    ExecutionError,
    ExecutionTimeoutError,
    OutOfMemoryError,
    SessionLostError,
    VirtualShellError,
)
from .results import CommandResult

FORKED = (
    "this object belongs to the parent process: a forked child can't use the parent's session."
    " Start a new Shell in the child"
)


def shorten(command: str, limit: int = 60) -> str:
    """The beginning of a command, for a message."""
    line = " ".join(command[: 4 * limit].split())
    return f"`{line}`" if len(line) <= limit else f"`{line[:limit]}...`"


def plural(number: Optional[float], unit: str = "second") -> str:
    """ "1 second", "2.5 seconds"."""
    return f"{number:g} {unit}" + ("" if number == 1 else "s")


def session_lost(
    session: _native.Session, result: Optional[CommandResult] = None
) -> SessionLostError:
    """The error for a session that has ended, with the reason."""
    _, why = session.alive()
    return SessionLostError(
        f"the PowerShell session has ended ({why or 'no reason is known'}): call start() for a new"
        " one, which has none of its variables",
        result=result,
    )


def translated(error: _native.Error, session: _native.Session) -> VirtualShellError:
    """The package's exception for an error of a session's call."""
    if error.name == "ZCB_ERR_FORKED":
        return SessionLostError(FORKED)
    if error.final:
        return session_lost(session)
    if isinstance(error, _native.OutOfMemory):
        return OutOfMemoryError(str(error))
    if isinstance(error, _native.Timeout):
        return ExecutionTimeoutError(str(error))
    return ExecutionError(str(error))


def command_timed_out(
    command: str, limit: Optional[float], result: CommandResult, outcome: str
) -> ExecutionTimeoutError:
    """The error for a command that was stopped by its timeout."""
    return ExecutionTimeoutError(
        f"{shorten(command)} did not end within {plural(limit)} and was stopped; {outcome}."
        " Give it more time with timeout=, or Shell(timeout_seconds=)",
        result=result,
    )


SESSION_KEPT = "the session and its variables are still there"
SESSION_KILLED = (
    "PowerShell did not stop it in time, so the session was ended and its variables are gone"
)
