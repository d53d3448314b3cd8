"""What is sent: buffers of every kind and size."""

from __future__ import annotations

import array
import ctypes
import mmap
import os
import threading
import time
from typing import Any, Callable, List

import pytest

from virtualshell._native import Bridge, Session

from .calls import MIB, SOON, done, into, leased_from, out_of

BUFFERS: List[Callable[[], Any]] = [
    lambda: b"bytes",
    lambda: bytearray(b"bytearray"),
    lambda: memoryview(b"memoryview"),
    lambda: memoryview(b"abcdef")[2:4],
    lambda: array.array("d", [1.5, 2.5]),
    lambda: memoryview(array.array("h", [1, 2, 3])),
    lambda: (ctypes.c_int * 3)(1, 2, 3),
    lambda: mmap.mmap(-1, 4096),
    lambda: b"",
]


@pytest.mark.parametrize("make", BUFFERS)
def test_buffers_arrive_as_their_bytes(
    session: Session, bridge: Bridge, make: Callable[[], Any]
) -> None:
    data = make()
    into(session, bridge, data)
    assert out_of(session, bridge, "$native") == bytes(data)


@pytest.mark.parametrize(
    "data, error, says",
    [
        ("text", TypeError, "encode"),
        (3, TypeError, "int"),
        (None, TypeError, "NoneType"),
        ([1, 2], TypeError, "list"),
        (memoryview(b"abcdef")[::2], BufferError, "ascontiguousarray"),
    ],
)
def test_what_is_no_buffer(bridge: Bridge, data: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        bridge.send(data)


def test_released_view(bridge: Bridge) -> None:
    view = memoryview(b"x")
    view.release()
    with pytest.raises(ValueError, match="released"):
        bridge.send(view)


def test_numpy(session: Session, bridge: Bridge) -> None:
    numpy = pytest.importorskip("numpy")
    matrix = numpy.arange(12.0).reshape(3, 4)
    matrix.setflags(write=False)
    into(session, bridge, matrix)
    assert out_of(session, bridge, "$native") == matrix.tobytes()
    for other in (matrix.T, matrix[:, 1:]):
        with pytest.raises(BufferError, match="ascontiguousarray"):
            bridge.send(other)
    with pytest.raises(TypeError, match="Python objects"):
        bridge.send(numpy.array([object()]))
    into(session, bridge, numpy.zeros(2, dtype=[("Other", "i4"), ("O", "u1")]))
    view = numpy.frombuffer(leased_from(session, bridge, "$native"), dtype="u1")
    assert len(view) == 10 and not view.flags.writeable


def test_buffer_is_held_while_it_is_sent(session: Session, bridge: Bridge) -> None:
    data = bytearray(32 * MIB)
    thread = threading.Thread(target=lambda: bridge.send(data, SOON))
    thread.start()
    time.sleep(0.1)
    with pytest.raises(BufferError):
        data.append(1)
    done(session, bridge.post_receive("$native", SOON))
    thread.join()
    data.append(1)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8 * MIB, 8 * MIB + 1, 24 * MIB])
def test_sizes(session: Session, bridge: Bridge, size: int) -> None:
    data = os.urandom(size)
    into(session, bridge, data)
    received = out_of(session, bridge, "$native")
    assert type(received) is bytes and received == data
    lease = leased_from(session, bridge, "$native")
    assert len(lease) == size and memoryview(lease) == data
    assert lease.in_place or size > MIB
