"""The end: closing, a killed engine, objects that are dropped, exit."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from typing import Any, Callable, List

import pytest
from conftest import descriptors

from virtualshell import _native
from virtualshell._native import Error, Session

from .calls import MIB, SOON, into, leased_from, open_bridge, start


def test_close_ends_waits_of_other_threads(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    ended: List[object] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            ended.append(call())
        except Error as error:
            ended.append(error.name)

    calls: List[Callable[[], object]] = [
        bridge.receive,
        lambda: bridge.send(bytes(32 * MIB)),
        own_session.next,
        lambda: own_session.run("Start-Sleep 60").status,
    ]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    own_session.close()
    for thread in threads:
        thread.join(SOON)
    assert sorted(map(str, ended)) == sorted(
        ["ZCB_ERR_CLOSED", "ZCB_ERR_CLOSED", "None", str(_native.STATUS_LOST)]
    )


def test_after_close(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    assert bridge.closed is False
    bridge.close()
    bridge.close()
    assert bridge.closed is True
    for call in (lambda: bridge.send(b"x"), bridge.receive, lambda: bridge.post_send("1")):
        with pytest.raises(Error, match="closed"):
            call()
    own_session.close(0)
    own_session.close()
    alive, why = own_session.alive()
    assert not alive and "closed" in why
    for command in (lambda: own_session.run("1"), lambda: own_session.submit("1")):
        with pytest.raises(Error, match="closed"):
            command()
    assert own_session.next() is None
    with pytest.raises(Error, match="^Failed to create channel"):
        open_bridge(own_session)


def test_killed_engine(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    timer = threading.Timer(0.2, os.kill, (own_session.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(Error) as caught:
        bridge.receive(SOON)
    assert caught.value.name == "ZCB_ERR_PEER_GONE" and "signal 9" in str(caught.value)
    with pytest.raises(Error, match="signal 9"):
        own_session.run("1")
    timer.join()


def test_dropped_bridge_and_session_go() -> None:
    session = start()
    bridge = open_bridge(session)
    bridge.send(b"never received")
    pid, references = session.pid, (weakref.ref(bridge), weakref.ref(session))
    del session
    assert references[1]() is not None, "a bridge keeps its session"
    begin = time.monotonic()
    del bridge
    assert references[0]() is None and references[1]() is None
    assert time.monotonic() - begin < 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_descriptors_are_given_back(session: Session) -> None:
    def transfer() -> None:
        bridge = open_bridge(session)
        into(session, bridge, b"data")
        assert leased_from(session, bridge, "$native").in_place

    transfer()
    before = descriptors()
    for _ in range(3):
        transfer()
        start().close()
    assert descriptors() == before


def test_exit_without_close(run_python: Callable[..., Any]) -> None:
    """At exit nothing hangs or crashes, whatever other threads wait for."""
    ran: "subprocess.CompletedProcess[str]" = run_python(
        """
import threading
from virtualshell import _native
from virtualshell.engine import module_folder

session = _native.Session(module=str(module_folder()))
bridge = _native.Bridge(session, frame_bytes=1 << 20, window_bytes=1 << 20)
kept = bridge.post_send("[byte[]](1..9)") and bridge.receive_lease(20)[1]
_native.kept = (session, bridge, kept, session.run("1"))
for wait in (session.next, bridge.receive):
    threading.Thread(target=wait, daemon=True).start()
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
