"""A live PowerShell session."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
    overload,
)

from . import _native, arguments, engine, literals
from .errors import (
    ChannelError,
    ExecutionError,
    ExecutionTimeoutError,
    OutOfMemoryError,
    SessionLostError,
    StartError,
    StartTimeoutError,
    VirtualShellError,
)
from .failures import (
    FORKED,
    SESSION_KEPT,
    SESSION_KILLED,
    command_timed_out,
    plural,
    session_lost,
    shorten,
    translated,
)
from .futures import CommandFuture, Completions
from .pickling import NotPickled
from .results import CommandResult

if TYPE_CHECKING:
    from .zero_copy_bridge_shell import ZeroCopyBridge

StrPath = Union[str, "os.PathLike[str]"]
Self = TypeVar("Self", bound="Shell")
Value = TypeVar("Value")

_CLOSE_GRACE_S = 2.0
_FORCED_GRACE_S = 0.0
_JOIN_S = 1.0

_DONE = _native.STATUS_DONE
_TIMED_OUT = _native.STATUS_TIMED_OUT
_LOST = _native.STATUS_LOST


class Shell(NotPickled):
    """A live PowerShell session: variables, functions, modules and location stay from command to
    command.

    >>> with Shell(timeout_seconds=60) as shell:
    ...     print(shell.run("$x = 6; $x * 7").out)
    42

    The session begins with `start()` or `with` and ends with `stop()`, at the end of `with`, when
    the Shell is dropped, or with Python. All methods may be called from any thread; commands run
    one at a time, in the order in which they were given. Times are in seconds; `math.inf` stands
    for no limit.

    powershell_path: path of `pwsh`, or on Windows of `powershell.exe`. A folder that has it, or a
        name on PATH, will do as well. By default the first of these that exists: the `pwsh` on
        PATH; on Windows the one of an installer; the one of `python -m virtualshell
        install-engine`; Windows PowerShell; NuGet's.
    timeout_seconds: limit of every command and transfer that has no timeout of its own; None for no
        limit.
    working_directory: the folder in which the session begins; by default Python's own.
    environment: variables that the session gets in addition to Python's own. The value None removes
        a variable.
    initial_commands: commands to run at every start. If one of them fails, the start fails.
    auto_restart_on_timeout: start a new session at once if PowerShell had to be killed because a
        command did not stop after its timeout.
    auto_restart: if the session has ended (by `exit`, or because it was killed), start a new one at
        the next command instead of raising SessionLostError.
    strip_results: strip white space from both ends of every `out` and `err`.
    width: columns of formatted output.
    start_timeout: limit of `start()`.
    stop_grace: how long a command may take to stop before PowerShell is killed.

    TypeError and ValueError name the argument that is wrong.
    """

    _instead = "start one in the other process and give it the commands"

    def __init__(
        self,
        powershell_path: Optional[StrPath] = None,
        *,
        timeout_seconds: Optional[float] = 30.0,
        working_directory: Optional[StrPath] = None,
        environment: Optional[Mapping[str, Optional[str]]] = None,
        initial_commands: Union[None, str, Sequence[str]] = None,
        auto_restart_on_timeout: bool = True,
        auto_restart: bool = False,
        strip_results: bool = False,
        width: int = 120,
        start_timeout: float = 60.0,
        stop_grace: float = 5.0,
    ) -> None:
        self._path = (
            None if powershell_path is None else arguments.path(powershell_path, "powershell_path")
        )
        self._timeout = (
            None
            if timeout_seconds is None
            else arguments.seconds(timeout_seconds, "timeout_seconds")
        )
        self._folder = (
            None
            if working_directory is None
            else arguments.path(working_directory, "working_directory")
        )
        self._environment = arguments.environment(environment, "environment")
        if initial_commands is None or isinstance(initial_commands, str):
            initial_commands = [initial_commands] if initial_commands else []
        self._initial_commands = arguments.commands(initial_commands, "initial_commands")
        self._auto_restart_on_timeout = bool(auto_restart_on_timeout)
        self._auto_restart = bool(auto_restart)
        self._strip = bool(strip_results)
        self._width = arguments.integer(width, "width", 20, 65535)
        self._start_timeout = arguments.positive_seconds(start_timeout, "start_timeout")
        self._stop_grace = arguments.positive_seconds(stop_grace, "stop_grace")
        self._session: Optional[_native.Session] = None
        self._completions: Optional[Completions] = None
        self._inherited: Optional[object] = None
        self._no_session = (
            "the shell is not running: call start() first, or use it in a `with` block"
        )
        self._bridges: weakref.WeakValueDictionary[
            str, ZeroCopyBridge
        ] = weakref.WeakValueDictionary()
        self._lifecycle = threading.RLock()
        self._finalizer: Optional[weakref.finalize] = None

    # Life

    def start(self: Self) -> Self:
        """Starts the session and returns the Shell. Does nothing if a session is running.

        PowerShellNotFoundError; StartError, with what PowerShell wrote; StartTimeoutError.
        ExecutionError, ExecutionTimeoutError or SessionLostError: an initial command failed.
        FileNotFoundError, NotADirectoryError: the working directory is not a folder.
        """
        with self._lifecycle:
            if not self.is_running:
                self._end("a new session of its shell has begun")
                self._begin()
        return self

    def stop(self, force: bool = False) -> None:
        """Ends the session and all of its bridges. Does nothing if no session is running.

        PowerShell gets two seconds to end by itself, or none with `force`. Futures that are not
        done raise SessionLostError, and futures of bridges raise ChannelError. Views of received
        data stay valid. `start()` begins a new session.
        """
        with self._lifecycle:
            completions = self._completions
            self._end("its shell was stopped", _FORCED_GRACE_S if force else _CLOSE_GRACE_S)
            if completions is not None:
                self._no_session = "the shell was stopped: call start() for a new session"
        if completions is not None:
            completions.join(_JOIN_S)

    def __enter__(self: Self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether there is a session that takes commands."""
        session = self._session
        return session is not None and session.alive()[0]

    @property
    def pid(self) -> Optional[int]:
        """The process id of PowerShell; None if no session is running."""
        session = self._session
        return session.pid if session is not None and session.alive()[0] else None

    @property
    def version(self) -> Optional[str]:
        """PowerShell's version, e.g. "7.6.9"; None before the first start and after `stop()`."""
        return None if self._session is None else self._session.version

    @property
    def powershell_path(self) -> Optional[str]:
        """The path of the running PowerShell; without a session, the path that was given."""
        return self._path if self._session is None else self._session.engine

    @property
    def timeout_seconds(self) -> Optional[float]:
        """The limit of commands and transfers without a timeout of their own; None for no limit."""
        return self._timeout

    # Commands

    @overload
    def run(
        self,
        command: str,
        timeout: Optional[float] = None,
        local_scope: bool = False,
        raise_on_error: bool = False,
    ) -> CommandResult:
        ...

    @overload
    def run(
        self,
        command: Union[List[str], Tuple[str, ...]],
        timeout: Optional[float] = None,
        local_scope: bool = False,
        raise_on_error: bool = False,
    ) -> List[CommandResult]:
        ...

    def run(
        self,
        command: Union[str, List[str], Tuple[str, ...]],
        timeout: Optional[float] = None,
        local_scope: bool = False,
        raise_on_error: bool = False,
    ) -> Union[CommandResult, List[CommandResult]]:
        """Runs a command as if it were typed at the prompt, and waits for its end.

        A command may have any number of lines. For a list, runs its commands one after the other
        and returns a list of results.

        timeout: seconds for each command, from now; None for the Shell's `timeout_seconds`.
        local_scope: run the command in a child scope. PowerShell runs loops with much arithmetic
            about ten times faster there. Variables that the command sets are gone afterwards.
        raise_on_error: raise ExecutionError if the command fails. Otherwise a result is returned
            even for `throw`, for text that is not PowerShell, and for `exit`, which ends the
            session.

        ExecutionTimeoutError: the command was stopped. The session keeps its variables, unless
        PowerShell did not stop and had to be killed. SessionLostError: there is no session, or it
        ended during the command.
        """
        if not isinstance(command, str):
            several = arguments.commands(command, "command")
            return [self.run(one, timeout, local_scope, raise_on_error) for one in several]
        limit = self._timeout if timeout is None else arguments.seconds(timeout, "timeout")
        session = self._session or self._live()
        if self._auto_restart and not session.alive()[0]:
            session = self._restarted(session)
        try:
            native = session.run(command, limit, local_scope)
        except _native.Timeout:
            raise _not_taken(command, limit) from None
        except _native.Error as error:
            session = self._replaced(session, error)
            native = _again(session, session.run, command, limit, local_scope)
        result = CommandResult(native, self._strip)
        if native.status != _DONE:
            self._check_end(session, native, command, limit, result)
        if raise_on_error and not native.success:
            raise _failed(command, result)
        return result

    def run_async(
        self,
        command: str,
        callback: Optional[Callable[[CommandResult], object]] = None,
        timeout: Optional[float] = None,
        local_scope: bool = False,
    ) -> CommandFuture:
        """Queues a command and returns its `concurrent.futures.Future` at once.

        callback: called with the CommandResult when the command has ended in any way but by
            `cancel()`. It runs in the thread that notices the end, so it should be short.

        The future's `result()` returns and raises what `run` would. `cancel()` stops the command.
        ExecutionTimeoutError: the queue was full for that long. SessionLostError: there is no
        session.
        """
        if not isinstance(command, str):
            raise TypeError(f"command must be a str, not {command!r}")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        limit = self._timeout if timeout is None else arguments.seconds(timeout, "timeout")
        session = self._session or self._live()
        if self._auto_restart and not session.alive()[0]:
            session = self._restarted(session)
        completions = self._completions_of(session)
        completions.start_reading()
        try:
            id = session.submit(command, limit, local_scope)
        except _native.Timeout:
            raise _not_taken(command, limit) from None
        except _native.Error as error:
            session = self._replaced(session, error)
            completions = self._completions_of(session)
            completions.start_reading()
            id = _again(session, session.submit, command, limit, local_scope)
        future = CommandFuture(completions, command, limit, self._strip)
        if callback is not None:
            future.add_done_callback(_with_outcome(callback))
        completions.add(future, id)
        return future

    def script(
        self,
        path: StrPath,
        args: arguments.Args = None,
        timeout: Optional[float] = None,
        dot_source: bool = False,
        raise_on_error: bool = False,
    ) -> CommandResult:
        """Runs a script file.

        args: values for the script's parameters: a list by position, or a dict by name (True and
            False for switches). A value may be None, bool, int, float, Decimal, str, bytes, a path,
            or a list or dict of these. A str stays a str, whatever it contains.
        dot_source: run the script in the session's own scope, so that what it defines stays.

        A relative path starts at Python's working directory. FileNotFoundError: there is no such
        file. TypeError: PowerShell has no literal for a value. Otherwise as `run`.
        """
        file = os.path.abspath(arguments.path(path, "path"))
        if not os.path.isfile(file):
            raise FileNotFoundError(f"there is no script file {file!r}")
        return self.run(literals.call(file, args, dot_source), timeout, False, raise_on_error)

    def ping(self, timeout: Optional[float] = None) -> float:
        """Checks that PowerShell answers. It answers even while a command runs.

        Returns the seconds that the answer took. ExecutionTimeoutError: there was none in time.
        SessionLostError: there is no session.
        """
        limit = self._timeout if timeout is None else arguments.seconds(timeout, "timeout")
        session = self._live()
        begin = time.perf_counter()
        try:
            session.ping(limit)
        except _native.Timeout:
            raise ExecutionTimeoutError(
                f"PowerShell did not answer within {plural(limit)}"
            ) from None
        except _native.Error as error:
            raise translated(error, session) from error
        return time.perf_counter() - begin

    def __repr__(self) -> str:
        pid = self.pid
        return f"<Shell {'not running' if pid is None else f'PowerShell {self.version} pid={pid}'}>"

    # Inside

    def _attach(self, bridge: ZeroCopyBridge) -> Completions:
        """Reserves a bridge's name, and returns what its futures need."""
        with self._lifecycle:
            session = self._live()
            if not session.alive()[0]:
                raise session_lost(session)
            if not self._is_free(bridge.channel_name):
                raise ChannelError(
                    f"Failed to create channel: {bridge.channel_name!r} is the name of an open"
                    " bridge of this session. Close that bridge, choose another channel_name, or"
                    " leave channel_name out"
                )
            self._bridges[bridge.channel_name] = bridge
            return self._completions_of(session)

    def _is_free(self, channel_name: str) -> bool:
        return channel_name not in self._bridges

    def _detach(self, bridge: ZeroCopyBridge) -> None:
        """Frees its name."""
        if self._bridges.get(bridge.channel_name) is bridge:
            self._bridges.pop(bridge.channel_name, None)

    def _begin(self) -> None:
        session = self._start_native()
        self._session, self._completions = session, Completions(session)
        self._finalizer = weakref.finalize(self, _drop, session, os.getpid())
        self._finalizer.atexit = False  # _end_all does that
        _live_shells.add(self)
        try:
            self._run_initial_commands(session)
        except BaseException:
            self._end("its shell did not start")
            raise

    def _start_native(self) -> _native.Session:
        module = engine.module_folder()
        if not (module / engine.MODULE_FILE).is_file():
            raise StartError(
                f"{module / engine.MODULE_FILE} is missing, so this installation is not complete:"
                " install virtualshell again"
            )
        _check_folder(self._folder)
        try:
            return _native.Session(
                engine=self._path,
                module=str(module),
                working_directory=self._folder,
                environment=self._environment,
                width=self._width,
                start_timeout=self._start_timeout,
                grace=self._stop_grace,
            )
        except _native.Timeout as error:
            raise StartTimeoutError(f"the PowerShell session did not start: {error}") from None
        except _native.OutOfMemory as error:
            raise OutOfMemoryError(f"the PowerShell session did not start: {error}") from error
        except _native.Error as error:
            if error.name == "ZCB_ERR_NOT_FOUND":
                raise engine.not_found(error) from None
            raise StartError(f"the PowerShell session did not start: {error}") from error

    def _run_initial_commands(self, session: _native.Session) -> None:
        for command in self._initial_commands:
            try:
                native = session.run(command, self._timeout)
            except _native.Error as error:
                raise translated(error, session) from error
            result = CommandResult(native, self._strip)
            if native.status == _TIMED_OUT:
                raise command_timed_out(
                    f"initial command {command}", self._timeout, result, "the shell did not start"
                )
            if native.status != _DONE or not native.success:
                raise _failed(command, result, "initial command ")

    def _end(self, why: str, grace: float = _CLOSE_GRACE_S) -> None:
        """Ends the session and its bridges, dead or alive."""
        for bridge in list(self._bridges.values()):
            bridge._close(why)
        session = self._session
        if self._finalizer is not None:
            self._finalizer.detach()
        self._session = self._completions = self._finalizer = None
        if session is not None:
            session.close(grace)

    def _live(self) -> _native.Session:
        """The session, dead or alive; SessionLostError if there is none."""
        session = self._session
        if session is None:
            with self._lifecycle:  # another thread may be about to put a new one in its place
                session = self._session
        if session is None:
            raise SessionLostError(self._no_session)
        return session

    def _completions_of(self, session: _native.Session) -> Completions:
        completions = self._completions
        if completions is None or completions.session is not session:
            raise session_lost(session)
        return completions

    def _replaced(self, session: _native.Session, error: _native.Error) -> _native.Session:
        """A new session for one that could not take a command because it had ended. Raises if no
        restart is wanted.
        """
        completions = self._completions
        timed_out = (
            completions is not None
            and completions.session is session
            and completions.killed_by_timeout
        )
        wanted = self._auto_restart or (timed_out and self._auto_restart_on_timeout)
        if not error.final or not wanted or self._session is None:
            raise translated(error, session) from error
        return self._restarted(session)

    def _restarted(self, session: _native.Session) -> _native.Session:
        with self._lifecycle:
            if self._session is session:
                self._end("a new session of its shell has begun")
                self._begin()
            return self._live()

    def _check_end(
        self,
        session: _native.Session,
        native: _native.Result,
        command: str,
        limit: Optional[float],
        result: CommandResult,
    ) -> None:
        """Raises if the command was ended by its timeout or by the end of its session."""
        if native.status == _LOST:
            raise session_lost(session, result)
        if native.status != _TIMED_OUT:
            return
        if session.alive()[0]:
            raise command_timed_out(command, limit, result, SESSION_KEPT)
        if not self._auto_restart_on_timeout:
            raise command_timed_out(
                command, limit, result, SESSION_KILLED + "; call start() for a new one"
            )
        try:
            self._restarted(session)
        except (VirtualShellError, OSError) as error:
            outcome = f"{SESSION_KILLED}; starting a new one failed: {error}"
            raise command_timed_out(command, limit, result, outcome) from error
        raise command_timed_out(
            command, limit, result, SESSION_KILLED + "; a new session has been started"
        )

    def _after_fork(self) -> None:
        """In a forked child, whose session is the parent's. The session's objects are kept and not
        touched: their locks may be held by threads that do not exist here.
        """
        if self._finalizer is not None:
            self._finalizer.detach()
        self._inherited = (self._session, self._completions, self._inherited)
        self._session = self._completions = self._finalizer = None
        self._bridges = weakref.WeakValueDictionary()
        self._lifecycle = threading.RLock()
        self._no_session = FORKED


def _again(
    session: _native.Session, call: Callable[[str, Optional[float], bool], Value], *args: Any
) -> Value:
    """Tries a command a second time, with a new session."""
    try:
        return call(*args)
    except _native.Error as error:
        raise translated(error, session) from error


def _not_taken(command: str, limit: Optional[float]) -> ExecutionTimeoutError:
    return ExecutionTimeoutError(
        f"{shorten(command)} was not taken within {plural(limit)}: too many commands wait before it"
    )


def _failed(command: str, result: CommandResult, what: str = "") -> ExecutionError:
    reason = result.err.strip() or f"exit code {result.exit_code}, {result.status}"
    return ExecutionError(f"{what}{shorten(command)} failed: {reason}", result=result)


def _check_folder(folder: Optional[str]) -> None:
    if folder is not None and not os.path.isdir(folder):
        kind = NotADirectoryError if os.path.exists(folder) else FileNotFoundError
        raise kind(f"working_directory {folder!r} is not a folder")


def _with_outcome(callback: Callable[[CommandResult], object]) -> Callable[..., None]:
    def call(future: CommandFuture) -> None:
        if future.outcome is not None:
            callback(future.outcome)

    return call


# Sessions that were not stopped

_live_shells: weakref.WeakSet[Shell] = weakref.WeakSet()


def _drop(session: _native.Session, pid: int) -> None:
    if os.getpid() == pid:
        session.close(_CLOSE_GRACE_S)


def _end_all() -> None:
    """Runs at the end of Python. Takes no lock: a thread that never runs again may hold it."""
    ended = []
    for shell in list(_live_shells):
        if shell._session is not None:
            shell._session.close(_CLOSE_GRACE_S)
            ended.append(shell._completions)
    for completions in ended:
        if completions is not None:
            completions.join(_JOIN_S)


def _after_fork_in_child() -> None:
    for shell in list(_live_shells):
        shell._after_fork()
    _live_shells.clear()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
