"""Memory of the bridge that PowerShell fills is sent without a copy."""

from __future__ import annotations

import pytest
from leases import FRAME, MB, SIZES, fails, pattern, says

from virtualshell import ExecutionTimeoutError, Shell, ZeroCopyBridge


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
