"""Memory of the bridge that Python fills is sent without a copy."""

from __future__ import annotations

import gc
import os

import pytest
from leases import FRAME, SIZES, is_right, pattern, says

from virtualshell import (
    ChannelError,
    Shell,
    TransferTimeoutError,
    TransferTooLargeError,
    ZeroCopyBridge,
)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_filled_in_place_arrives(shell: Shell, small: ZeroCopyBridge, size: int) -> None:
    view = small.allocate(size)
    assert (view.nbytes, view.format, view.readonly) == (size, "B", False)
    view[:] = pattern(size)
    future = small.receive_to_powershell("$copy")
    small.send(view)
    assert future.result(20).success
    assert small.receive("$copy") == pattern(size)


def test_powershell_holds_the_memory_that_numpy_filled(shell: Shell, small: ZeroCopyBridge) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.frombuffer(small.allocate(800), dtype="float64")
    array[:] = numpy.arange(100)
    future = small.receive_to_powershell("$lease", lease=True)
    small.send(array)
    assert future.result(20).success
    assert says(shell, "$lease.IsInPlace; [BitConverter]::ToDouble($lease.ToArray(), 8 * 42)") == (
        "True\n42"
    )
    array[42] = 7  # nobody should; it shows that the memory is the same
    assert says(shell, "[BitConverter]::ToDouble($lease.ToArray(), 8 * 42)") == "7"


def test_parts_and_second_sends_are_copies(shell: Shell, small: ZeroCopyBridge) -> None:
    view = small.allocate(1000)
    view[:] = pattern(1000)
    for data in (view[:10], view, view[5:]):
        future = small.receive_to_powershell("$lease", lease=True)
        small.send(data)
        assert future.result(20).success
        assert small.receive("$lease") == bytes(data)


def test_another_bridge_copies_it(shell: Shell, small: ZeroCopyBridge) -> None:
    view = small.allocate(1000)
    view[:] = pattern(1000)
    small.send(view, "$copy")  # all-in-one: a channel of its own
    assert small.receive("$copy") == pattern(1000)
    with ZeroCopyBridge(shell) as other:
        other.send(view, "$copy")
        assert other.receive("$copy") == pattern(1000)


def test_memory_is_used_again_when_its_views_are_gone(small: ZeroCopyBridge) -> None:
    for _ in range(5):
        view = small.allocate(FRAME)
        part = view[10:20]
        del view
        with pytest.raises(TransferTimeoutError, match="no room for 1 bytes"):
            small.allocate(1, timeout=0.01)
        del part


def test_memory_that_was_sent_is_used_again_when_powershell_has_let_go(
    shell: Shell, small: ZeroCopyBridge
) -> None:
    for let_go in (
        "$lease.Dispose()",
        "$lease = $null; [GC]::Collect(); [GC]::WaitForPendingFinalizers()",
    ):
        view = small.allocate(FRAME)
        view[-1] = 17
        future = small.receive_to_powershell("$lease", lease=True)
        small.send(view)
        assert future.result(20).success
        del view
        assert says(shell, "$lease.IsInPlace; $lease[-1]") == "True\n17"
        with pytest.raises(TransferTimeoutError):
            small.allocate(FRAME, timeout=0.01)
        shell.run(let_go)
        small.allocate(FRAME, timeout=20)


def test_what_was_sent_and_not_received_keeps_its_memory(
    shell: Shell, small: ZeroCopyBridge
) -> None:
    view = small.allocate(FRAME)
    view[:] = pattern(FRAME)
    small.send(view)
    del view
    with pytest.raises(TransferTimeoutError):
        small.allocate(1, timeout=0.01)
    assert small.receive_to_powershell("$copy").result(20).success
    assert small.receive("$copy") == pattern(FRAME)
    small.allocate(FRAME, timeout=20)


def test_senseless_sizes_are_refused(small: ZeroCopyBridge) -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match="nbytes"):
            small.allocate(size)
    for size in (1.5, "10", None, True):
        with pytest.raises(TypeError):
            small.allocate(size)  # type: ignore[arg-type]
    with pytest.raises(TransferTooLargeError, match="Data exceeds frame size"):
        small.allocate(FRAME + 1)
    with pytest.raises(TransferTooLargeError):
        small.allocate(2**62)
    small.allocate(FRAME)


def test_a_view_outlives_bridge_and_shell() -> None:
    with Shell(timeout_seconds=60) as shell:
        bridge = ZeroCopyBridge(shell, frame_mb=1)
        view = bridge.allocate(1000)
        bridge.close()
        with pytest.raises(ChannelError):
            bridge.allocate(1)
        with pytest.raises(ChannelError):
            bridge.send(view)
    view[:] = pattern(1000)
    assert view == pattern(1000)


def test_a_forked_child_can_let_go_of_it_and_the_parent_goes_on(
    shell: Shell, small: ZeroCopyBridge
) -> None:
    view = small.allocate(1000)
    view[:] = pattern(1000)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            del view
            gc.collect()
            try:
                small.allocate(1)
            except Exception as error:
                code = 0 if "fork" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    future = small.receive_to_powershell("$lease", lease=True)
    small.send(view)
    assert future.result(20).success
    assert says(shell, "$lease.IsInPlace") == "True" and is_right(shell, 1000)
