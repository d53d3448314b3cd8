"""Waits that time out, and what goes on after them."""

from __future__ import annotations

import time

import pytest

from virtualshell import _native
from virtualshell._native import Bridge, Session

from .calls import MIB, done, into, out_of


def test_receive_times_out(bridge: Bridge) -> None:
    for receive in (bridge.receive, bridge.receive_lease):
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^Timeout waiting for PowerShell chunk.*0\.1 s.*"):
            receive(0.1)
        assert 0.1 <= time.monotonic() - begin < 2
        with pytest.raises(TimeoutError):
            receive(0)


def test_send_times_out_and_the_bridge_goes_on(session: Session, bridge: Bridge) -> None:
    data = bytes(32 * MIB)
    with pytest.raises(TimeoutError, match="Timeout sending 33554432 bytes.*withdrawn"):
        bridge.send(data, 0.1)
    into(session, bridge, b"after")
    assert out_of(session, bridge, "$native") == b"after"


def test_wait_times_out_and_the_command_goes_on(session: Session) -> None:
    id = session.submit("Start-Sleep -Milliseconds 400; 'slept'")
    with pytest.raises(TimeoutError, match=f"command {id}"):
        session.wait(id, 0.01)
    assert done(session, id).out.strip() == "slept"


def test_run_times_out_with_its_output(session: Session) -> None:
    result = session.run("'before'; Start-Sleep 30", 0.3)
    assert result.status == _native.STATUS_TIMED_OUT and "before" in result.out
    assert session.run("'next'").out.strip() == "next"
