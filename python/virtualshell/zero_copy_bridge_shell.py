"""Data between Python and the PowerShell session of a Shell, through shared memory."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
import time
import weakref
from types import TracebackType
from typing import (
    Any,
    Callable,
    List,
    Literal,
    Optional,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    overload,
)

from . import _native, arguments
from .errors import (
    ChannelError,
    OutOfMemoryError,
    SessionLostError,
    TransferError,
    TransferTimeoutError,
    TransferTooLargeError,
    VirtualShellError,
)
from .failures import FORKED, plural, session_lost, shorten
from .futures import Completions, TransferFuture, Transfers
from .pickling import NotPickled
from .shell import Shell

Self = TypeVar("Self", bound="ZeroCopyBridge")
Message = Union[Tuple[int, bytes, int], Tuple[int, _native.Lease, int]]

_MOST_ARRAY_BYTES = 0x7FFFFFC7  # .NET's Array.MaxLength
_SCOPES = ("Local", "Global")
_MOST_IDLE = 4  # open channels kept for the next one-call transfers
_numbers = itertools.count(1)


class ZeroCopyBridge(NotPickled):
    """A channel between Python and a Shell's session, for data of any size in both directions.

    >>> with Shell() as shell, ZeroCopyBridge(shell) as bridge:
    ...     bridge.send(b"some data", "$data")
    ...     shell.run("[array]::Reverse($data)")
    ...     print(bridge.receive("$data"))
    b'atad emos'

    `send(data, "$v")` and `receive("$v")` do a whole transfer in one call. The two-step forms let
    other work run at the same time: `receive_to_powershell` with `send`, and `send_from_powershell`
    with `receive`. Either step may come first. Messages and posted transfers are paired in order:
    the first message goes to the first posted receive that has not failed. A posted transfer never
    blocks the session's commands. One-call transfers take no part in that order: each has a channel
    of its own while it runs. A few of these channels are kept open.

    PowerShell gets a `byte[]`. A `byte[]` arrives in Python as `bytes`. Every other object arrives
    as `CliXml`: bytes that become an object again when they are sent back.

    shell: a Shell that is running.
    channel_name: a label, unique among the open bridges of the session. By default one is chosen.
    frame_mb: MiB of memory for each direction of a channel (0.0625 to 1048576). It limits how much
        data can wait there, and the largest message that `return_memoryview` gives without a copy.
        Messages may be longer. Memory is committed when it is first used.
    chunk_mb: MiB (0.0625 to 1024) of the window through which longer messages stream.
    scope: "Local" or "Global". Both mean the same, because a channel has no name outside its
        session.

    ChannelError ("Failed to create channel: ..."): the name is in use, or there is no memory.
    SessionLostError: the Shell is not running. TypeError, ValueError: a wrong argument.

    All methods may be called from any thread. Timeouts are in seconds and count from the call. None
    stands for the Shell's `timeout_seconds`, and `math.inf` for no limit. A bridge ends with
    `close()`, at the end of `with`, when it is dropped, and with its session.
    """

    _instead = "open one where its Shell is, and give the other process the data"

    def __init__(
        self,
        shell: Shell,
        channel_name: Optional[str] = None,
        frame_mb: float = 64,
        chunk_mb: float = 4,
        scope: str = "Local",
    ) -> None:
        if not isinstance(shell, Shell):
            raise TypeError(f"shell must be a virtualshell.Shell, not {shell!r}")
        if channel_name is None:
            names = (f"bridge-{number}" for number in _numbers)
            channel_name = next(name for name in names if shell._is_free(name))
        self._name = arguments.text(channel_name, "channel_name")
        self._frame_bytes = arguments.megabytes(
            frame_mb, "frame_mb", _native.MIN_FRAME_BYTES, _native.MAX_FRAME_BYTES
        )
        self._chunk_bytes = arguments.megabytes(
            chunk_mb, "chunk_mb", _native.MIN_WINDOW_BYTES, _native.MAX_WINDOW_BYTES
        )
        if not isinstance(scope, str):
            raise TypeError(f"scope must be a str, not {scope!r}")
        if scope not in _SCOPES:
            raise ValueError(f'scope must be "Local" or "Global", not {scope!r}')
        self._frame_mb, self._chunk_mb, self._scope = frame_mb, chunk_mb, scope
        self._shell = shell
        self._pid = os.getpid()
        self._why_closed: Optional[str] = None
        self._lock = threading.Lock()  # of _why_closed
        self._open: Set[Transfers] = set()
        self._idle: List[Transfers] = []
        self._main: Transfers  # the channel of the two-step forms
        self._completions: Optional[Completions] = shell._attach(self)  # None when closed
        finalizer = weakref.finalize(self, _close_all, self._open, self._pid)
        finalizer.atexit = False  # the end of the session, at exit, ends its bridges
        try:
            self._main = self._new_channel(self._label())
        except BaseException:
            shell._detach(self)
            raise

    # What it is

    @property
    def channel_name(self) -> str:
        """The bridge's label, unique among the open bridges of its session."""
        return self._name

    @property
    def frame_mb(self) -> float:
        """MiB of memory for each direction."""
        return self._frame_mb

    @property
    def chunk_mb(self) -> float:
        """MiB of the window through which longer messages stream."""
        return self._chunk_mb

    @property
    def scope(self) -> str:
        """ "Local" or "Global"."""
        return self._scope

    @property
    def closed(self) -> bool:
        """Whether the bridge was closed, by `close()` or with its Shell."""
        return self._why_closed is not None

    # Python to PowerShell

    def receive_to_powershell(
        self, target: str, timeout: Optional[float] = None, lease: bool = False
    ) -> TransferFuture:
        """Posts a receive: PowerShell will receive the next message into a variable. Returns at
        once.

        target: a place that PowerShell can assign to: "$x", "$global:x", "$env:X", "$h.key",
            "$a[3]", "[byte[]]$x".
        timeout: how long PowerShell waits for the complete message.
        lease: give PowerShell a `ZeroCopyBridge.Lease` instead of a byte[], which would cost a
            copy. A lease is a view of the shared memory itself, to be read by index or as a Stream.
            The message must fit the frame, and takes its room there until the lease is disposed of
            or collected.

        The future's `result()` is a CommandResult. If the data could not be assigned, its `success`
        is False and its `err` says why. `result()` raises TransferTimeoutError if the message did
        not come in time. `cancel()` withdraws the receive while no message has been sent for it.
        The variable is assigned before any command that is submitted after the data was sent.
        ValueError: the target is not a place. SessionLostError, ChannelError.
        """
        return self._post_receive(self._main, _target(target), self._limit(timeout), bool(lease))

    def allocate(self, nbytes: int, timeout: Optional[float] = None) -> memoryview:
        """Takes memory of the bridge, to be filled in place: a writable view of `nbytes` bytes.

        Send it with `send` without a target: the view, a NumPy array over it, or a part that begins
        at its first byte. The first such `send` makes no copy. Do not write to the memory after it.
        The memory is free again when Python has dropped the view and everything made from it, and
        PowerShell has given it back.

        TransferTooLargeError ("Data exceeds frame size"): more than `frame_mb`.
        TransferTimeoutError: there was no room in time. OutOfMemoryError: the system has no memory
        for it. SessionLostError, ChannelError.
        """
        size, limit = arguments.integer(nbytes, "nbytes", 1, sys.maxsize), self._limit(timeout)
        if size > self._frame_bytes:
            raise TransferTooLargeError(
                f"Data exceeds frame size: {size:,} bytes can't be allocated in a frame of"
                f" {self._frame_bytes:,}. Give the ZeroCopyBridge a larger frame_mb"
            )
        try:
            return memoryview(cast(bytes, self._live(self._main).allocate(size, limit)))
        except _native.Timeout:
            raise TransferTimeoutError(
                f"Timeout: there was no room for {size:,} bytes in the frame within"
                f" {plural(limit)}. Drop views and receive messages that lie there, or give the"
                " ZeroCopyBridge a larger frame_mb"
            ) from None
        except _native.Error as error:
            raise self._error(error) from error

    def send(
        self,
        data: Any,
        target: Optional[str] = None,
        timeout: Optional[float] = None,
        lease: bool = False,
    ) -> None:
        """Sends one message: any contiguous buffer (bytes, bytearray, memoryview, array, mmap,
        NumPy). The data is copied directly from the buffer, which may be changed after this
        returns. Memory from `allocate` is not copied at all.

        With a target, puts the data into that variable and returns when it is assigned. Otherwise
        the message goes to the first posted receive. If there is none, it waits for the next one in
        the frame, if the frame has room.

        lease: as for `receive_to_powershell`; only with a target.

        TransferTimeoutError: PowerShell did not receive the message in time; it is withdrawn.
        TransferError: PowerShell could not take the data; the text says why.
        TransferTooLargeError: more than a byte[] can hold, or for a lease more than the frame.
        TypeError: not a contiguous buffer. The bridge can be used after each of these.
        SessionLostError, ChannelError.
        """
        if target is not None:
            target = _target(target)
        elif lease:
            raise ValueError(
                "lease=True needs a target. Without a target, give lease=True to the"
                " receive_to_powershell that takes the message"
            )
        limit = self._limit(timeout)
        size = len(data) if type(data) is bytes else arguments.buffer_bytes(data, "data")
        if size > _MOST_ARRAY_BYTES and not lease:
            raise TransferTooLargeError(
                f"data has {size:,} bytes, but a byte[] of .NET holds at most"
                f" 0x{_MOST_ARRAY_BYTES:X} ({_MOST_ARRAY_BYTES:,}): send it in parts. Nothing was"
                " sent"
            )
        if target is None:
            self._deliver(self._main, data, limit)
        else:
            self._send_into(target, data, limit, bool(lease))

    # PowerShell to Python

    def send_from_powershell(
        self, expression: str, depth: int = 2, timeout: Optional[float] = None
    ) -> TransferFuture:
        """Posts a send: PowerShell will send the value of an expression. Returns at once.

        expression: a single expression or pipeline, e.g. "$x", "$x.Data", "(Get-Process)". It is
            evaluated in the queue of commands, when its turn comes.
        depth: how many levels of an object's members are serialized (1 to 100). It has no effect on
            a byte[].
        timeout: how long the transfer may take, until `receive` has the data.

        Do not change a byte[] before the future is done. The future's `result()` is a
        CommandResult. If there was nothing to send, its `success` is False and its `err` says why.
        The `receive` that waits for the value then raises TransferError, unless the user has seen
        the failure through the future before. `result()` raises TransferTimeoutError if the data
        was not received in time. SessionLostError, ChannelError.
        """
        depth = arguments.integer(depth, "depth", 1, 100)
        expression = arguments.text(expression, "expression")
        return self._post_send(self._main, expression, depth, self._limit(timeout))

    @overload
    def receive(
        self,
        expression: Optional[str] = None,
        timeout: Optional[float] = None,
        return_memoryview: Literal[False] = False,
        depth: int = 2,
    ) -> bytes:
        ...

    @overload
    def receive(
        self,
        expression: Optional[str] = None,
        timeout: Optional[float] = None,
        *,
        return_memoryview: Literal[True],
        depth: int = 2,
    ) -> memoryview:
        ...

    @overload
    def receive(
        self,
        expression: Optional[str] = None,
        timeout: Optional[float] = None,
        return_memoryview: bool = False,
        depth: int = 2,
    ) -> Union[bytes, memoryview]:
        ...

    def receive(
        self,
        expression: Optional[str] = None,
        timeout: Optional[float] = None,
        return_memoryview: bool = False,
        depth: int = 2,
    ) -> Union[bytes, memoryview]:
        """Receives one message: the value of an expression, or without one the next message.

        return_memoryview: return a read-only view. It shows the shared memory itself, without a
            copy, if the message lies there in one piece (see `frame_mb`). Otherwise it shows a
            private copy. The memory is given back when Python has dropped the view and everything
            made from it. It may outlive the bridge and the Shell.
        depth: as for `send_from_powershell`; only with an expression.

        Returns bytes for a byte[], and CliXml (a subclass of bytes) for any other object.
        TransferTimeoutError: the message was not complete in time. TransferError: PowerShell could
        not send the value; the text says why. SessionLostError, ChannelError.
        """
        if expression is not None:
            expression = arguments.text(expression, "expression")
            depth = arguments.integer(depth, "depth", 1, 100)
        limit = self._limit(timeout)
        if expression is None:
            transfers = self._main
            data = _data(transfers, self._take(transfers, limit, limit, return_memoryview))
        else:
            data = self._receive_from(expression, depth, limit, return_memoryview)
        return memoryview(cast(bytes, data)) if return_memoryview else cast(bytes, data)

    # Life

    def close(self) -> None:
        """Ends the bridge and all waits on it. Further calls do nothing.

        Transfers that are not done fail. Views of received data stay valid.
        """
        self._close("it was closed")

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ZeroCopyBridge {self._name!r}{' closed' if self.closed else ''}>"

    # Inside

    def _close(self, why: str) -> None:
        with self._lock:
            if self._why_closed is not None:
                return
            self._why_closed = why
        self._completions = None
        _close_all(self._open, self._pid)
        self._shell._detach(self)

    # Channels. The two-step forms share one channel, in which posts and messages are paired in
    # order. Each one-call transfer has a channel to itself while it runs. So no other post or
    # message can come between its two halves, and closing the channel removes what a failed
    # transfer leaves.

    def _label(self) -> Optional[str]:
        """The name by which New-ZeroCopyLease finds the bridge; None if the name is too long."""
        fits = len(self._name.encode("utf-8", "replace")) <= _native.MAX_LABEL_BYTES
        return self._name if fits and "\0" not in self._name else None

    def _new_channel(self, label: Optional[str] = None) -> Transfers:
        session = self._home().session
        try:
            native = _native.Bridge(
                session,
                frame_bytes=self._frame_bytes,
                window_bytes=self._chunk_bytes,
                label=label,
            )
        except _native.OutOfMemory as error:
            raise ChannelError(f"{error}; a smaller frame_mb or chunk_mb takes less") from error
        except _native.Error as error:
            if not session.alive()[0]:
                raise session_lost(session) from error
            raise ChannelError(f"{error}; close bridges that are not needed") from error
        transfers = Transfers(native)
        self._open.add(transfers)
        if self._why_closed is not None:  # by another thread, which may have missed `transfers`
            transfers.close()
            raise self._closed_error()
        return transfers

    def _take_channel(self) -> Transfers:
        try:
            return self._idle.pop()
        except IndexError:
            return self._new_channel()

    def _leave_channel(self, transfers: Transfers, clean: bool) -> None:
        if clean and len(self._idle) < _MOST_IDLE:
            self._idle.append(transfers)
        else:
            self._open.discard(transfers)
            _close_all({transfers}, self._pid)

    def _home(self) -> Completions:
        completions = self._completions
        if completions is None:
            raise self._closed_error()
        return completions

    def _live(self, transfers: Transfers) -> _native.Bridge:
        if transfers.native is None:
            raise self._closed_error()
        return transfers.native

    def _limit(self, timeout: Optional[float]) -> Optional[float]:
        return (
            self._shell.timeout_seconds
            if timeout is None
            else arguments.seconds(timeout, "timeout")
        )

    def _post_receive(
        self, transfers: Transfers, target: str, limit: Optional[float], lease: bool
    ) -> TransferFuture:
        post = self._live(transfers).post_receive
        return self._posted(
            transfers, lambda: post(target, limit, lease), target, limit, "no message was complete for"
        )

    def _post_send(
        self, transfers: Transfers, expression: str, depth: int, limit: Optional[float]
    ) -> TransferFuture:
        post = self._live(transfers).post_send
        return self._posted(
            transfers,
            lambda: post(expression, depth, limit),
            expression,
            limit,
            "Python did not receive",
        )

    def _posted(
        self,
        transfers: Transfers,
        post: Callable[[], int],
        text: str,
        limit: Optional[float],
        timeout_text: str,
    ) -> TransferFuture:
        completions = self._home()
        completions.start_reading()
        future = TransferFuture(
            completions, transfers, text, limit, self._shell._strip, timeout_text
        )
        try:
            id = post()
        except _native.Timeout:
            raise TransferTimeoutError(
                f"Timeout: the transfer of {shorten(text)} was not taken within {plural(limit)}: too"
                " many commands wait before it"
            ) from None
        except _native.Error as error:
            raise self._error(error) from error
        transfers.posted(future, id)
        completions.add(future, id)
        return future

    def _deliver(self, transfers: Transfers, data: Any, limit: Optional[float]) -> None:
        try:
            self._live(transfers).send(data, limit)
        except _native.Timeout:
            raise TransferTimeoutError(
                f"Timeout: PowerShell did not take the data within {plural(limit)}, so the message"
                " was withdrawn. Post a receive_to_powershell for it, give it more time (timeout=),"
                " or use a larger frame_mb, so that the message can wait there"
            ) from None
        except _native.Error as error:
            if error.name == "ZCB_ERR_REFUSED":
                raise self._refused(transfers, error) from error
            if error.name == "ZCB_ERR_TOO_LARGE":
                raise TransferTooLargeError(
                    "Data exceeds frame size: a lease can't be larger than the frame, which has"
                    f" {self._frame_bytes:,} bytes. Give the ZeroCopyBridge a larger frame_mb, or"
                    " receive without lease=True. Nothing was sent"
                ) from error
            raise self._error(error) from error

    def _take(
        self, transfers: Transfers, left: Optional[float], limit: Optional[float], lease: bool
    ) -> Message:
        """The next message of any kind, within the `left` seconds of a limit."""
        begun = time.monotonic()
        while True:
            native = self._live(transfers)
            try:
                return native.receive_lease(left) if lease else native.receive(left)
            except _native.Timeout:
                raise TransferTimeoutError(
                    "Timeout waiting for PowerShell chunk: nothing was complete within"
                    f" {plural(limit)}. Let PowerShell send with send_from_powershell,"
                    " give it more time (timeout=), send less, or use a larger chunk_mb"
                ) from None
            except _native.Error as error:
                # The message belonged to a transfer that was cancelled or timed out. If the user
                # does not know that yet, an error message follows.
                if error.name != "ZCB_ERR_ABORTED":
                    raise self._error(error) from error
            if left is not None:
                now = time.monotonic()
                left, begun = max(left - (now - begun), 0.0), now

    def _send_into(self, target: str, data: Any, limit: Optional[float], lease: bool) -> None:
        deadline, clean = _Deadline(limit), False
        transfers = self._take_channel()
        try:
            future = self._post_receive(transfers, target, deadline.left(), lease)
            self._deliver(transfers, data, deadline.left())
            result = future.result()
            clean = result.success
        finally:
            self._leave_channel(transfers, clean)
        if not result.success:
            raise TransferError(
                f"{shorten(target)} could not take the data: {result.err.strip()}", result=result
            )

    def _receive_from(
        self, expression: str, depth: int, limit: Optional[float], lease: bool
    ) -> Union[bytes, _native.Lease]:
        deadline, clean = _Deadline(limit), False
        transfers = self._take_channel()
        try:
            future = self._post_send(transfers, expression, depth, deadline.left())
            data = _data(transfers, self._take(transfers, deadline.left(), limit, lease))
            # The data is here. Wait only until PowerShell is done with the value.
            with contextlib.suppress(VirtualShellError):
                clean = future.result(deadline.left()).success
            return data
        finally:
            self._leave_channel(transfers, clean)

    def _refused(self, transfers: Transfers, error: _native.Error) -> VirtualShellError:
        """The exception for data whose posted receive had already failed."""
        if self._why_closed is not None:
            return self._closed_error()
        future = transfers.unseen.pop(error.refused_by, None)
        if future is None:
            return TransferError(f"nothing was sent: {error}")
        return future.failure(str(error), f"{shorten(future.text)} could not take the data: ")

    def _error(self, error: _native.Error) -> VirtualShellError:
        if error.name == "ZCB_ERR_FORKED" or os.getpid() != self._pid:
            return SessionLostError(FORKED)
        completions = self._completions
        if completions is None:
            return self._closed_error()
        if not completions.session.alive()[0]:
            lost = session_lost(completions.session)
            return SessionLostError(f"{lost}, and open a new ZeroCopyBridge")
        if error.final:
            return ChannelError(
                f"the bridge {self._name!r} can't be used any more: {error}. Open a new"
                " ZeroCopyBridge"
            )
        if isinstance(error, _native.OutOfMemory):
            return OutOfMemoryError(str(error))
        return TransferError(str(error))

    def _closed_error(self) -> ChannelError:
        return ChannelError(
            f"the bridge {self._name!r} is closed: {self._why_closed}. Open a new ZeroCopyBridge"
        )


class _Deadline:
    """A timeout that several waits share."""

    def __init__(self, limit: Optional[float]) -> None:
        self._end = None if limit is None else time.monotonic() + limit

    def left(self) -> Optional[float]:
        """Seconds; None for no limit."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)


def _data(transfers: Transfers, message: Message) -> Union[bytes, _native.Lease]:
    """The payload. Raises TransferError for an error message."""
    kind, data, id = message
    if kind != _native.KIND_ERROR:
        return data
    text = bytes(cast(bytes, data)).decode("utf-8", "replace").strip()
    future = transfers.unseen.pop(id, None)
    raise TransferError(text) if future is None else future.failure(text)


def _target(value: object) -> str:
    target = arguments.text(value, "target")
    if target.lstrip()[0] not in "$[" or "\0" in target:
        raise ValueError(f"target must be a place to assign to, such as '$x', not {target!r}")
    return target


def _close_all(channels: Set[Transfers], pid: int) -> None:
    if os.getpid() == pid:  # in a forked child the channels belong to its parent
        for transfers in list(channels):
            transfers.close()
