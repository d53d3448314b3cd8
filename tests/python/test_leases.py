"""What PowerShell receives as a lease is held in place."""

from __future__ import annotations

import pytest
from leases import FRAME, MB, SIZES, fails, is_right, pattern, says

from virtualshell import CliXml, Shell, TransferError, TransferTooLargeError, ZeroCopyBridge


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
