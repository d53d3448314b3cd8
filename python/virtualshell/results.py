"""The result of a command or a transfer."""

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
    """The fields of a `_native.Result` as plain values: the form in which a result is pickled."""

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

    Each text is what `pwsh` would print, without colour codes. Its lines end in `\\n`, or in
    `\\r\\n` on Windows. It is decoded when it is first read. A result may be used from any thread.
    """

    __slots__ = ("_native", "_strip")

    def __init__(self, native: Union[_native.Result, _Values], strip: bool = False) -> None:
        self._native = native
        self._strip = strip

    @property
    def out(self) -> str:
        """The command's output, as `pwsh` formats it, with the text of Write-Host in its place."""
        return self._native.out.strip() if self._strip else self._native.out

    @property
    def err(self) -> str:
        """The command's errors, as `pwsh` prints them; for a failed transfer, the reason."""
        return self._native.err.strip() if self._strip else self._native.err

    @property
    def warning(self) -> str:
        """The text of Write-Warning."""
        return self._native.warning

    @property
    def verbose(self) -> str:
        """The text of Write-Verbose, if it is switched on."""
        return self._native.verbose

    @property
    def debug(self) -> str:
        """The text of Write-Debug, if it is switched on."""
        return self._native.debug

    @property
    def information(self) -> str:
        """The text of Write-Information."""
        return self._native.information

    @property
    def progress(self) -> str:
        """The text of Write-Progress."""
        return self._native.progress

    @property
    def success(self) -> bool:
        """For a command: the value of `$?` after it. For a transfer: whether the data arrived."""
        return self._native.success

    @property
    def exit_code(self) -> int:
        """The exit code of the last native program that the command ran, or of `exit`. Without
        either, 0 for success and 1 for failure.
        """
        return self._native.exit_code

    @property
    def execution_time(self) -> float:
        """Seconds that PowerShell spent on the command or transfer."""
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
