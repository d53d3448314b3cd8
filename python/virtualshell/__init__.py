"""A live PowerShell session for Python, and data that crosses through shared memory.

    from virtualshell import Shell
    from virtualshell.zero_copy_bridge_shell import ZeroCopyBridge

`Shell` is a live PowerShell session. `ZeroCopyBridge` is a channel of such a session, for data of
any size.
"""

from ._native import VERSION as __version__
from ._native import CliXml
from .errors import (
    ChannelError,
    ExecutionError,
    ExecutionTimeoutError,
    OutOfMemoryError,
    PowerShellNotFoundError,
    SessionLostError,
    StartError,
    StartTimeoutError,
    TransferError,
    TransferTimeoutError,
    TransferTooLargeError,
    VirtualShellError,
    WaitTimeoutError,
)
from .futures import CommandFuture, TransferFuture
from .results import CommandResult
from .shell import Shell
from .zero_copy_bridge_shell import ZeroCopyBridge

__all__ = [
    "ChannelError",
    "CliXml",
    "CommandFuture",
    "CommandResult",
    "ExecutionError",
    "ExecutionTimeoutError",
    "OutOfMemoryError",
    "PowerShellNotFoundError",
    "SessionLostError",
    "Shell",
    "StartError",
    "StartTimeoutError",
    "TransferError",
    "TransferFuture",
    "TransferTimeoutError",
    "TransferTooLargeError",
    "VirtualShellError",
    "WaitTimeoutError",
    "ZeroCopyBridge",
    "__version__",
]
