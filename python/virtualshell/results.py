"""What a command or a transfer left."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Tuple, Union, final

from . import _native

_STATUS: Final = {
    _native.STATUS_DONE: "done",
    _native.STATUS_STOPPED: "stopped",
    _native.STATUS_TIMED_OUT: "timed out",
    _native.STATUS_EXITED: "exited",
    _native.STATUS_LOST: "lost",
}


class _Values(NamedTuple):
    """The fields of a `_native.Result` as plain values: what is left of one that was pickled."""

    id: int
    op: int
    status: int
    success: bool
    refused: bool
    exit_code: int
    execution_ns: int
    out: str
    err: str
    warning: str
    verbose: str
    debug: str
    information: str
    progress: str


@final
class CommandResult:
    """The result of a command, or of a transfer through a bridge. Read-only; may be pickled.

    Texts are what `pwsh` would print, without colour codes, lines ended by `\\n`; each is decoded
    when it is first asked for. Safe to use from any thread.
    """

    __slots__ = ("_native", "_strip")

    def __init__(self, native: Union[_native.Result, _Values], strip: bool = False) -> None:
        self._native = native
        self._strip = strip

    @property
    def out(self) -> str:
        """What the command wrote: its output as `pwsh` formats it, and Write-Host's text in its
        place.
        """
        return self._native.out.strip() if self._strip else self._native.out

    @property
    def err(self) -> str:
        """Its errors, as `pwsh` prints them; for a transfer that failed, why."""
        return self._native.err.strip() if self._strip else self._native.err

    @property
    def warning(self) -> str:
        """Write-Warning's text."""
        return self._native.warning

    @property
    def verbose(self) -> str:
        """Write-Verbose's text, where it is switched on."""
        return self._native.verbose

    @property
    def debug(self) -> str:
        """Write-Debug's text, where it is switched on."""
        return self._native.debug

    @property
    def information(self) -> str:
        """Write-Information's text."""
        return self._native.information

    @property
    def progress(self) -> str:
        """Write-Progress's text."""
        return self._native.progress

    @property
    def success(self) -> bool:
        """For a command: `$?` as a prompt would have it afterwards. For a transfer: it arrived."""
        return self._native.success

    @property
    def exit_code(self) -> int:
        """The exit code of the last native program or of `exit`; otherwise 0 for success, else
        1.
        """
        return self._native.exit_code

    @property
    def execution_time(self) -> float:
        """Seconds that PowerShell spent on it."""
        return self._native.execution_ns / 1e9

    @property
    def status(self) -> str:
        """How it ended: "done", "stopped", "timed out", "exited" (by `exit`) or "lost" (with its
        session).
        """
        return _STATUS.get(self._native.status, "unknown")

    def __repr__(self) -> str:
        return (
            f"<CommandResult {self.status} success={self.success} exit_code={self.exit_code}"
            f" out={_short(self.out)} err={_short(self.err)}"
            f" execution_time={self.execution_time:.6f}>"
        )

    def __eq__(self, other: object) -> bool:
        """Whether it is the result of the same command: the original, or what a pickle made of it."""
        if not isinstance(other, CommandResult):
            return NotImplemented
        return self is other or (self._strip, self._values()) == (other._strip, other._values())

    def __hash__(self) -> int:
        return hash((self._native.id, self._native.execution_ns))

    def __reduce__(self) -> Tuple[Any, ...]:
        return CommandResult, (self._values(), self._strip)

    def _values(self) -> _Values:
        return _Values(*(getattr(self._native, name) for name in _Values._fields))


def _short(text: str, limit: int = 60) -> str:
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}... ({len(text)} characters)"
