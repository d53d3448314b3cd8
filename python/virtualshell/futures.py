"""Futures of commands and transfers.

A thread in `result()` waits in the native layer itself, without the help of another thread. One
reader thread per session takes all other results. It serves `done()`, callbacks,
`concurrent.futures.wait` and `asyncio.wrap_future`, and sleeps while there is nothing to do.
"""

from __future__ import annotations

import concurrent.futures
import copy
import threading
import time
from typing import Callable, Dict, Optional

from . import _native
from .errors import (
    ChannelError,
    ExecutionError,
    TransferError,
    TransferTimeoutError,
    VirtualShellError,
    WaitTimeoutError,
)
from .failures import (
    SESSION_KEPT,
    SESSION_KILLED,
    command_timed_out,
    plural,
    session_lost,
    shorten,
    translated,
)
from .pickling import NotPickled
from .results import CommandResult

_OUTCOME_WAIT_S = 1.0


_Future = concurrent.futures.Future[CommandResult]


class _Once:
    """A callback that is forgotten once it was called: it may refer to its own future."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[_Future], object]) -> None:
        self._call: Optional[Callable[[_Future], object]] = call

    def __call__(self, future: _Future) -> None:
        call, self._call = self._call, None
        if call is not None:
            call(future)


class PowerShellFuture(NotPickled, _Future):
    """A `concurrent.futures.Future` with a `CommandResult`. Only the package makes them."""

    _instead = "wait for it here, and give the other process its result()"

    def __init__(
        self, completions: Completions, text: str, limit: Optional[float], strip: bool
    ) -> None:
        super().__init__()
        self.id = 0
        self.outcome: Optional[CommandResult] = None
        self._completions = completions
        self.text = text
        self._limit = limit
        self._strip = strip
        self._cancelling = False
        self._native = _native.Result()  # filled by the thread that waits in the native layer
        self._settling = threading.Lock()  # taken once, by the thread that settles this future
        self._collecting = threading.Lock()  # held by the thread that waits in the native layer

    def result(self, timeout: Optional[float] = None) -> CommandResult:
        """The `CommandResult`. Waits for it up to `timeout` seconds (None: without limit).

        WaitTimeoutError: the command or transfer is not done yet. CancelledError after `cancel()`.
        """
        self._wait(timeout)
        self._seen()
        error = super().exception(0)
        if error is not None:
            # Not the exception itself: its traceback would refer to all who ask, and who asks to this.
            raise copy.copy(error)
        return super().result(0)

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """The exception that `result` would raise, or None; waits and raises as `result` does."""
        self._wait(timeout)
        self._seen()
        return super().exception(0)

    def cancel(self) -> bool:
        """Stops the command or withdraws the transfer. False if it is done, or if it is too late to
        withdraw it.
        """
        if self.done():
            return self.cancelled()
        self._cancelling = True
        if not self._withdraw():
            return self.cancelled()
        if self._settling.acquire(blocking=False):
            self._become_cancelled()
            return True
        try:
            super().exception()  # another thread is settling it
        except concurrent.futures.CancelledError:
            return True
        return False

    def add_done_callback(self, fn: Callable[[_Future], object]) -> None:
        """Calls `fn` with the future when it is done or cancelled; at once if it is so already."""
        super().add_done_callback(_Once(fn))

    def settle(self, native: _native.Result) -> None:
        """Ends the future, unless another thread is doing so."""
        if not self._settling.acquire(blocking=False):
            return
        try:
            self._end(native)
        except BaseException:  # no memory, or a signal handler has raised: try again later
            if not self.done():
                self._settling.release()
            raise

    def _end(self, native: _native.Result) -> None:
        outcome = CommandResult(native, self._strip)
        error = self._error(native, outcome)
        if error is not None:
            self.outcome = outcome
            self.set_exception(error)
        elif native.status == _native.STATUS_STOPPED and self._cancelling:
            self._become_cancelled()
        else:
            self.outcome = outcome
            self.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Ends the future with an exception, unless it has ended."""
        if self._settling.acquire(blocking=False):
            self.set_exception(error)

    def is_being_collected(self) -> bool:
        """Whether a thread that waits in the native layer will settle it."""
        return self._collecting.locked()

    def _wait(self, timeout: Optional[float]) -> None:
        """Returns once the future is done."""
        if self.done():
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._collecting.acquire(blocking=False):
            try:
                if not self._native.id:
                    self._completions.session.wait(
                        self.id, None if timeout is None else max(timeout, 0), self._native
                    )
            except _native.Timeout:
                raise self._not_done(timeout) from None
            except _native.Error as error:
                raise translated(error, self._completions.session) from error
            finally:
                self._collecting.release()
                if self._native.id:  # true even if a signal handler has raised during the wait
                    self._completions.collected(self, self._native)
                else:
                    self._completions.not_collected(self)
        if not self.done():  # another thread has the result, or is waiting for it
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            concurrent.futures.wait((self,), left)
            if not self.done():
                raise self._not_done(timeout)

    def _not_done(self, timeout: Optional[float]) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"{shorten(self.text)} was not done after a wait of {plural(timeout)}; it goes on"
        )

    def _become_cancelled(self) -> None:
        super().cancel()
        self.set_running_or_notify_cancel()  # tells futures.wait and as_completed

    def _withdraw(self) -> bool:
        raise NotImplementedError

    def _error(self, native: _native.Result, outcome: CommandResult) -> Optional[Exception]:
        raise NotImplementedError

    def _seen(self) -> None:
        """Called just before the user sees how it ended."""


class CommandFuture(PowerShellFuture):
    """The future of `Shell.run_async`."""

    def _withdraw(self) -> bool:
        try:
            return self._completions.session.stop(self.id)
        except _native.Error:
            return False  # the session has ended, and the command with it

    def _error(self, native: _native.Result, outcome: CommandResult) -> Optional[Exception]:
        session = self._completions.session
        if native.status == _native.STATUS_LOST:
            return session_lost(session, outcome)
        if native.status == _native.STATUS_TIMED_OUT:
            alive = session.alive()[0]
            self._completions.killed_by_timeout |= not alive
            return command_timed_out(
                self.text, self._limit, outcome, SESSION_KEPT if alive else SESSION_KILLED
            )
        return None


class Transfers:
    """The native side of a bridge, and its failures that the user has not seen yet."""

    def __init__(self, native: _native.Bridge) -> None:
        self.native: Optional[_native.Bridge] = native  # None when closed
        self.unseen: Dict[int, TransferFuture] = {}

    def close(self) -> None:
        """Ends all waits. The last running call frees memory and descriptors."""
        native, self.native = self.native, None
        if native is not None:
            native.close()
        self.unseen.clear()

    def posted(self, future: TransferFuture, id: int) -> None:
        """Remembers a transfer until it has succeeded, or until the user has seen its failure."""
        self.unseen[id] = future
        if self.native is None:  # closed, maybe meanwhile: nobody will ask any more
            self.unseen.clear()

    def seen(self, id: int) -> None:
        """The failure of a transfer has been raised. Reports it to the native layer, once."""
        native = self.native
        if self.unseen.pop(id, None) is not None and native is not None:
            native.seen(id)


class TransferFuture(PowerShellFuture):
    """The future of a posted transfer."""

    def __init__(
        self,
        completions: Completions,
        transfers: Transfers,
        text: str,
        limit: Optional[float],
        strip: bool,
        timeout_text: str,
    ) -> None:
        super().__init__(completions, text, limit, strip)
        self._transfers = transfers
        self._timeout_text = timeout_text

    def _withdraw(self) -> bool:
        native = self._transfers.native
        try:
            if native is None or not native.withdraw(self.id):
                return False
        except _native.Error:
            return False  # the session has ended, and the transfer with it
        self._transfers.seen(self.id)
        return True

    def _error(self, native: _native.Result, outcome: CommandResult) -> Optional[Exception]:
        if native.success:
            self._transfers.unseen.pop(self.id, None)
            return None
        if native.status == _native.STATUS_TIMED_OUT:
            return TransferTimeoutError(self._timed_out(), result=outcome)
        if native.status == _native.STATUS_STOPPED and self._transfers.native is None:
            return ChannelError(
                "the bridge was closed before the transfer was done", result=outcome
            )
        if native.status == _native.STATUS_LOST:
            return session_lost(self._completions.session, outcome)
        return None

    def outcome_now(self) -> Optional[CommandResult]:
        """The result of a transfer that the native layer has reported as failed; None if it does
        not come.
        """
        try:
            self._wait(_OUTCOME_WAIT_S)
        except VirtualShellError:
            return None
        return self.outcome

    def failure(self, text: str, prefix: str = "") -> VirtualShellError:
        """The exception for a `send` or `receive` that got the error `text` in place of this
        transfer's data. If the transfer's result is known, its own text is used.
        """
        result = self.outcome_now()
        if result is not None and result.status == "timed out":
            return TransferTimeoutError(self._timed_out(), result=result)
        said = "" if result is None else result.err.strip()
        return TransferError(prefix + (said or text), result=result)

    def _timed_out(self) -> str:
        return (
            f"Timeout waiting for PowerShell chunk: {self._timeout_text} {shorten(self.text)}"
            f" within {plural(self._limit)}. Give it more time (timeout=), send less, or use a"
            " larger chunk_mb"
        )

    def _seen(self) -> None:
        self._transfers.seen(self.id)


class Completions:
    """Delivers the results of one session to their futures. It holds no reference to the Shell. So
    a Shell that is dropped ends its session, and with it the reader thread.
    """

    def __init__(self, session: _native.Session) -> None:
        self.session = session
        self.killed_by_timeout = False
        self._lock = threading.Lock()
        self._pending: Dict[int, PowerShellFuture] = {}
        self._early: Dict[int, _native.Result] = {}  # came before its future had its id
        self._reader: Optional[threading.Thread] = None
        self._ended = False

    def start_reading(self) -> None:
        """To be called before something is given to the session that a future stands for."""
        if self._reader is not None:
            return
        with self._lock:
            if self._reader is None:
                reader = threading.Thread(
                    target=self._read, name="virtualshell results", daemon=True
                )
                try:
                    reader.start()
                except RuntimeError as error:
                    raise ExecutionError(
                        f"no thread could be started for the results of futures: {error}"
                    ) from error
                self._reader = reader

    def add(self, future: PowerShellFuture, id: int) -> None:
        """Ties a future to its command or transfer."""
        future.id = id
        with self._lock:
            native = self._early.pop(id, None)
            lost = native is None and self._ended
            if native is None and not lost:
                self._pending[id] = future
        if native is not None:
            future.settle(native)
        elif lost:
            future.fail(session_lost(self.session))

    def collected(self, future: PowerShellFuture, native: _native.Result) -> None:
        """Called by a thread in `result()` that has received the result."""
        with self._lock:
            self._pending.pop(future.id, None)
        future.settle(native)

    def not_collected(self, future: PowerShellFuture) -> None:
        """A thread in `result()` has given up. Where the reader has ended, nobody else will come."""
        with self._lock:
            ended = self._ended
        if ended:
            future.fail(session_lost(self.session))

    def join(self, timeout: float) -> None:
        """Waits for the reader thread to end. It ends after its session."""
        reader = self._reader
        if reader is None:
            self._end_reading()
        elif reader is not threading.current_thread():
            reader.join(timeout)

    def _read(self) -> None:
        try:
            self._read_all()
        finally:
            self._end_reading()

    def _read_all(self) -> None:
        native = _native.Result()
        while True:
            try:
                if not native.id and self.session.next(native) is None:
                    return
                following = _native.Result()
                self._deliver(native)
                native = following
            except (MemoryError, SystemExit):  # the latter from a callback, which must not end this
                continue  # what has been taken is still to be delivered
            except _native.Error:
                return

    def _end_reading(self) -> None:
        over = not self.session.alive()[0]
        with self._lock:
            if not over:  # the system had nothing to wait by: the next future has another try
                self._reader = None
                return
            self._ended = True
            left = [future for future in self._pending.values() if not future.is_being_collected()]
            self._pending.clear()
        for future in left:
            future.fail(session_lost(self.session))

    def _deliver(self, native: _native.Result) -> None:
        with self._lock:
            future = self._pending.get(native.id)
            if future is None:
                self._early[native.id] = native
        if future is not None:
            future.settle(native)
            with self._lock:
                self._pending.pop(native.id, None)
