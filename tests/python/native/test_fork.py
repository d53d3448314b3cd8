"""A forked child: the objects are its parent's."""

from __future__ import annotations

import gc
import os

from virtualshell._native import Error, Session

from .calls import into, leased_from, open_bridge


def test_objects_are_the_parents(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    lease = leased_from(own_session, bridge, "[byte[]](1..100)")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            refused = 0
            for call in (lambda: own_session.run("1"), bridge.receive, lambda: bridge.send(b"x")):
                try:
                    call()
                except Error as error:
                    refused += error.name == "ZCB_ERR_FORKED"
            own_session.close()
            bridge.close()
            kept = bytes(memoryview(lease))
            del lease, bridge, own_session
            gc.collect()
            status = 0 if refused == 3 and kept == bytes(range(1, 101)) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own_session.run("'still'").out.strip() == "still"
    into(own_session, bridge, b"still")
    assert bytes(memoryview(lease)) == bytes(range(1, 101))
