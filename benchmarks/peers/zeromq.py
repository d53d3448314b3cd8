"""ZeroMQ over TCP on the loopback: pyzmq here, NetMQ there (which has no Unix sockets)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import zmq

from .script import ScriptPeer

PROJECT = Path(__file__).with_suffix(".csproj")
ASSEMBLIES = Path("build", "netmq").absolute()


class ZeroMQ(ScriptPeer):
    name = "ZeroMQ"
    script = "zeromq.ps1"

    def __init__(self) -> None:
        self._socket = zmq.Context.instance().socket(zmq.REQ)
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        super().__init__(ASSEMBLIES, f"tcp://127.0.0.1:{port}")

    def into(self, payload: bytearray) -> None:
        self._socket.send_multipart([b"into", payload], copy=False)
        self._expect(self._socket.recv_string(), "ok")

    def out(self, size: int) -> bytes:
        self._socket.send_string("out")
        return bytes(self._socket.recv())

    def close(self) -> None:
        self._socket.send_string("quit")
        super().close()
        self._socket.close(0)
        zmq.Context.instance().term()

    def _tell(self, line: str) -> None:
        pass  # nothing reads its stdin

    def _ask(self, line: str) -> str:
        self._socket.send_string(line)
        return self._socket.recv_string()


def bring_netmq() -> None:
    """Restores NetMQ from its package, once."""
    if not (ASSEMBLIES / "NetMQ.dll").exists():
        # No build server may outlive this.
        options = ["--verbosity", "quiet", "-nodeReuse:false", "-p:UseSharedCompilation=false"]
        command = ["dotnet", "publish", str(PROJECT), "--output", str(ASSEMBLIES), *options]
        subprocess.run(command, check=True)
