"""What the tests of the extension share: sessions, bridges, and transfers that succeed."""

from __future__ import annotations

from typing import Any

from virtualshell import _native
from virtualshell._native import Bridge, CliXml, Lease, Result, Session
from virtualshell.engine import module_folder

MIB = 1 << 20
SOON = 20.0


def start(**options: Any) -> Session:
    return Session(module=str(module_folder()), **options)


def open_bridge(session: Session) -> Bridge:
    return Bridge(session, frame_bytes=8 * MIB, window_bytes=MIB)


def done(session: Session, id: int) -> Result:
    result = session.wait(id, SOON)
    assert result is not None and result.success, result and result.err
    return result


def into(session: Session, bridge: Bridge, data: Any, target: str = "$native", **how: Any) -> None:
    id = bridge.post_receive(target, SOON)
    bridge.send(data, SOON, **how)
    done(session, id)


def out_of(session: Session, bridge: Bridge, expression: str) -> bytes:
    id = bridge.post_send(expression, timeout=SOON)
    kind, data, of = bridge.receive(SOON)
    assert (kind, of) == (_native.KIND_CLIXML if type(data) is CliXml else _native.KIND_BYTES, id)
    done(session, id)
    return data


def leased_from(session: Session, bridge: Bridge, expression: str) -> Lease:
    id = bridge.post_send(expression, timeout=SOON)
    kind, lease, of = bridge.receive_lease(SOON)
    assert (kind, of) == (lease.kind, id)
    done(session, id)
    return lease
