"""Leases: messages that are held in place."""

from __future__ import annotations

import ctypes
import gc

import pytest

from virtualshell._native import Bridge, Session

from .calls import MIB, leased_from, open_bridge, out_of, start


def test_lease_is_a_read_only_buffer(session: Session, bridge: Bridge) -> None:
    lease = leased_from(session, bridge, "[byte[]](1..200)")
    view = memoryview(lease)
    assert view.obj is lease and view.readonly and view.nbytes == len(lease) == 200
    assert bytes(view) == bytes(range(1, 201))
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((BufferError, TypeError)):
        ctypes.c_char.from_buffer(lease)


def test_lease_outlives_its_bridge_and_session() -> None:
    session = start()
    bridge = open_bridge(session)
    views = [
        memoryview(leased_from(session, bridge, f"[byte[]]::new({size})"))
        for size in (0, 1, MIB, 24 * MIB)
    ]
    bridge.close()
    session.close()
    del bridge, session
    gc.collect()
    assert [len(view) for view in views] == [0, 1, MIB, 24 * MIB]
    assert not any(any(view) for view in views)


def test_lease_is_kept_while_others_pass(session: Session, bridge: Bridge) -> None:
    session.run("$kept = [byte[]](1..250); $other = [byte[]]::new(100000)")
    kept = leased_from(session, bridge, "$kept")
    for _ in range(200):
        assert len(out_of(session, bridge, "$other")) == 100000
    assert bytes(memoryview(kept)) == bytes(range(1, 251))
