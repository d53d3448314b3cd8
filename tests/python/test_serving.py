"""Commands, posted receives and sends in every order, at every moment: none holds up another, and what was half
across when something else came arrives whole or not at all.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
from typing import Callable, Iterator, List

import pytest

from virtualshell import (
    ChannelError,
    ExecutionTimeoutError,
    Shell,
    TransferError,
    TransferTimeoutError,
    ZeroCopyBridge,
)

MB = 2**20
LARGE = 60 * MB  # far beyond the frame, so that it streams


@pytest.fixture(scope="module")
def large() -> bytes:
    return os.urandom(MB) * (LARGE // MB)


@pytest.fixture
def narrow(shell: Shell) -> Iterator[ZeroCopyBridge]:
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        yield bridge


class Alongside(threading.Thread):
    """Does something in another thread; `finish` raises what that raised."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._action = action
        self._error: List[BaseException] = []
        self.result: object = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._action()
        except BaseException as error:
            self._error.append(error)

    def finish(self) -> object:
        self.join(60)
        assert not self.is_alive()
        if self._error:
            raise self._error[0]
        return self.result


def length(shell: Shell, name: str) -> int:
    return int(shell.run(f"{name}.Length").out)


# A posted receive holds up nothing


def test_commands_run_while_receives_of_many_bridges_wait(shell: Shell) -> None:
    with contextlib.ExitStack() as stack:
        bridges = [stack.enter_context(ZeroCopyBridge(shell, frame_mb=1)) for _ in range(5)]
        futures = []
        for i, bridge in enumerate(bridges):
            futures.append(bridge.receive_to_powershell(f"$many{i}"))
            assert shell.run("'at once'", timeout=20).out == "at once\n"
        for i, bridge in reversed(list(enumerate(bridges))):
            bridge.send(bytes(i + 1))
            assert length(shell, f"$many{i}") == i + 1
        assert all(future.result(20).success for future in futures)


def test_a_send_is_not_held_up_by_a_receive_of_its_own_or_another_bridge(shell: Shell) -> None:
    with ZeroCopyBridge(shell) as one, ZeroCopyBridge(shell) as other:
        first, second = one.receive_to_powershell("$one"), other.receive_to_powershell("$other")
        for bridge in (one, other):
            sent = bridge.send_from_powershell("'x' * 3")
            assert bridge.receive(timeout=20)
            assert sent.result(20).success
        other.send(b"2")
        one.send(b"1")
        assert first.result(20).success and second.result(20).success


def test_an_unread_value_holds_up_neither_commands_nor_receives(
    shell: Shell, narrow: ZeroCopyBridge
) -> None:
    sent = narrow.send_from_powershell(f"[byte[]]::new({3 * MB})")
    assert shell.run("'goes on'", timeout=20).out == "goes on\n"
    for i in range(10):
        future = narrow.receive_to_powershell("$meanwhile")
        narrow.send(bytes(i))
        assert future.result(20).success and length(shell, "$meanwhile") == i
    assert narrow.receive(timeout=20) == bytes(3 * MB)
    assert sent.result(20).success


# An own command's text may be larger than the channel of commands holds


@pytest.mark.timeout(150)
def test_a_posted_receive_does_not_hold_up_a_command_of_any_length(own_shell: Shell) -> None:
    with ZeroCopyBridge(own_shell) as bridge:
        future = bridge.receive_to_powershell("$x")
        code = "#" + "x" * (65 * MB) + "\n'ran'"  # the channel's frame has 64 MiB
        assert own_shell.run(code, timeout=120).out == "ran\n"  # PowerShell reads it for seconds
        bridge.send(b"abc")
        assert future.result(20).success


# A message that is half across


def run_while(shell: Shell, other: Alongside) -> None:
    """Commands, at least one, until the other thread is done."""
    assert shell.run("1", timeout=20).out == "1\n"
    while other.is_alive():
        assert shell.run("1", timeout=20).out == "1\n"


@pytest.mark.parametrize("lease", [False, True], ids=["array", "lease"])
def test_commands_meanwhile_do_not_stop_a_large_message(
    shell: Shell, large: bytes, lease: bool
) -> None:
    with ZeroCopyBridge(shell, frame_mb=64, chunk_mb=0.25) as bridge:
        for round in range(3):
            future = bridge.receive_to_powershell("$large", lease=lease)
            sending = Alongside(lambda: bridge.send(large))
            run_while(shell, sending)
            sending.finish()
            assert length(shell, "$large") == LARGE
            assert future.result(20).success
            assert bridge.receive("$large") == large
            shell.run(
                "if ($large -is [IDisposable]) { $large.Dispose() }; $large = $null; [GC]::Collect()"
            )


def test_commands_meanwhile_do_not_stop_a_large_value(
    shell: Shell, narrow: ZeroCopyBridge, large: bytes
) -> None:
    narrow.send(large, "$large")
    for _ in range(3):
        sent = narrow.send_from_powershell("$large")
        receiving = Alongside(narrow.receive)
        run_while(shell, receiving)
        assert receiving.finish() == large
        assert sent.result(20).success
    shell.run("$large = $null; [GC]::Collect()")


def test_both_directions_half_way_and_a_command_that_waits_for_neither(
    shell: Shell, narrow: ZeroCopyBridge, large: bytes
) -> None:
    narrow.send(large, "$large")
    sent = narrow.send_from_powershell("$large")
    future = narrow.receive_to_powershell("$back")
    sending, receiving = Alongside(lambda: narrow.send(large)), Alongside(narrow.receive)
    assert shell.run("'between'", timeout=20).out == "between\n"
    sending.finish()
    assert receiving.finish() == large
    assert sent.result(20).success and future.result(20).success
    assert narrow.receive("$back") == large
    shell.run("$large = $back = $null; [GC]::Collect()")


# Given up at any moment


@pytest.mark.parametrize("command", [False, True], ids=["pipeline", "own thread"])
def test_a_message_that_is_given_up_half_way_leaves_its_receive_waiting(
    shell: Shell, narrow: ZeroCopyBridge, large: bytes, command: bool
) -> None:
    chance = random.Random(1)
    for i in range(30):
        future = narrow.receive_to_powershell("$given")
        if command:
            shell.run("1")  # from now on the bridge's own thread waits for it
        with contextlib.suppress(TransferTimeoutError):
            narrow.send(large, timeout=chance.random() * 0.02)
            assert future.result(20).success
            continue
        assert not future.done()
        narrow.send(bytes(i))
        assert future.result(20).success and length(shell, "$given") == i
    shell.run("$given = $null")


@pytest.mark.parametrize("command", [False, True], ids=["pipeline", "own thread"])
def test_a_receive_that_times_out_at_any_moment_takes_one_message_or_none(
    shell: Shell, narrow: ZeroCopyBridge, large: bytes, command: bool
) -> None:
    chance = random.Random(2)
    for i in range(30):
        shell.run("$timed = $null")
        future = narrow.receive_to_powershell("$timed", timeout=0.001 + chance.random() * 0.02)
        if command:
            shell.run("1")
        with contextlib.suppress(TransferTimeoutError, TransferError):
            narrow.send(large, timeout=20)
        with contextlib.suppress(TransferTimeoutError):
            if future.result(20).success:
                assert length(shell, "$timed") == LARGE
        future = narrow.receive_to_powershell("$next")
        with contextlib.suppress(TransferTimeoutError, TransferError):
            narrow.send(bytes(i), timeout=20)
            assert future.result(20).success and length(shell, "$next") == i
            continue
        narrow.send(bytes(i), timeout=20)  # the failure before was for the one that timed out
        assert future.result(20).success
    assert shell.run("'goes on'").out == "goes on\n"
    shell.run("$timed = $null")


def test_a_value_whose_reader_gives_up_at_any_moment_is_gone(
    shell: Shell, narrow: ZeroCopyBridge, large: bytes
) -> None:
    narrow.send(large, "$large")
    chance = random.Random(3)
    for i in range(30):
        sent = narrow.send_from_powershell("$large", timeout=0.001 + chance.random() * 0.03)
        if i % 2:
            shell.run("1")
        with contextlib.suppress(TransferTimeoutError, TransferError):
            assert narrow.receive(timeout=20) == large
        with contextlib.suppress(TransferTimeoutError):
            sent.result(20)
        assert narrow.receive("7", timeout=20)
    with contextlib.suppress(TransferTimeoutError, TransferError):
        while True:
            narrow.receive(timeout=0.05)
    sent = narrow.send_from_powershell("[byte[]](1, 2)")
    assert narrow.receive(timeout=20) == b"\1\2"
    assert sent.result(20).success
    shell.run("$large = $null")


# Closed at any moment


@pytest.mark.parametrize("command", [False, True], ids=["pipeline", "own thread"])
def test_a_bridge_can_be_closed_while_it_receives(
    own_shell: Shell, large: bytes, command: bool
) -> None:
    for i in range(20):
        bridge = ZeroCopyBridge(own_shell, frame_mb=1, chunk_mb=0.25)
        future = bridge.receive_to_powershell("$closing")
        if command:
            own_shell.run("1")
        sending = Alongside(lambda: bridge.send(large))
        threading.Event().wait(0.001 * i)  # a moment that is not to be guessed
        bridge.close()
        with contextlib.suppress(ChannelError, TransferError):
            sending.finish()
        with contextlib.suppress(ChannelError, TransferError, TransferTimeoutError):
            future.result(20)
        assert own_shell.run("'goes on'", timeout=20).out == "goes on\n"


@pytest.mark.parametrize(
    "command",
    [
        False,
        True,
    ],
    ids=["pipeline", "own thread"],
)
def test_a_bridge_can_be_closed_while_it_sends(own_shell: Shell, command: bool) -> None:
    own_shell.run(f"$large = [byte[]]::new({LARGE})")
    for i in range(60):
        bridge = ZeroCopyBridge(own_shell, frame_mb=1, chunk_mb=0.25)
        sent = bridge.send_from_powershell("$large")
        if command:
            own_shell.run("1")
        receiving = Alongside(bridge.receive)
        threading.Event().wait(0.0004 * (i % 30))  # a moment that is not to be guessed
        bridge.close()
        with contextlib.suppress(ChannelError, TransferError):
            receiving.finish()
        with contextlib.suppress(ChannelError, TransferError, TransferTimeoutError):
            sent.result(20)
        assert own_shell.run("'goes on'", timeout=20).out == "goes on\n"


def test_a_bridge_that_closes_gives_its_memory_back_though_a_receive_was_posted(
    own_shell: Shell,
) -> None:
    pid = int(own_shell.run("$PID").out)
    bridge = ZeroCopyBridge(own_shell, frame_mb=77)  # a size that nothing else has
    future = bridge.receive_to_powershell("$x")
    bridge.send(b"x")
    assert future.result(20).success and maps(pid, 77 * MB)
    bridge.receive_to_powershell("$x")
    bridge.close()
    moment = threading.Event()
    for _ in range(100):
        if not maps(pid, 77 * MB):
            return
        moment.wait(0.02)
    pytest.fail("the engine still has the bridge's memory")


def maps(pid: int, frame_bytes: int) -> bool:
    """Whether a process has a region with two frames of this size."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        for line in file:
            first, last = (int(part, 16) for part in line.split()[0].split("-"))
            if 2 * frame_bytes <= last - first < 2 * frame_bytes + 16 * MB and "zcb" in line:
                return True
    return False


# In every order


STEPS = ("post", "post lease", "send", "fetch", "run", "run async", "other")


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_everything_ends_well(shell: Shell, seed: int) -> None:
    chance = random.Random(seed)
    sizes = [0, 1, 1000, 300_000, MB, 3 * MB]
    with ZeroCopyBridge(shell, frame_mb=4, chunk_mb=0.25) as one, ZeroCopyBridge(shell) as two:
        posted: List[tuple] = []
        runs: List[tuple] = []
        names = itertools.count()
        for _ in range(60):
            step = chance.choice(STEPS)
            if step in ("post", "post lease"):
                name = f"$s{next(names)}"
                future = one.receive_to_powershell(name, lease=step == "post lease")
                posted.append((name, future))
            elif step == "send" and posted:
                name, future = posted.pop(0)
                size = chance.choice(sizes)
                one.send(os.urandom(1) * size)
                if chance.random() < 0.5:
                    assert length(shell, name) == size
                assert future.result(20).success
                assert length(shell, name) == size
                shell.run(f"if ({name} -is [IDisposable]) {{ {name}.Dispose() }}; {name} = $null")
            elif step == "fetch":
                size = chance.choice(sizes)
                sent = one.send_from_powershell(f"[byte[]]::new({size})")
                assert len(one.receive(timeout=20)) == size
                assert sent.result(20).success
            elif step == "run":
                assert shell.run("'now'", timeout=20).out == "now\n"
            elif step == "run async":
                number = next(names)
                runs.append((number, shell.run_async(f"{number}")))
            else:
                two.send(b"two", "$two")
                assert two.receive("$two") == b"two"
        for number, run in runs:
            assert run.result(20).out == f"{number}\n"
        for name, future in posted:
            one.send(b"end")
            assert future.result(20).success


def test_thousands_of_receives_end_by_their_callbacks_alone(own_shell: Shell) -> None:
    count = 6000  # more than the engine can tell of before somebody reads
    with ZeroCopyBridge(own_shell) as bridge:
        done = threading.Semaphore(0)
        futures = [bridge.receive_to_powershell("$x") for _ in range(count)]
        for future in futures:
            future.add_done_callback(lambda _: done.release())
        own_shell.run("1")
        own_shell.run_async("Start-Sleep 1")
        for _ in range(count):
            bridge.send(b"x")
        assert all(done.acquire(timeout=10) for _ in range(count))


def test_a_command_that_is_stopped_leaves_the_transfers_alone(
    shell: Shell, narrow: ZeroCopyBridge, large: bytes
) -> None:
    future = narrow.receive_to_powershell("$large")
    sending = Alongside(lambda: narrow.send(large))
    with pytest.raises(ExecutionTimeoutError):
        shell.run("Start-Sleep 60", timeout=0.1)
    sending.finish()
    assert future.result(20).success and length(shell, "$large") == LARGE
    shell.run("$large = $null")


def test_a_running_commands_callbacks_come_before_the_next_command_ends(
    shell: Shell, narrow: ZeroCopyBridge
) -> None:
    """The engine tells of a result when it goes on to something else, and does not keep it till that ends."""
    told = threading.Event()
    first = shell.run_async("'first'")
    first.add_done_callback(lambda _: told.set())
    second = shell.run_async("Start-Sleep 60")
    assert told.wait(20)
    second.cancel()
    told.clear()
    future = narrow.receive_to_powershell("$never")
    last = shell.run_async("'last'")
    last.add_done_callback(lambda _: told.set())
    assert told.wait(20) and not future.done()  # although the pipeline waits for a message now
    narrow.send(b"")
    assert future.result(20).success


@pytest.mark.parametrize("following", ["run", "receive"])
def test_a_timeout_while_a_value_is_assigned_stops_no_later_command(
    shell: Shell, bridge: ZeroCopyBridge, following: str
) -> None:
    objects = bridge.receive("1..400000", timeout=60)
    future = bridge.receive_to_powershell(
        "$x", timeout=0.15
    )  # it takes longer to make objects of it
    bridge.send(objects)
    with contextlib.suppress(TransferTimeoutError):
        future.result(20)
    if following == "run":
        assert shell.run("'next'").out == "next\n"
    else:
        future = bridge.receive_to_powershell("$y")
        shell.run("1")
        bridge.send(b"abc")
        assert future.result(20).success
    shell.run("$x = $null")
