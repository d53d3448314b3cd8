"""Results and exceptions go to other processes and stay what they are; what holds a session refuses, and says what to
do instead.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Callable, List, Type

import pytest

from virtualshell import (
    CommandResult,
    ExecutionError,
    ExecutionTimeoutError,
    Shell,
    TransferTimeoutError,
    VirtualShellError,
    WaitTimeoutError,
    ZeroCopyBridge,
    errors,
)

WAIT_S = 20
WAYS: List[Callable[[object], object]] = [
    copy.copy,
    copy.deepcopy,
    *[
        lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ],
]
KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, VirtualShellError)
]


def same(error: BaseException, other: object) -> bool:
    return (
        type(other) is type(error)
        and isinstance(other, BaseException)
        and other is not error
        and (str(other), other.args) == (str(error), error.args)
        and vars(other) == vars(error)
    )


# Results


@pytest.mark.parametrize("way", WAYS)
def test_a_result_equals_what_a_pickle_makes_of_it(shell: Shell, way) -> None:
    result = shell.run("'out'; Write-Warning w; Write-Error e; Write-Host h")
    again = way(result)
    assert isinstance(again, CommandResult) and again is not result or way is copy.copy
    assert again == result and hash(again) == hash(result) and len({again, result}) == 1
    assert repr(again) == repr(result) and not (again != result)
    assert way(again) == result


def test_results_of_different_commands_differ(shell: Shell) -> None:
    first, second = shell.run(["1", "1"])
    assert first != second and first == first
    assert first != "1\n" and first != pickle.loads(pickle.dumps(second))


def test_a_stripped_result_stays_stripped() -> None:
    with Shell(strip_results=True) as shell:
        result = shell.run("'text'")
    again = pickle.loads(pickle.dumps(result))
    assert again == result and again.out == "text"


# Exceptions


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_keeps_all_that_it_has(
    shell: Shell, kind: Type[VirtualShellError], way
) -> None:
    error = kind("what was wrong: `x\u00fc`", result=shell.run("'kept'"))
    error.more = {"of the": "user"}  # type: ignore[attr-defined]
    if hasattr(error, "add_note"):
        error.add_note("a note")
    again = way(error)
    assert same(error, again) and again.result.out == "kept\n" and again.more == error.more  # type: ignore[attr-defined]
    assert same(error, way(again))
    assert same(kind(), way(kind())) and way(kind()).result is None


@pytest.mark.parametrize("way", WAYS)
def test_exceptions_that_were_raised(shell: Shell, bridge: ZeroCopyBridge, way) -> None:
    calls: List[Callable[[], object]] = [
        lambda: shell.run("'kept'; throw 'x'", raise_on_error=True),
        lambda: shell.run("'kept'; Start-Sleep 60", timeout=0.1),
        lambda: bridge.receive(timeout=0),
        lambda: bridge.receive_to_powershell("$x", timeout=0.05).result(),
        lambda: bridge.receive_to_powershell("$x", timeout=5).result(0),
        lambda: bridge.receive("throw 'x'"),
        lambda: bridge.allocate(1 << 40),
        lambda: ZeroCopyBridge(shell, bridge.channel_name),
        Shell("/no/such/pwsh").start,
        lambda: Shell().run("1"),
    ]
    found = set()
    for call in calls:
        with pytest.raises(VirtualShellError) as caught:
            call()
        assert same(caught.value, way(caught.value))
        found.add(type(caught.value))
    assert {ExecutionError, ExecutionTimeoutError, TransferTimeoutError, WaitTimeoutError} < found
    assert len(found) == 9


def test_each_who_asks_a_future_gets_an_exception_of_his_own(shell: Shell) -> None:
    future = shell.run_async("'kept'; Start-Sleep 60", timeout=0.1)
    raised = []
    for _ in range(2):
        with pytest.raises(ExecutionTimeoutError) as caught:
            future.result(WAIT_S)
        raised.append(caught.value)
    first, second = raised
    stored = future.exception()
    assert stored is not None and stored.__traceback__ is None
    assert same(first, second) and same(first, stored)


# What holds a session


@pytest.mark.parametrize("way", WAYS)
def test_what_holds_a_session_refuses(shell: Shell, bridge: ZeroCopyBridge, way) -> None:
    bridge.send(b"data", "$data")
    view, memory = bridge.receive("$data", return_memoryview=True), bridge.allocate(10)
    refusals = {
        r"^a Shell can't be pickled or copied: start one in the other process and give it": shell,
        r"^a Shell can't .*: start one": Shell(),
        r"^a ZeroCopyBridge can't .*: open one where its Shell is": bridge,
        r"^a CommandFuture can't .*: wait for it here, and give": shell.run_async("1"),
        r"^a TransferFuture can't .*: wait for it here": bridge.receive_to_powershell("$x"),
        r"Lease can't be pickled or copied: .* make bytes of it$": view.obj,
        r"Allocation can't be pickled or copied: .* make bytes of it$": memory.obj,
        r"(?i)can.?not pickle .*session": shell._session,
        r"(?i)can.?not pickle .*bridge": bridge._main.native,
    }
    for words, value in refusals.items():
        with pytest.raises(TypeError, match=words):
            way(value)
    assert shell.run("'goes on'").out == "goes on\n" and view == b"data"
