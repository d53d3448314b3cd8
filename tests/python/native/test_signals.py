"""Signals: handlers that raise, that do not, and that call the session."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Callable, Iterator, List

import pytest

from virtualshell import _native
from virtualshell._native import Bridge, Session

from .calls import MIB, SOON, done, into, open_bridge, out_of


class Alarm(Exception):
    pass


def raise_alarm(*_: object) -> None:
    raise Alarm


@pytest.fixture
def alarm() -> Iterator[Callable[..., None]]:
    """Lets a handler run in the main thread, soon."""
    timers: List[threading.Timer] = []
    before = signal.getsignal(signal.SIGUSR1)

    def set_alarm(handler: Callable[..., object] = raise_alarm, delay: float = 0.1) -> None:
        signal.signal(signal.SIGUSR1, handler)
        main = threading.main_thread().ident
        assert main
        timers.append(threading.Timer(delay, signal.pthread_kill, (main, signal.SIGUSR1)))
        timers[-1].start()

    yield set_alarm
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGUSR1, before)


def test_handler_that_raises_ends_every_wait(
    own_session: Session, alarm: Callable[..., None]
) -> None:
    session, bridge = own_session, open_bridge(own_session)
    id = session.submit("Start-Sleep 60")
    for wait in (
        lambda: bridge.receive(SOON),
        lambda: bridge.receive_lease(),
        lambda: bridge.send(bytes(32 * MIB)),
        lambda: session.wait(id),
        lambda: session.next(),
    ):
        alarm()
        begin = time.monotonic()
        with pytest.raises(Alarm):
            wait()
        assert time.monotonic() - begin < 0.1 + 0.3
    session.stop(id)
    session.wait(id, SOON)
    into(session, bridge, b"goes on")
    assert out_of(session, bridge, "$native") == b"goes on"


def test_interrupted_command_is_stopped(session: Session, alarm: Callable[..., None]) -> None:
    alarm()
    begin = time.monotonic()
    with pytest.raises(Alarm):
        session.run("$interrupted = 1; Start-Sleep 60; $interrupted = 2")
    assert session.run("$interrupted").out.strip() == "1"
    assert time.monotonic() - begin < 10


def until_alarm(work: Callable[[], None]) -> None:
    with pytest.raises(Alarm):
        while True:
            work()


@pytest.mark.parametrize("lease", [False, True])
def test_interrupted_anywhere_in_receive(
    session: Session, bridge: Bridge, alarm: Callable[..., None], lease: bool
) -> None:
    receive = bridge.receive_lease if lease else bridge.receive
    session.run("$block = [byte[]]::new(24MB)")

    def work() -> None:
        bridge.post_send("$block")
        assert len(receive(SOON)[1]) == 24 * MIB

    for delay in (0.02, 0.05, 0.08, 0.11):
        alarm(delay=delay)
        until_alarm(work)
    last = bridge.post_send("[byte[]](1..5)")
    while True:
        kind, data, id = receive(SOON)
        if id == last:
            break
        assert (kind, len(data)) == (_native.KIND_BYTES, 24 * MIB)
    assert bytes(data) == bytes(range(1, 6))


def test_interrupted_anywhere_in_send(
    session: Session, bridge: Bridge, alarm: Callable[..., None]
) -> None:
    block = os.urandom(24 * MIB)
    posted = 0

    def work() -> None:
        nonlocal posted
        posted = bridge.post_receive("$native")
        bridge.send(block, SOON)
        session.wait(posted, SOON)

    for delay in (0.05, 0.1, 0.15, 0.2):
        alarm(delay=delay)
        until_alarm(work)
        try:
            session.wait(posted, 1)
        except TimeoutError:  # its message was withdrawn
            bridge.send(block, SOON)
            done(session, posted)
    assert out_of(session, bridge, "$native") == block


def test_handler_that_does_not_raise_lets_the_wait_go_on(
    session: Session, bridge: Bridge, alarm: Callable[..., None]
) -> None:
    called: List[object] = []
    alarm(lambda *_: called.append(session.run("'in a handler'").out.strip()))
    with pytest.raises(TimeoutError):
        bridge.receive(0.4)
    assert called == ["in a handler"]


def test_handler_cannot_wait_for_its_own_thread(
    session: Session, bridge: Bridge, alarm: Callable[..., None]
) -> None:
    alarm(lambda *_: bridge.receive())
    with pytest.raises(RuntimeError, match="signal handler"):
        bridge.receive(SOON)
    alarm(lambda *_: session.run("1"))
    with pytest.raises(RuntimeError, match="signal handler"):
        session.run("Start-Sleep 60")


def test_handler_closes(own_session: Session, alarm: Callable[..., None]) -> None:
    alarm(lambda *_: own_session.close(), delay=0.3)
    result = own_session.run("Start-Sleep 60")
    assert result.status == _native.STATUS_LOST


def test_signals_are_for_the_main_thread(bridge: Bridge, alarm: Callable[..., None]) -> None:
    caught: List[BaseException] = []
    ended = threading.Event()

    def wait() -> None:
        try:
            bridge.receive(0.5)
        except BaseException as error:
            caught.append(error)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    alarm()
    with pytest.raises(Alarm):
        ended.wait(SOON)
    assert ended.wait(SOON)
    thread.join()
    assert [type(error) for error in caught] == [_native.Timeout]
