"""Bytes cross in both directions, whole and unchanged, whatever their size."""

from __future__ import annotations

import array
import hashlib
import mmap
import os
from typing import Any

import pytest
from conftest import in_threads
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from virtualshell import Shell, TransferTooLargeError, ZeroCopyBridge

MB = 2**20
FRAME = 4 * MB
CHUNK = MB // 4


@pytest.fixture
def small_bridge(shell: Shell):
    """A bridge whose frame is small, so that messages soon are larger."""
    with ZeroCopyBridge(shell, frame_mb=FRAME / MB, chunk_mb=CHUNK / MB) as bridge:
        yield bridge


PATTERN = array.array("Q", range(5 * FRAME // 8 + 1)).tobytes()


def pattern(size: int) -> bytes:
    """Content in which every misplaced block shows."""
    return PATTERN[:size]


def sha256(shell: Shell, variable: str) -> str:
    code = f"[Convert]::ToHexString([Security.Cryptography.SHA256]::HashData({variable}))"
    return shell.run(code).out.strip().lower()


SIZES = [0, 1, 4095, 4096, CHUNK, 3 * CHUNK, 3 * CHUNK + 1, FRAME - 1, FRAME, FRAME + 1, 5 * FRAME]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_there_and_back_in_two_steps(
    shell: Shell, small_bridge: ZeroCopyBridge, size: int
) -> None:
    data = pattern(size)
    future = small_bridge.receive_to_powershell("$sized")
    small_bridge.send(data)
    result = future.result(30)
    assert (result.success, result.err) == (True, "")
    assert shell.run("$sized.GetType().FullName; $sized.Length").out == f"System.Byte[]\n{size}\n"
    assert sha256(shell, "$sized") == hashlib.sha256(data).hexdigest()

    sent = small_bridge.send_from_powershell("$sized")
    assert small_bridge.receive() == data
    assert sent.result(30).success

    sent = small_bridge.send_from_powershell("$sized")
    view = small_bridge.receive(return_memoryview=True)
    assert view.nbytes == size and view == data
    assert sent.result(30).success


@pytest.mark.parametrize("size", [0, 1, FRAME, 5 * FRAME])
def test_every_size_all_in_one(shell: Shell, small_bridge: ZeroCopyBridge, size: int) -> None:
    data = os.urandom(size)
    small_bridge.send(data, "$one")
    assert shell.run("$one.Length").out == f"{size}\n"
    assert small_bridge.receive("$one") == data
    assert small_bridge.receive("$one", return_memoryview=True) == data


def test_two_hundred_megabytes(shell: Shell, bridge: ZeroCopyBridge) -> None:
    data = os.urandom(MB) * 200
    bridge.send(data, "$large")
    assert sha256(shell, "$large") == hashlib.sha256(data).hexdigest()
    assert bridge.receive("$large") == data
    shell.run("Remove-Variable large; [GC]::Collect()")


BUFFERS = {
    "bytes": b"abc",
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"xabcx")[1:4],
    "array of int": array.array("i", [1, 2, 3]),
    "array of double": array.array("d", [1.5, -2.5]),
    "view of two dimensions": memoryview(bytes(range(6))).cast("B", [2, 3]),
}


@pytest.mark.parametrize("data", BUFFERS.values(), ids=BUFFERS.keys())
def test_any_contiguous_buffer_is_sent_as_its_bytes(bridge: ZeroCopyBridge, data: Any) -> None:
    bridge.send(data, "$buffer")
    assert bridge.receive("$buffer") == memoryview(data).tobytes()


def test_a_mapped_file_is_sent(bridge: ZeroCopyBridge, tmp_path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"mapped" * 1000)
    with open(file, "rb") as opened:
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            bridge.send(mapped, "$mapped")
    assert bridge.receive("$mapped") == b"mapped" * 1000


def test_numpy_arrays_go_and_come_without_a_copy_in_python(bridge: ZeroCopyBridge) -> None:
    numpy = pytest.importorskip("numpy")
    data = numpy.arange(1_000_000, dtype="float64").reshape(1000, 1000)
    bridge.send(data, "$matrix")
    view = bridge.receive("$matrix", return_memoryview=True)
    back = numpy.frombuffer(view, dtype="float64").reshape(1000, 1000)
    assert (back == data).all()
    assert not back.flags.writeable
    dates = numpy.array(["2024-02-29", "1970-01-01"], dtype="datetime64[D]")
    with pytest.raises(TypeError, match="view"):
        bridge.send(dates, "$dates")
    bridge.send(dates.view("uint8"), "$dates")
    assert bridge.receive("$dates") == dates.tobytes()


@pytest.mark.parametrize("make", ["numpy.zeros((4, 4))[:, 1]", "numpy.zeros((4, 4)).T[:3]"])
def test_what_is_not_contiguous_is_refused_with_advice(bridge: ZeroCopyBridge, make: str) -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="contiguous"):
        bridge.send(eval(make, {"numpy": numpy}))
    with pytest.raises(TypeError, match="contiguous"):
        bridge.send(memoryview(b"abcdef")[::2])


def test_the_data_may_be_changed_as_soon_as_send_returns(bridge: ZeroCopyBridge) -> None:
    data = bytearray(b"a" * 1000)
    bridge.send(data)
    data[:] = b"b" * 1000
    bridge.receive_to_powershell("$early").result(20)
    assert bridge.receive("$early") == b"a" * 1000


def test_received_views_are_read_only(bridge: ZeroCopyBridge) -> None:
    bridge.send(b"abc", "$v")
    view = bridge.receive("$v", return_memoryview=True)
    assert view.readonly and view.format == "B" and view.c_contiguous
    with pytest.raises(TypeError):
        view[0] = 1


def test_a_received_view_can_be_sent_back(bridge: ZeroCopyBridge) -> None:
    bridge.send(b"abc" * 1000, "$v")
    view = bridge.receive("$v", return_memoryview=True)
    bridge.send(view, "$w")
    bridge.send(view[3:6], "$part")
    assert bridge.receive("$w") == view
    assert bridge.receive("$part") == b"abc"


# Sizes that can't be


class Huge:
    """As large as it says, without the memory."""

    def __init__(self, tmp_path, size: int) -> None:
        self.file = open(tmp_path / "huge", "w+b")
        self.file.truncate(size)
        self.map = mmap.mmap(self.file.fileno(), size, access=mmap.ACCESS_READ)

    def close(self) -> None:
        self.map.close()
        self.file.close()


def test_five_gigabytes_are_refused_with_the_reason_and_nothing_is_lost(
    shell: Shell, bridge: ZeroCopyBridge, tmp_path
) -> None:
    huge = Huge(tmp_path, 5 * 2**30)
    future = bridge.receive_to_powershell("$small")
    with pytest.raises(TransferTooLargeError, match="0x7FFFFFC7") as caught:
        bridge.send(huge.map)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, RuntimeError)
    huge.close()
    bridge.send(b"fits")
    assert future.result(20).success
    assert shell.run("$small.Length").out == "4\n"


# Many


def test_a_thousand_small_messages_in_order(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$many = [object[]]::new(1000)")
    futures = [bridge.receive_to_powershell(f"$many[{i}]") for i in range(1000)]
    for i in range(1000):
        bridge.send(i.to_bytes(4, "little"))
    assert all(future.result(30).success for future in futures)
    code = "0..999 | Where-Object { [BitConverter]::ToInt32($many[$_], 0) -ne $_ }"
    assert shell.run(code).out == ""


def test_two_bridges_do_not_mix(shell: Shell) -> None:
    with ZeroCopyBridge(shell) as one, ZeroCopyBridge(shell) as two:
        first = one.receive_to_powershell("$first")
        second = two.receive_to_powershell("$second")
        two.send(b"two")
        one.send(b"one!")
        assert first.result(20).success and second.result(20).success
    assert shell.run("$first.Length; $second.Length").out == "4\n3\n"


def test_a_hundred_bridges_on_one_shell(shell: Shell) -> None:
    bridges = [ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) for _ in range(100)]
    for i, bridge in enumerate(bridges):
        bridge.send(bytes([i]) * 2_000_000 if i % 20 == 0 else bytes([i]), f"$b{i}")
    for i, bridge in enumerate(bridges):
        assert bridge.receive(f"$b{i}")[:1] == bytes([i])
        bridge.close()


def test_two_shells_in_one_process(shell: Shell, own_shell: Shell) -> None:
    with ZeroCopyBridge(shell, "same name") as one, ZeroCopyBridge(own_shell, "same name") as two:
        one.send(b"one", "$mine")
        two.send(b"two!", "$mine")
        assert one.receive("$mine") == b"one"
        assert two.receive("$mine") == b"two!"


@pytest.mark.parametrize("size", [100, 3 * FRAME // 2])
def test_several_threads_on_one_bridge(
    shell: Shell, small_bridge: ZeroCopyBridge, size: int
) -> None:
    """Each message whole, each with its own future."""
    failures = []

    def work(number: int) -> None:
        try:
            for i in range(10):
                data = bytes([number, i]) * (size // 2)
                small_bridge.send(data, f"$t{number}")
                if small_bridge.receive(f"$t{number}") != data:
                    failures.append((number, i))
        except Exception as error:
            failures.append((number, error))

    in_threads(6, work)
    assert failures == []


def test_threads_that_send_without_target_keep_each_message_whole(
    shell: Shell, small_bridge: ZeroCopyBridge
) -> None:
    size = FRAME + 12345
    shell.run("$whole = [object[]]::new(6)")
    futures = [small_bridge.receive_to_powershell(f"$whole[{i}]") for i in range(6)]
    in_threads(6, lambda i: small_bridge.send(bytes([65 + i]) * size))
    assert all(future.result(30).success for future in futures)
    code = "($whole | ForEach-Object { \"$([char]$_[0])$($_.Length)\" } | Sort-Object) -join ' '"
    assert shell.run(code).out.split() == [f"{chr(65 + i)}{size}" for i in range(6)]
    uneven = "$whole | Where-Object { [Linq.Enumerable]::Distinct([byte[]]$_).Count -ne 1 }"
    assert shell.run(f"@({uneven}).Count").out == "0\n"


# Views


def test_a_view_outlives_its_bridge_and_its_shell() -> None:
    with Shell() as shell:
        with ZeroCopyBridge(shell) as bridge:
            bridge.send(b"lasting" * 10000, "$v")
            view = bridge.receive("$v", return_memoryview=True)
    del shell, bridge
    assert view == b"lasting" * 10000


def test_a_view_that_is_held_stops_nothing(shell: Shell, small_bridge: ZeroCopyBridge) -> None:
    small_bridge.send(b"held" * 1000, "$held")
    held = small_bridge.receive("$held", return_memoryview=True)
    shell.run("$next = [byte[]]::new(10000)")
    for i in range(1000):
        small_bridge.send_from_powershell("$next")
        assert len(small_bridge.receive(return_memoryview=True)) == 10000
    assert held == b"held" * 1000


def test_many_views_held_at_once_and_given_back_in_any_order(
    shell: Shell, small_bridge: ZeroCopyBridge
) -> None:
    views = []
    for i in range(30):
        small_bridge.send(bytes([i]) * (FRAME // 8), "$v")
        views.append(small_bridge.receive("$v", return_memoryview=True))
    for i in list(range(0, 30, 2)) + list(range(29, 0, -2)):
        assert views[i][0] == i and views[i][-1] == i
        views[i].release()
    small_bridge.send(b"after", "$v")
    assert small_bridge.receive("$v") == b"after"


def test_a_view_larger_than_the_frame_is_a_private_copy(small_bridge: ZeroCopyBridge) -> None:
    data = pattern(3 * FRAME)
    small_bridge.send(data, "$v")
    view = small_bridge.receive("$v", return_memoryview=True)
    assert view == data and view.readonly


# Properties


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    messages=st.lists(
        st.tuples(st.integers(0, 2 * FRAME), st.booleans(), st.booleans()), min_size=1, max_size=6
    )
)
def test_any_sequence_of_messages_arrives_as_it_was_sent(
    shell: Shell, small_bridge: ZeroCopyBridge, messages
) -> None:
    """Sizes; posted before or after; received as a view or as bytes."""
    for number, (size, post_first, as_view) in enumerate(messages):
        data = pattern(size)
        if post_first:
            future = small_bridge.receive_to_powershell("$any")
            small_bridge.send(data)
        elif size < FRAME // 2:
            small_bridge.send(data)
            future = small_bridge.receive_to_powershell("$any")
        else:
            small_bridge.send(data, "$any")
            future = None
        assert future is None or future.result(20).success
        sent = small_bridge.send_from_powershell("$any")
        assert small_bridge.receive(return_memoryview=as_view) == data
        assert sent.result(20).success
