"""Posted transfers: failed, refused, seen, withdrawn."""

from __future__ import annotations

import pytest

from virtualshell import _native
from virtualshell._native import Bridge, Error, Session

from .calls import SOON, into


def test_failed_send_is_a_message(session: Session, bridge: Bridge) -> None:
    id = bridge.post_send("$noSuchVariable_")
    kind, text, of = bridge.receive(SOON)
    assert (kind, of) == (_native.KIND_ERROR, id) and "noSuchVariable_" in text.decode()
    result = session.wait(id, SOON)
    assert result is not None and not result.success and result.op == _native.OP_SEND


def test_refused_receive(session: Session, bridge: Bridge) -> None:
    id = bridge.post_receive("$x y")
    result = session.wait(id, SOON)
    assert result is not None and not result.success and result.refused
    with pytest.raises(Error) as caught:
        bridge.send(b"x", SOON)
    assert (caught.value.name, caught.value.refused_by) == ("ZCB_ERR_REFUSED", id)
    into(session, bridge, b"next")


def test_failure_that_was_seen(session: Session, bridge: Bridge) -> None:
    id = bridge.post_receive("$x y")
    session.wait(id, SOON)
    bridge.seen(id)
    into(session, bridge, b"next")


def test_withdraw(session: Session, bridge: Bridge) -> None:
    id = bridge.post_receive("$native")
    assert bridge.withdraw(id) is True
    result = session.wait(id, SOON)
    assert result is not None and result.status == _native.STATUS_STOPPED
    assert bridge.withdraw(id) is False
    into(session, bridge, b"next")
