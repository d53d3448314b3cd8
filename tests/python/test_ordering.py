"""Transfers and commands in any order: nothing stalls, and what was sent is there when it must
be.
"""

from __future__ import annotations

import itertools

import pytest

from virtualshell import Shell, TransferTimeoutError, ZeroCopyBridge

MB = 2**20
SMALL, LARGE = 1000, 200 * MB


@pytest.fixture(scope="module")
def payloads():
    return {SMALL: b"s" * SMALL, LARGE: bytes(LARGE)}


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "order", list(itertools.permutations(["post", "run", "send"])), ids="-".join
)
def test_post_run_and_send_in_every_order(
    shell: Shell, bridge: ZeroCopyBridge, payloads, order, size: int
) -> None:
    if size == LARGE and order.index("send") < order.index("post"):
        pytest.skip("200 MB don't fit the frame: such a send waits for its receive")
    steps = {
        "post": lambda: bridge.receive_to_powershell("$ordered", timeout=60),
        "run": lambda: shell.run("'ran'", timeout=20),
        "send": lambda: bridge.send(payloads[size], timeout=60),
    }
    done = {name: steps[name]() for name in order}
    assert done["run"].out == "ran\n"
    assert done["post"].result(60).success
    assert shell.run("$ordered.Length").out == f"{size}\n"
    shell.run("$ordered = $null")


def test_a_variable_is_there_for_the_first_command_after_the_send(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    """Without waiting for the future."""
    for i in range(2000):
        bridge.receive_to_powershell("$ready")
        bridge.send(bytes(i + 1))
        assert shell.run("$ready.Length").out == f"{i + 1}\n"


def test_a_large_variable_is_there_for_the_first_command_after_the_send(
    shell: Shell, bridge: ZeroCopyBridge, payloads
) -> None:
    bridge.receive_to_powershell("$readyLarge", timeout=60)
    bridge.send(payloads[LARGE], timeout=60)
    assert shell.run("$readyLarge.Length").out == f"{LARGE}\n"
    shell.run("$readyLarge = $null")


def test_messages_wait_for_their_receive_while_the_frame_has_room(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    for i in range(20):
        bridge.send(bytes([i]) * MB, timeout=5)
    for i in range(20):
        bridge.receive_to_powershell(f"$queued{i}")
    out = shell.run('0..19 | ForEach-Object { (Get-Variable "queued$_").Value[0] }').out
    assert out.split() == [str(i) for i in range(20)]


def test_a_send_beyond_the_room_waits_and_is_withdrawn(shell: Shell) -> None:
    with ZeroCopyBridge(shell, frame_mb=2, chunk_mb=0.5) as bridge:
        bridge.send(b"first" * 1000)
        with pytest.raises(TransferTimeoutError, match="withdrawn"):
            bridge.send(bytes(8 * MB), timeout=0.2)
        bridge.send(b"second")
        one = bridge.receive_to_powershell("$one")
        two = bridge.receive_to_powershell("$two")
        assert one.result(20).success and two.result(20).success
        assert shell.run("$one.Length; $two.Length").out == "5000\n6\n"
        bridge.send(bytes(8 * MB), "$three")
        assert shell.run("$three.Length").out == f"{8 * MB}\n"


def test_an_unread_send_larger_than_the_frame_stops_no_command(shell: Shell) -> None:
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        shell.run("$unread = [byte[]]::new(8MB)")
        future = bridge.send_from_powershell("$unread")
        assert shell.run(["1", "2"])[1].out == "2\n"
        other = bridge.receive_to_powershell("$meanwhile")
        bridge.send(b"x" * 3 * MB)
        assert other.result(20).success
        assert not future.done()
        assert len(bridge.receive()) == 8 * MB
        assert future.result(20).success


def test_a_posted_receive_stops_no_command(shell: Shell, bridge: ZeroCopyBridge) -> None:
    future = bridge.receive_to_powershell("$later")
    assert shell.run(["1", "2", "3"])[2].out == "3\n"
    bridge.send(b"now")
    assert future.result(20).success


def test_transfers_go_on_while_a_command_runs(shell: Shell, bridge: ZeroCopyBridge, gate) -> None:
    shell.run("$before = [byte[]]::new(5MB)")
    sent = bridge.send_from_powershell("$before")
    running = shell.run_async(gate.pass_command)
    assert len(bridge.receive(timeout=20)) == 5 * MB
    assert sent.result(20).success
    assert not running.done()
    gate.wait()
    assert running.result(20).success


def test_an_expression_is_evaluated_in_its_turn(shell: Shell, bridge: ZeroCopyBridge) -> None:
    shell.run("$turn = [byte[]](1)")
    shell.run_async("$turn = [byte[]](2)")
    bridge.send_from_powershell("$turn")
    shell.run_async("$turn = [byte[]](3)")
    assert bridge.receive() == b"\x02"
    assert shell.run("$turn[0]").out == "3\n"


def test_all_in_one_transfers_do_not_touch_what_is_posted_or_queued(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    posted = bridge.receive_to_powershell("$posted")
    bridge.send(b"direct", "$direct")
    shell.run("$waiting = [byte[]](1..3)")
    sent = bridge.send_from_powershell("$waiting")
    assert bridge.receive("$direct") == b"direct"
    assert not posted.done()
    bridge.send(b"posted")
    assert posted.result(20).success
    assert bridge.receive() == b"\x01\x02\x03"
    assert sent.result(20).success
    assert bridge.receive("$posted") == b"posted"
    bridge.send(b"queued")
    bridge.send(b"direct", "$direct")
    assert bridge.receive_to_powershell("$queued").result(20).success
    assert bridge.receive("$queued") == b"queued"


def test_both_directions_full_at_once(shell: Shell) -> None:
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        shell.run("$out = [byte[]]::new(20MB)")
        sent = bridge.send_from_powershell("$out")
        received = bridge.receive_to_powershell("$in")
        bridge.send(bytes(20 * MB))
        assert len(bridge.receive()) == 20 * MB
        assert sent.result(20).success and received.result(20).success
        assert shell.run("$in.Length").out == f"{20 * MB}\n"


def test_a_script_that_changes_a_variable_between_two_sends(
    shell: Shell, bridge: ZeroCopyBridge
) -> None:
    futures = []
    for i in range(50):
        shell.run_async(f"$value = [byte[]]({i})")
        futures.append(bridge.send_from_powershell("$value"))
    assert [bridge.receive()[0] for _ in range(50)] == list(range(50))
    assert all(future.result(20).success for future in futures)
