"""Any sequence of operations, from one thread or several, does what a simple model says.

Hypothesis makes up a program for each thread: a list of operations. Each thread has a bridge and variables of
its own, and a model of what they hold; the session is everybody's.
"""

from __future__ import annotations

import concurrent.futures
import os
from collections import deque
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtualshell import (
    ExecutionTimeoutError,
    Shell,
    TransferError,
    TransferFuture,
    TransferTimeoutError,
    ZeroCopyBridge,
)

KB = 1 << 10
FRAME = 1024 * KB
QUEUED_MOST = FRAME // 4  # so that there is room for the next one, wherever the others lie
VIEWS_MOST = 3
WAIT_S = 60.0
EXAMPLES = int(os.environ.get("ZCB_EXAMPLES", "300"))
FAILS = "[int]'no number'"  # an expression that cannot be sent


class Data(NamedTuple):
    """Bytes that Hypothesis can name without writing them out."""

    size: int
    seed: int

    def make(self) -> bytes:
        pattern = bytes((self.seed + i) % 251 for i in range(251))
        return (pattern * (self.size // 251 + 1))[: self.size]


Operation = Tuple[str, Any]

names = st.sampled_from("abc")
data = st.builds(
    Data,
    st.one_of(st.sampled_from([0, 1, 4096, 64 * KB, QUEUED_MOST]), st.integers(0, QUEUED_MOST)),
    st.integers(0, 250),
)
operations = st.one_of(
    st.tuples(st.just("assign"), st.tuples(names, data)),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("look"), names),
    st.tuples(st.just("send_to"), st.tuples(names, data, st.booleans())),
    st.tuples(st.just("receive_from"), names),
    st.tuples(st.just("post_receive"), names),
    st.tuples(st.just("send"), st.tuples(data, st.booleans())),
    st.tuples(st.just("cancel_receive"), st.integers(0, 5)),
    st.tuples(st.just("post_send"), names),
    st.tuples(st.just("post_failing_send"), st.none()),
    st.tuples(st.just("receive"), st.booleans()),
    st.tuples(st.just("let_go"), st.integers(0, VIEWS_MOST)),
    st.tuples(st.just("time_out"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
)
programs = st.lists(st.lists(operations, max_size=30), min_size=1, max_size=3)


class Actor:
    """One thread's bridge and variables, and what they should hold."""

    def __init__(self, shell: Shell, number: int) -> None:
        self._shell = shell
        self._prefix = f"$actor{number}"
        self._variables: Dict[str, bytes] = {}
        self._unclaimed: Deque[bytes] = deque()  # sent, and no receive was posted
        self._posted: Deque[Tuple[TransferFuture, str]] = deque()
        self._outbound: Deque[Tuple[TransferFuture, Optional[bytes]]] = deque()  # None: it failed
        self._views: List[Tuple[memoryview, bytes]] = []
        self._bridge = self._open()

    def play(self, program: Sequence[Operation]) -> None:
        try:
            for name, argument in program:
                getattr(self, name)(argument)
            self.end()
        finally:
            self._bridge.close()
            self._run(f"Remove-Variable {self._prefix[1:]}*")

    def _open(self) -> ZeroCopyBridge:
        return ZeroCopyBridge(self._shell, frame_mb=FRAME / (1 << 20), chunk_mb=0.25)

    def _run(self, code: str) -> str:
        result = self._shell.run(code, timeout=WAIT_S)
        assert result.success, result.err
        return result.out.strip()

    # Variables

    def assign(self, argument: Tuple[str, Data]) -> None:
        name, (size, seed) = argument
        self._run(
            f"{self._prefix}{name} = [byte[]]::new({size});"
            f"[Array]::Fill({self._prefix}{name}, [byte]{seed})"
        )
        self._variables[name] = bytes([seed]) * size

    def remove(self, name: str) -> None:
        if self._variables.pop(name, None) is not None:
            self._run(f"Remove-Variable {self._prefix[1:]}{name}")

    def look(self, name: str) -> None:
        """What was sent before is there before the next command."""
        held = self._variables.get(name)
        length = self._run(f"if ($null -ne {self._prefix}{name}) {{ {self._prefix}{name}.Length }}")
        assert length == ("" if held is None else str(len(held)))

    # Transfers in one step: what is queued doesn't concern them

    def send_to(self, argument: Tuple[str, Data, bool]) -> None:
        name, content, lease = argument
        payload = content.make()
        self._bridge.send(payload, f"{self._prefix}{name}", timeout=WAIT_S, lease=lease)
        if lease:
            kept = f"{self._prefix}Lease"
            self._run(
                f"{kept} = {self._prefix}{name};"
                f"{self._prefix}{name} = {kept}.ToArray(); {kept}.Dispose()"
            )
        self._variables[name] = payload

    def receive_from(self, name: str) -> None:
        held = self._variables.get(name)
        if held is None:
            with pytest.raises(TransferError, match="does not exist"):
                self._bridge.receive(f"{self._prefix}{name}", timeout=WAIT_S)
        else:
            assert self._bridge.receive(f"{self._prefix}{name}", timeout=WAIT_S) == held

    # Transfers in two steps: messages and receives meet in order

    def post_receive(self, name: str) -> None:
        future = self._bridge.receive_to_powershell(f"{self._prefix}{name}", timeout=WAIT_S)
        if self._unclaimed:
            assert future.result(WAIT_S).success
            self._variables[name] = self._unclaimed.popleft()
        else:
            self._posted.append((future, name))

    def send(self, argument: Tuple[Data, bool]) -> None:
        content, in_place = argument
        payload = content.make()
        if sum(map(len, self._unclaimed)) + len(payload) > QUEUED_MOST:
            return
        if in_place and payload:
            memory = self._bridge.allocate(len(payload), timeout=WAIT_S)
            memory[:] = payload
            self._bridge.send(memory, timeout=WAIT_S)
        else:
            self._bridge.send(payload, timeout=WAIT_S)
        if self._posted:
            future, name = self._posted.popleft()
            assert future.result(WAIT_S).success
            self._variables[name] = payload
        else:
            self._unclaimed.append(payload)

    def cancel_receive(self, index: int) -> None:
        if index < len(self._posted):
            future, _ = self._posted[index]
            del self._posted[index]
            assert future.cancel()

    def post_send(self, name: str) -> None:
        if sum(len(sent or b"") for _, sent in self._outbound) > QUEUED_MOST:
            return
        future = self._bridge.send_from_powershell(f"{self._prefix}{name}", timeout=WAIT_S)
        self._outbound.append((future, self._variables.get(name)))
        if self._posted:
            self._run("1")  # evaluated before a message that is sent later changes the variable

    def post_failing_send(self, _: None) -> None:
        future = self._bridge.send_from_powershell(FAILS, timeout=WAIT_S)
        self._outbound.append((future, None))

    def receive(self, in_place: bool) -> None:
        if not self._outbound:
            with pytest.raises(TransferTimeoutError):
                self._bridge.receive(timeout=0)
            return
        future, sent = self._outbound.popleft()
        if sent is None:
            with pytest.raises(TransferError, match="no number|does not exist"):
                self._bridge.receive(timeout=WAIT_S)
        elif in_place and len(self._views) < VIEWS_MOST:
            view = self._bridge.receive(timeout=WAIT_S, return_memoryview=True)
            assert view == sent
            self._views.append((view, sent))
        else:
            assert self._bridge.receive(timeout=WAIT_S) == sent
        assert future.result(WAIT_S).success == (sent is not None)

    def let_go(self, index: int) -> None:
        if index < len(self._views):
            view, sent = self._views.pop(index)
            assert view == sent

    # What disturbs

    def time_out(self, _: None) -> None:
        with pytest.raises(ExecutionTimeoutError):
            self._shell.run("Start-Sleep 60", timeout=0.01)

    def reopen(self, _: None) -> None:
        """What nobody has taken goes with the bridge; views stay."""
        self._run("1")  # what was sent to a posted receive is there
        self._bridge.close()
        for future, _name in self._posted:
            assert isinstance(future.exception(WAIT_S), Exception) or not future.result().success
        self._posted.clear()
        self._unclaimed.clear()
        self._outbound.clear()
        self._bridge = self._open()

    def end(self) -> None:
        while self._outbound:
            self.receive(False)
        for name in "abc":
            self.look(name)
            self.receive_from(name)
        while self._views:
            self.let_go(0)


def play_all(shell: Shell, all_programs: List[List[Operation]]) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(all_programs)) as pool:
        actors = [Actor(shell, number) for number in range(len(all_programs))]
        futures = [pool.submit(actor.play, program) for actor, program in zip(actors, all_programs)]
        for future in futures:
            future.result()


def checked(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@checked(25)
@given(all_programs=programs)
def test_any_operations_in_any_threads_do_what_the_model_says(
    shell: Shell, all_programs: List[List[Operation]]
) -> None:
    play_all(shell, all_programs)


@pytest.mark.stress
@pytest.mark.timeout(900)
@checked(EXAMPLES)
@given(all_programs=programs)
def test_any_operations_in_any_threads_do_what_the_model_says_many_times(
    shell: Shell, all_programs: List[List[Operation]]
) -> None:
    play_all(shell, all_programs)
