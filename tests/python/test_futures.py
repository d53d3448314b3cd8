"""Futures finish however they are waited for, and also when nobody waits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
import time
import weakref

import pytest
from conftest import in_threads

from virtualshell import (
    ChannelError,
    CommandFuture,
    CommandResult,
    ExecutionTimeoutError,
    SessionLostError,
    Shell,
    TransferFuture,
    TransferTimeoutError,
    ZeroCopyBridge,
)
from virtualshell._native import Result
from virtualshell.futures import Completions

WAIT_S = 20


def test_they_are_real_futures(shell: Shell, bridge: ZeroCopyBridge) -> None:
    command = shell.run_async("1+1")
    transfer = bridge.receive_to_powershell("$x")
    assert isinstance(command, concurrent.futures.Future) and isinstance(command, CommandFuture)
    assert isinstance(transfer, concurrent.futures.Future) and isinstance(transfer, TransferFuture)
    bridge.send(b"x")
    assert command.result(WAIT_S).out == "2\n"
    assert transfer.result(WAIT_S).success
    assert command.exception() is None and transfer.exception() is None


def test_result_gives_the_same_object_again(shell: Shell) -> None:
    future = shell.run_async("1")
    assert future.result(WAIT_S) is future.result() is future.result(0)


def test_done_turns_true_with_nobody_in_result(shell: Shell, bridge: ZeroCopyBridge) -> None:
    command = shell.run_async("'polled'")
    transfer = bridge.receive_to_powershell("$polled")
    bridge.send(b"polled")
    end = time.monotonic() + WAIT_S
    while not (command.done() and transfer.done()):
        assert time.monotonic() < end, "never done"
    assert command.result(0).out == "polled\n"
    assert transfer.result(0).success


def test_futures_wait(shell: Shell, bridge: ZeroCopyBridge) -> None:
    futures = [shell.run_async(str(i)) for i in range(10)]
    futures.append(bridge.receive_to_powershell("$waited"))
    bridge.send(b"waited")
    done, pending = concurrent.futures.wait(futures, timeout=WAIT_S)
    assert (len(done), len(pending)) == (11, 0)


def test_as_completed(shell: Shell) -> None:
    futures = {shell.run_async(str(i)): i for i in range(20)}
    seen = [futures[f] for f in concurrent.futures.as_completed(futures, timeout=WAIT_S)]
    assert sorted(seen) == list(range(20))


def test_callbacks_of_futures(shell: Shell, bridge: ZeroCopyBridge) -> None:
    called = threading.Barrier(3)
    outs = []

    def note(future) -> None:
        outs.append(future.result().success)
        called.wait(WAIT_S)

    shell.run_async("1").add_done_callback(note)
    with Shell() as other:
        other.run_async("1").add_done_callback(note)
        called.wait(WAIT_S)
    assert outs == [True, True]


def test_the_callback_of_run_async_gets_the_result(shell: Shell) -> None:
    results, done = [], threading.Event()

    def note(result: CommandResult) -> None:
        results.append(result)
        done.set()

    future = shell.run_async("'called'", note)
    assert done.wait(WAIT_S)
    assert results[0].out == "called\n"
    assert results[0] is future.result()


def test_the_callback_of_run_async_is_called_for_a_timeout_too(shell: Shell) -> None:
    results, done = [], threading.Event()
    shell.run_async(
        "'kept'; Start-Sleep 60", lambda result: (results.append(result), done.set()), timeout=1
    )
    assert done.wait(WAIT_S)
    assert (results[0].status, results[0].out) == ("timed out", "kept\n")


def test_a_callback_may_use_the_shell(shell: Shell) -> None:
    outs, done = [], threading.Event()

    def more(result: CommandResult) -> None:
        outs.append(shell.run("'from the callback'").out)
        outs.append(shell.run_async("'and again'").result(WAIT_S).out)
        done.set()

    shell.run_async("1", more)
    assert done.wait(WAIT_S)
    assert outs == ["from the callback\n", "and again\n"]


def test_asyncio_wrap_future(shell: Shell, bridge: ZeroCopyBridge) -> None:
    async def work():
        transfer = bridge.receive_to_powershell("$wrapped")
        bridge.send(b"wrapped")
        outs = [asyncio.wrap_future(shell.run_async(f"{i}*2")) for i in range(5)]
        results = await asyncio.wait_for(asyncio.gather(*outs), WAIT_S)
        return [r.out for r in results], await asyncio.wrap_future(transfer)

    outs, transfer = asyncio.run(work())
    assert outs == ["0\n", "2\n", "4\n", "6\n", "8\n"]
    assert transfer.success


def test_cancelling_an_asyncio_task_stops_the_command(shell: Shell, gate) -> None:
    async def work() -> None:
        future = asyncio.wrap_future(shell.run_async(f"{gate.pass_command}; Start-Sleep 60"))
        await asyncio.get_running_loop().run_in_executor(None, gate.wait)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future

    asyncio.run(work())
    assert shell.run("'free again'", timeout=WAIT_S).out == "free again\n"


def test_asyncio_wait_for_gives_up_and_stops_the_command(shell: Shell) -> None:
    async def work() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(shell.run_async("Start-Sleep 60")), 0.2)

    asyncio.run(work())
    assert shell.run("'free again'", timeout=WAIT_S).out == "free again\n"


def test_a_result_that_is_not_there_in_time_raises_the_builtin_timeout_error(
    shell: Shell, gate
) -> None:
    future = shell.run_async(f"{gate.pass_command}; 'in the end'")
    for call in (future.result, future.exception):
        with pytest.raises(TimeoutError, match="goes on") as caught:
            call(0.05)
        assert isinstance(caught.value, concurrent.futures.TimeoutError)
    with pytest.raises(TimeoutError):
        future.result(0)
    with pytest.raises(TimeoutError):
        future.result(-1)
    gate.wait()
    assert future.result(WAIT_S).out == "in the end\n"


def test_several_threads_wait_for_one_future(shell: Shell, gate) -> None:
    future = shell.run_async(f"{gate.pass_command}; 'shared'")
    outs = []
    threads = [
        threading.Thread(target=lambda: outs.append(future.result(WAIT_S).out)) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    for thread in threads:
        thread.join(WAIT_S)
    assert outs == ["shared\n"] * 5


def test_a_thread_that_gives_up_leaves_the_result_to_the_others(shell: Shell, gate) -> None:
    future = shell.run_async(f"{gate.pass_command}; 'left'")
    outs = []
    first = threading.Thread(target=lambda: pytest.raises(TimeoutError, future.result, 0.2))
    first.start()
    other = threading.Thread(target=lambda: outs.append(future.result(WAIT_S).out))
    other.start()
    first.join(WAIT_S)
    gate.wait()
    other.join(WAIT_S)
    assert outs == ["left\n"]


def test_futures_of_many_threads_are_matched(shell: Shell) -> None:
    wrong = []

    def work(number: int) -> None:
        for i in range(30):
            if shell.run_async(f"'{number}-{i}'").result(WAIT_S).out != f"{number}-{i}\n":
                wrong.append((number, i))
            if shell.run(f"'{number}+{i}'").out != f"{number}+{i}\n":
                wrong.append((number, i))

    in_threads(6, work)
    assert wrong == []


def test_commands_run_in_the_order_in_which_they_were_given(shell: Shell) -> None:
    shell.run("$order = @()")
    futures = [shell.run_async(f"$order += {i}") for i in range(200)]
    concurrent.futures.wait(futures, WAIT_S)
    assert shell.run("$order -join ','").out == ",".join(map(str, range(200))) + "\n"


# Timeouts and ends


def test_the_timeout_of_a_command_raises_from_its_future(shell: Shell) -> None:
    future = shell.run_async("'kept'; Start-Sleep 60", timeout=1)
    with pytest.raises(ExecutionTimeoutError) as caught:
        future.result(WAIT_S)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.result is not None and caught.value.result.out == "kept\n"
    assert isinstance(future.exception(), ExecutionTimeoutError)


def test_the_timeout_of_a_posted_receive(shell: Shell, bridge: ZeroCopyBridge) -> None:
    future = bridge.receive_to_powershell("$never", timeout=0.1)
    with pytest.raises(TransferTimeoutError, match="Timeout waiting for PowerShell chunk"):
        future.result(WAIT_S)
    bridge.send(b"next", "$next")
    second = bridge.receive_to_powershell("$second")
    bridge.send(b"second")
    assert second.result(WAIT_S).success
    assert shell.run("$next.Length; $second.Length").out == "4\n6\n"


def test_the_timeout_of_a_posted_send_that_nobody_receives(shell: Shell) -> None:
    with ZeroCopyBridge(shell, frame_mb=1, chunk_mb=0.25) as bridge:
        future = bridge.send_from_powershell("[byte[]]::new(8MB)", timeout=1)
        with pytest.raises(TransferTimeoutError, match="receive"):
            future.result(WAIT_S)
        bridge.send_from_powershell("[byte[]](1,2)")
        assert bridge.receive(timeout=WAIT_S) == b"\x01\x02"


def test_stop_ends_all_futures_with_a_clear_error() -> None:
    shell = Shell().start()
    bridge = ZeroCopyBridge(shell)
    command = shell.run_async("Start-Sleep 60")
    queued = shell.run_async("1")
    transfer = bridge.receive_to_powershell("$x")
    shell.stop()
    for future in (command, queued):
        with pytest.raises(SessionLostError):
            future.result(WAIT_S)
    with pytest.raises((ChannelError, SessionLostError), match="closed"):
        transfer.result(WAIT_S)


def test_close_ends_the_futures_of_the_bridge_only(shell: Shell) -> None:
    bridge = ZeroCopyBridge(shell)
    transfers = [bridge.receive_to_powershell("$x"), bridge.receive_to_powershell("$y")]
    bridge.close()
    for transfer in transfers:
        with pytest.raises(ChannelError, match="closed"):
            transfer.result(WAIT_S)
    assert shell.run_async("1").result(WAIT_S).success


def test_exit_ends_the_futures_behind_it(own_shell: Shell) -> None:
    first = own_shell.run_async("exit 5")
    second = own_shell.run_async("1")
    assert (first.result(WAIT_S).status, first.result().exit_code) == ("exited", 5)
    with pytest.raises(SessionLostError, match="exit"):
        second.result(WAIT_S)


def test_futures_of_a_dropped_shell_end_and_its_thread_too() -> None:
    shell = Shell().start()
    future = shell.run_async("Start-Sleep 60")
    reference = weakref.ref(shell)
    del shell
    gc.collect()
    assert reference() is None
    with pytest.raises(SessionLostError):
        future.result(WAIT_S)
    reader = future._completions._reader
    assert reader is not None
    reader.join(WAIT_S)
    assert not reader.is_alive()


def test_an_exception_does_not_keep_its_future(shell: Shell) -> None:
    future = shell.run_async("Start-Sleep 60", timeout=0.05)
    gc.disable()
    try:
        try:
            future.result(WAIT_S)
        except TimeoutError:
            pass
        reference = weakref.ref(future)
        del future
        done = threading.Event()
        shell.run_async("1", lambda result: done.set())  # the reader has let go of what was before
        assert done.wait(WAIT_S)
        assert reference() is None
    finally:
        gc.enable()


def test_the_reader_thread_goes_on_when_it_had_no_memory(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = Completions._deliver
    shortage = [MemoryError(), MemoryError()]

    def starved(self: Completions, native: Result) -> None:
        if shortage:
            raise shortage.pop()
        deliver(self, native)

    monkeypatch.setattr(Completions, "_deliver", starved)
    future = shell.run_async("'there'")
    assert concurrent.futures.wait([future], WAIT_S).done == {future}
    assert future.result().out == "there\n" and not shortage


def test_a_future_that_could_not_be_settled_is_settled_by_the_next_who_asks(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, gate
) -> None:
    end = CommandFuture._end
    shortage = [MemoryError()]

    def starved(self: CommandFuture, native: Result) -> None:
        if shortage:
            raise shortage.pop()
        end(self, native)

    monkeypatch.setattr(CommandFuture, "_end", starved)
    future = shell.run_async(f"{gate.pass_command}; 'there'")
    gate.wait()
    with contextlib.suppress(MemoryError):  # or the reader thread had it, and tried again
        future.result(WAIT_S)
    assert future.result(WAIT_S).out == "there\n" and not shortage
