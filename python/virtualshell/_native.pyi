"""The CPython extension: libzcb's sessions and bridges as Python objects. Internal; use `virtualshell`."""

from typing import Any, Final, List, Mapping, Optional, Sequence, Tuple, Type, final

VERSION: Final[str]
OP_RUN: Final[int]
OP_RECEIVE: Final[int]
OP_SEND: Final[int]
STATUS_DONE: Final[int]
STATUS_STOPPED: Final[int]
STATUS_TIMED_OUT: Final[int]
STATUS_EXITED: Final[int]
STATUS_LOST: Final[int]
KIND_BYTES: Final[int]
KIND_CLIXML: Final[int]
KIND_ERROR: Final[int]
MIN_FRAME_BYTES: Final[int]
MAX_FRAME_BYTES: Final[int]
MIN_WINDOW_BYTES: Final[int]
MAX_WINDOW_BYTES: Final[int]
MAX_LABEL_BYTES: Final[int]

class Error(RuntimeError):
    """A libzcb error. `code` is its number, `name` its name ("ZCB_ERR_PEER_GONE"), and str() gives its
    sentence and detail. Argument errors raise ValueError instead. A signal handler's exception
    (KeyboardInterrupt) passes through."""

    code: int
    name: str
    final: bool  # nothing goes any more on the session or channel that gave it
    refused_by: int  # ZCB_ERR_REFUSED: the id of the posted receive that failed, else 0

class Timeout(Error, TimeoutError):
    """ZCB_ERR_TIMEOUT."""

class OutOfMemory(Error, MemoryError):
    """ZCB_ERR_NO_MEMORY."""

class CliXml(bytes):
    """A serialized PowerShell object, as `receive` returns it. It becomes an object again when it is
    sent back."""

@final
class Result:
    """A finished command, or an empty Result to be filled. Text fields are decoded (UTF-8,
    errors="replace") on first access."""

    def __init__(self) -> None: ...
    id: int
    op: int
    status: int
    success: bool
    refused: bool
    exit_code: int
    execution_ns: int
    @property
    def out(self) -> str: ...
    @property
    def err(self) -> str: ...
    @property
    def warning(self) -> str: ...
    @property
    def verbose(self) -> str: ...
    @property
    def debug(self) -> str: ...
    @property
    def information(self) -> str: ...
    @property
    def progress(self) -> str: ...

@final
class Allocation:
    """Memory of a bridge's frame, as a writable buffer. A send on that bridge that begins at its first
    byte makes no copy, once."""

    def __buffer__(self, flags: int) -> memoryview: ...
    def __len__(self) -> int: ...

@final
class Lease:
    """A received message held in place, or its private copy: a read-only buffer. memoryview(lease).obj is
    the lease, so sending a view keeps the kind."""

    kind: int
    in_place: bool  # False: the frame had no room for the message, and this is a private copy
    def __buffer__(self, flags: int) -> memoryview: ...
    def __len__(self) -> int: ...

@final
class Session:
    """Timeouts are seconds; None waits without limit. Waits release the GIL. A signal handler that raises
    ends a wait. A handler that would wait for the call that it has interrupted gets an Error. All
    methods may be called from any thread."""

    def __init__(
        self,
        *,
        engine: Optional[str] = None,
        module: Optional[str] = None,
        working_directory: Optional[str] = None,
        environment: Optional[Mapping[str, Optional[str]]] = None,
        width: int = 120,
        start_timeout: float = 60.0,
        grace: float = 5.0,
    ) -> None: ...
    @property
    def pid(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def engine(self) -> str: ...
    def alive(self) -> Tuple[bool, str]:
        """Whether commands can be given, and if not, why."""
    def run(self, text: str, timeout: Optional[float] = None, local_scope: bool = False) -> Result:
        """Submit a command and wait for its result, in one call: the hot path."""
    def submit(self, text: str, timeout: Optional[float] = None, local_scope: bool = False) -> int:
        """Queue a command whose result `next` or `wait` gives. Returns its id."""
    def wait(
        self, id: int, timeout: Optional[float] = None, into: Optional[Result] = None
    ) -> Optional[Result]:
        """The result of one command; None if another thread has taken it. Timeout: the command is
        still pending. `into`: an empty Result to fill and return. It is filled even if a signal handler
        raises during the wait."""
    def next(self, into: Optional[Result] = None) -> Optional[Result]:
        """The next result that no `wait` waits for; None after the end of the session. `into` as for
        wait."""
    def stop(self, id: int) -> bool:
        """Stop a command; False if it is not pending."""
    def ping(self, timeout: Optional[float] = None) -> None: ...
    def close(self, grace: float = 2.0) -> None:
        """What the session has of the system is given back with the last call that is under way; after a `submit`,
        with the `next` that says there are no more results."""

@final
class Bridge:
    def __init__(
        self,
        session: Session,
        *,
        frame_bytes: int,
        window_bytes: int,
        label: Optional[str] = None,
    ) -> None: ...
    def allocate(self, size: int, timeout: Optional[float] = None) -> Allocation:
        """Memory of the frame, to be filled and then sent on this bridge without a copy."""
    def post_receive(
        self, target: str, timeout: Optional[float] = None, lease: bool = False
    ) -> int: ...
    def post_send(
        self, expression: str, depth: int = 0, timeout: Optional[float] = None
    ) -> int: ...
    def send(self, data: Any, timeout: Optional[float] = None, kind: int = ...) -> None:
        """Send any C-contiguous buffer, copied directly. Otherwise TypeError or BufferError. kind defaults to
        that of a CliXml, a Lease or a memoryview of one, else to KIND_BYTES."""
    def receive(self, timeout: Optional[float] = None) -> Tuple[int, bytes, int]:
        """(kind, data, id). data is bytes, or CliXml for KIND_CLIXML. For KIND_ERROR it is UTF-8 text."""
    def receive_lease(self, timeout: Optional[float] = None) -> Tuple[int, Lease, int]:
        """The same, in place if the message is in one piece, else as a private copy."""
    def seen(self, id: int) -> None: ...
    def withdraw(self, id: int) -> bool:
        """Withdraw a posted transfer; False if it is too late."""
    def close(self) -> None:
        """What the bridge has of the system is given back with the last call that is under way."""
    @property
    def closed(self) -> bool: ...

def engine_folder() -> str: ...
def find_engine(given: Optional[str] = None) -> Tuple[str, str]:
    """(path, origin) of the engine; Error with the places that were searched."""
