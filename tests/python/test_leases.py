"""Memory that both sides see: what is filled in place is sent without a copy, and what is received can be
held in place, in Python and in PowerShell.
"""

from __future__ import annotations

import gc
import math
import os
from typing import Iterator

import pytest

from virtualshell import (
    ChannelError,
    CliXml,
    ExecutionTimeoutError,
    Shell,
    TransferError,
    TransferTimeoutError,
    TransferTooLargeError,
    ZeroCopyBridge,
)

MB = 2**20
FRAME = MB
SIZES = [1, 4096, FRAME - 1, FRAME]


@pytest.fixture
def small(shell: Shell) -> Iterator[ZeroCopyBridge]:
    """A bridge named "small", whose frame is soon full."""
    shell.run("[GC]::Collect(); [GC]::WaitForPendingFinalizers()")
    with ZeroCopyBridge(shell, "small", frame_mb=FRAME / MB, chunk_mb=0.25) as bridge:
        yield bridge
    shell.run("$lease = $second = $copy = $null")


def pattern(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def says(shell: Shell, code: str) -> str:
    result = shell.run(code)
    assert result.success, result.err
    return result.out.strip()


def fails(shell: Shell, code: str) -> str:
    result = shell.run(code)
    assert not result.success
    return result.err


def is_right(shell: Shell, size: int, name: str = "$lease") -> bool:
    """The lease holds the pattern."""
    assert int(says(shell, f"{name}.Length")) == size
    sum_of = f"$n = 0L; foreach ($b in {name}.ToArray()) {{ $n += $b }}; $n"
    return int(shell.run(sum_of, local_scope=True).out) == sum(pattern(size))


# Filled in Python


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


# Held in PowerShell


@pytest.mark.parametrize("size", [0, *SIZES])
def test_every_size_can_be_held_in_two_steps(
    shell: Shell, small: ZeroCopyBridge, size: int
) -> None:
    for post_first in (True, False):
        if post_first:
            future = small.receive_to_powershell("$lease", lease=True)
            small.send(pattern(size))
        else:
            small.send(pattern(size))
            future = small.receive_to_powershell("$lease", lease=True)
        assert future.result(20).success
        assert says(shell, "$lease.GetType().FullName") == "ZeroCopyBridge.Lease"
        assert size == 0 or says(shell, "$lease.IsInPlace") == "True"
        assert is_right(shell, size)
        shell.run("$lease.Dispose()")


@pytest.mark.parametrize("size", [0, *SIZES])
def test_every_size_can_be_held_all_in_one(shell: Shell, small: ZeroCopyBridge, size: int) -> None:
    small.send(pattern(size), "$lease", lease=True)
    assert is_right(shell, size)
    shell.run("$lease.Dispose()")


def test_what_is_larger_than_the_frame_is_refused_and_the_receive_waits_on(
    shell: Shell, small: ZeroCopyBridge
) -> None:
    with pytest.raises(TransferTooLargeError, match="Data exceeds frame size"):
        small.send(bytes(FRAME + 1), "$lease", lease=True)
    future = small.receive_to_powershell("$lease", lease=True)
    for _ in range(2):
        with pytest.raises(TransferTooLargeError, match="frame_mb"):
            small.send(bytes(FRAME + 1))
    small.send(pattern(100))
    assert future.result(20).success and is_right(shell, 100)


def test_where_the_frame_has_no_room_it_is_a_copy(shell: Shell, small: ZeroCopyBridge) -> None:
    first = small.receive_to_powershell("$lease", lease=True)
    small.send(bytes(FRAME))
    assert first.result(20).success
    second = small.receive_to_powershell("$second", lease=True)
    small.send(pattern(FRAME // 2))
    assert second.result(20).success
    assert says(shell, "$lease.IsInPlace; $second.IsInPlace; $second.IsReadOnly") == (
        "True\nFalse\nTrue"
    )
    assert is_right(shell, FRAME // 2, "$second")
    shell.run("$second.Dispose(); $lease.Dispose()")


def test_a_lease_is_read_by_index_stream_and_array(shell: Shell, small: ZeroCopyBridge) -> None:
    small.send(pattern(1000), "$lease", lease=True)
    assert says(shell, "$lease.Length; $lease[0]; $lease[250]; $lease[-1]; $lease[-1000]") == (
        f"1000\n0\n250\n{999 % 251}\n0"
    )
    assert says(shell, '$lease.IsReadOnly; $lease.IsInPlace; "$lease"') == "True\nTrue\n1000 bytes"
    assert (
        says(
            shell,
            "$s = $lease.Stream; $s.Length; $s.CanRead; $s.CanWrite; $s.Position = 7; $s.ReadByte()",
        )
        == "1000\nTrue\nFalse\n7"
    )
    assert says(shell, "$lease.ToArray().GetType().FullName; $lease.ToArray().Length") == (
        "System.Byte[]\n1000"
    )
    for index in (1000, -1001, "[long]::MaxValue", "[long]::MinValue"):  # as for an array
        assert says(shell, f"$null -eq $lease[{index}]") == "True", index
        assert "1000 bytes" in fails(shell, f"$null = $lease.get_Item({index})"), index
    assert "read-only" in fails(shell, "$lease[0] = 1")
    assert says(shell, "$lease[0]") == "0"


def test_a_span_reads_and_writes_the_same_memory(shell: Shell, small: ZeroCopyBridge) -> None:
    code = """
    Add-Type -IgnoreWarnings -ReferencedAssemblies ([ZeroCopyBridge.Lease].Assembly.Location) -TypeDefinition '
    public static class SpanOfLease {
        public static int Sum(ZeroCopyBridge.Lease lease) {
            int sum = 0;
            foreach (byte b in lease.Span) sum += b;
            return sum;
        }
        public static void Fill(ZeroCopyBridge.Lease lease, byte value) { lease.WritableSpan.Fill(value); }
    }'
    """
    compiled = shell.run(code)
    assert compiled.success, compiled.err
    small.send(pattern(1000), "$lease", lease=True)
    assert says(shell, "[SpanOfLease]::Sum($lease)") == str(sum(pattern(1000)))
    assert "read-only" in fails(shell, "[SpanOfLease]::Fill($lease, 1)")
    assert (
        says(
            shell,
            "$lease = New-ZeroCopyLease small 1000; [SpanOfLease]::Fill($lease, 3); $lease[999]",
        )
        == "3"
    )
    assert "disposed" in fails(shell, "$lease.Dispose(); [SpanOfLease]::Sum($lease)").lower()


def test_a_lease_that_was_disposed_of_says_so(shell: Shell, small: ZeroCopyBridge) -> None:
    small.send(pattern(100), "$lease", lease=True)
    shell.run("$lease.Dispose(); $lease.Dispose()")
    for use in ("$lease.get_Item(0)", "$lease.ToArray()"):
        assert "disposed" in fails(shell, f"$null = {use}"), use
    # What a getter throws PowerShell takes for "not there", as with any object.
    assert says(shell, "$null -eq $lease[0]; $null -eq $lease.Stream") == "True\nTrue"
    assert says(shell, "$lease.Length; $lease.IsReadOnly") == "100\nTrue"


def test_a_received_lease_can_be_sent_back(shell: Shell, small: ZeroCopyBridge) -> None:
    small.send(pattern(FRAME), "$lease", lease=True)
    assert small.receive("$lease") == pattern(FRAME)
    sent = small.send_from_powershell("$lease")
    assert small.receive(return_memoryview=True) == pattern(FRAME)
    assert sent.result(20).success


def test_a_lease_that_was_disposed_of_cannot_be_sent(own_shell: Shell) -> None:
    with ZeroCopyBridge(own_shell, "own", frame_mb=1) as bridge:
        own_shell.run("$lease = New-ZeroCopyLease own 100; $lease.Dispose()")
        sent = bridge.send_from_powershell("$lease")
        with pytest.raises(TransferError, match="disposed"):
            bridge.receive(timeout=20)
        assert not sent.result(20).success
        assert own_shell.run("'goes on'").out == "goes on\n"


def test_a_lease_that_is_disposed_of_while_it_waits_to_be_sent_arrives(own_shell: Shell) -> None:
    with ZeroCopyBridge(own_shell, "own", frame_mb=1) as bridge:
        own_shell.run(f"$big = [byte[]]::new({3 * MB}); $lease = New-ZeroCopyLease own 100; $lease[0] = 7")
        first = bridge.send_from_powershell("$big")
        sent = bridge.send_from_powershell("$lease")  # waits behind it
        own_shell.run("$lease.Dispose()")
        assert len(bridge.receive(timeout=20)) == 3 * MB
        data = bridge.receive(timeout=20)
        assert len(data) == 100 and data[0] == 7
        assert first.result(20).success and sent.result(20).success
        assert own_shell.run("'goes on'").out == "goes on\n"


def test_objects_arrive_as_objects_whatever_lease_says(shell: Shell, small: ZeroCopyBridge) -> None:
    clixml = small.receive("[pscustomobject]@{ Name = 'kept' }")
    assert isinstance(clixml, CliXml)
    small.send(clixml, "$lease", lease=True)
    assert says(shell, "$lease.Name") == "kept"
    future = small.receive_to_powershell("$lease", lease=True)
    small.send(CliXml(clixml))
    assert future.result(20).success
    assert says(shell, "$lease.Name") == "kept"


def test_a_lease_outlives_its_bridge(shell: Shell) -> None:
    with ZeroCopyBridge(shell, "short", frame_mb=1) as bridge:
        bridge.send(pattern(1000), "$lease", lease=True)
        shell.run("$second = New-ZeroCopyLease short 10; $second[0] = 5")
    assert is_right(shell, 1000)
    assert says(shell, "$second[0] = 6; $second[0]") == "6"
    with ZeroCopyBridge(shell) as other:
        assert other.receive("$lease") == pattern(1000)
        assert other.receive("$second")[:1] == b"\6"
    shell.run("$lease.Dispose(); $second.Dispose()")


def test_leases_and_plain_receives_keep_their_order(shell: Shell, small: ZeroCopyBridge) -> None:
    futures = [small.receive_to_powershell(f"$o{i}", lease=bool(i % 2)) for i in range(20)]
    for i in range(20):
        small.send(bytes([i]) * (i + 1))
    assert all(future.result(20).success for future in futures)
    for i in range(20):
        expected = "ZeroCopyBridge.Lease" if i % 2 else "System.Byte[]"
        assert says(shell, f"$o{i}.GetType().FullName; $o{i}.Length; $o{i}[0]") == (
            f"{expected}\n{i + 1}\n{i}"
        )
    shell.run("0..19 | ForEach-Object { if ($_ % 2) { (Get-Variable o$_ -ValueOnly).Dispose() } }")
    small.allocate(FRAME, timeout=20)


# Filled in PowerShell


@pytest.mark.parametrize("size", SIZES)
def test_python_holds_what_powershell_filled(
    shell: Shell, small: ZeroCopyBridge, size: int
) -> None:
    assert (
        says(
            shell,
            f"$lease = New-ZeroCopyLease small {size}; $lease.Length; $lease.IsReadOnly;"
            " $lease[0] = 1; $lease[-1] = 2; $s = $lease.Stream; $s.CanWrite",
        )
        == f"{size}\nFalse\nTrue"
    )
    sent = small.send_from_powershell("$lease")
    view = small.receive(return_memoryview=True)
    assert sent.result(20).success
    assert (view.nbytes, view[-1], view.readonly) == (size, 2, True)
    assert view.obj.in_place  # type: ignore[attr-defined]
    shell.run("$lease[0] = 99")  # nobody should; it shows that the memory is the same
    assert view[0] == 99
    shell.run("$lease.Dispose()")
    assert view[0] == 99
    del view
    assert says(shell, f"$lease = New-ZeroCopyLease -ChannelName small -Length {FRAME}; 'again'")
    shell.run("$lease.Dispose()")


def test_a_lease_is_filled_through_its_stream(shell: Shell, small: ZeroCopyBridge) -> None:
    shell.run("$bytes = [byte[]](1..200); $lease = New-ZeroCopyLease small 200")
    shell.run("$lease.Stream.Write($bytes, 0, 200)")
    sent = small.send_from_powershell("$lease")
    assert small.receive() == bytes(range(1, 201))
    assert sent.result(20).success
    sent = small.send_from_powershell("$lease")  # once more: a copy
    assert small.receive() == bytes(range(1, 201))
    assert sent.result(20).success


def test_another_bridge_can_send_it(shell: Shell, small: ZeroCopyBridge) -> None:
    shell.run("$lease = New-ZeroCopyLease small 10; $lease[9] = 9")
    with ZeroCopyBridge(shell) as other:
        assert other.receive("$lease")[9] == 9
    assert small.receive("$lease")[9] == 9


def test_what_cannot_be_had_is_an_error(shell: Shell, small: ZeroCopyBridge) -> None:
    assert "no open bridge with the channel_name 'nosuch'" in fails(
        shell, "New-ZeroCopyLease nosuch 1"
    )
    assert "no open bridge" in fails(shell, "New-ZeroCopyLease SMALL 1")
    assert "Data exceeds frame size" in fails(shell, f"New-ZeroCopyLease small {FRAME + 1}")
    assert "Data exceeds frame size" in fails(shell, "New-ZeroCopyLease small ([long]::MaxValue)")
    for length in ("0", "-1", "'x'"):
        assert "Length" in fails(shell, f"New-ZeroCopyLease small {length}")
    with ZeroCopyBridge(shell, "gone"):
        pass
    assert "no open bridge" in fails(shell, "New-ZeroCopyLease gone 1")
    assert says(
        shell, "try { New-ZeroCopyLease nosuch 1 } catch { $_.FullyQualifiedErrorId }"
    ).startswith("ZeroCopyLease")


def test_names_of_any_kind_are_found(shell: Shell) -> None:
    for name in ("with space", "æøå ✓", "-dash", "x" * 127):
        with ZeroCopyBridge(shell, name, frame_mb=1):
            assert says(shell, f"(New-ZeroCopyLease -ChannelName '{name}' -Length 5).Length") == "5"
    with ZeroCopyBridge(
        shell, "x" * 128, frame_mb=1
    ):  # too long for a label: a bridge all the same
        assert "no open bridge" in fails(shell, f"New-ZeroCopyLease ('x' * 128) 5")


def test_a_name_is_that_of_the_bridge_that_is_open_now(shell: Shell) -> None:
    for size in (1, 2, 3):
        with ZeroCopyBridge(shell, "again", frame_mb=size):
            length = size * MB
            assert says(shell, f"(New-ZeroCopyLease again {length}).Length") == str(length)
            assert "Data exceeds" in fails(shell, f"New-ZeroCopyLease again {length + 1}")


def test_who_waits_for_room_goes_on_when_python_lets_go(
    shell: Shell, small: ZeroCopyBridge
) -> None:
    shell.run(f"$lease = New-ZeroCopyLease small {FRAME}")
    sent = small.send_from_powershell("$lease")
    view = small.receive(return_memoryview=True)
    assert sent.result(20).success
    shell.run("$lease.Dispose()")
    waiting = shell.run_async("$second = New-ZeroCopyLease small 100; $second.Length")
    assert not waiting.done()
    del view
    assert waiting.result(20).out == "100\n"


def test_a_wait_for_room_is_stopped_by_its_timeout_and_by_cancel(
    shell: Shell, small: ZeroCopyBridge
) -> None:
    shell.run(f"$lease = New-ZeroCopyLease small {FRAME}")
    with pytest.raises(ExecutionTimeoutError):
        shell.run("New-ZeroCopyLease small 1", timeout=0.3)
    waiting = shell.run_async("New-ZeroCopyLease small 1")
    assert waiting.cancel() or waiting.cancelled()
    assert says(shell, "$lease.Dispose(); (New-ZeroCopyLease small 1).Length") == "1"


def test_a_wait_for_room_ends_with_its_bridge(shell: Shell) -> None:
    with ZeroCopyBridge(shell, "closing", frame_mb=1) as bridge:
        shell.run(f"$lease = New-ZeroCopyLease closing {MB}")
        waiting = shell.run_async("New-ZeroCopyLease closing 1")
        assert not waiting.done()
        bridge.close()
        result = waiting.result(20)
    assert not result.success and "bridge" in result.err
    shell.run("$lease.Dispose()")


def test_leases_that_nobody_holds_make_room(shell: Shell, small: ZeroCopyBridge) -> None:
    code = (
        f"foreach ($i in 1..20) {{ $lease = New-ZeroCopyLease small {FRAME // 3}; $lease[0] = $i }}"
    )
    assert shell.run(code, timeout=5).success


def test_closing_with_leases_out_leaves_nothing_behind(shell: Shell) -> None:
    for _ in range(20):
        with ZeroCopyBridge(shell, "often", frame_mb=1) as bridge:
            view = bridge.allocate(1000)
            bridge.send(pattern(1000), "$lease", lease=True)
            shell.run("$second = New-ZeroCopyLease often 1000")
        view[0] = 1
        shell.run("$lease.Dispose(); $second.Dispose()")
    assert says(shell, "'goes on'") == "goes on"


def test_lease_goes_with_a_target(small: ZeroCopyBridge) -> None:
    with pytest.raises(ValueError, match="target"):
        small.send(b"abc", lease=True)
    assert small.receive("'still'")
