"""What people use today to move bytes between Python and PowerShell, each as they would write it."""

from __future__ import annotations

from typing import List, Type, Union

from .base64_text import Base64Text
from .file import DiskFile, TmpfsFile
from .json_text import JsonText
from .live_engine import LiveEngine
from .pipe import Pipe
from .script import ScriptPeer
from .shared_memory import SharedMemoryByHand
from .unix_socket import UnixSocket
from .zeromq import ZeroMQ, bring_netmq

Peer = Union[ScriptPeer, LiveEngine]

PEERS: List[Type[Peer]] = [
    LiveEngine,
    Base64Text,
    JsonText,
    DiskFile,
    TmpfsFile,
    Pipe,
    UnixSocket,
    ZeroMQ,
    SharedMemoryByHand,
]


def start_peers() -> List[Peer]:
    """All of them, ready; their engines start at the same time."""
    bring_netmq()
    peers = [peer() for peer in PEERS]
    for peer in peers:
        peer.await_ready()
    return peers
