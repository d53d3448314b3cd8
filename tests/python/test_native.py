"""The extension itself: arguments, buffers, errors, signals, threads, and that nothing leaks."""

from __future__ import annotations

import array
import ast
import copy
import ctypes
import decimal
import fractions
import gc
import importlib.util
import inspect
import math
import mmap
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
from conftest import descriptors

from virtualshell import _native
from virtualshell._native import Bridge, CliXml, Error, Lease, Result, Session
from virtualshell.engine import module_folder

MIB = 1 << 20
SOON = 20.0


def start(**options: Any) -> Session:
    return Session(module=str(module_folder()), **options)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """Instead of conftest's: pytest holds a test's `bridge`, and with it descriptors, for longer
    than the test. test_descriptors_are_given_back looks after them."""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = start()
    yield session
    session.close()


@pytest.fixture
def own_session() -> Iterator[Session]:
    session = start()
    yield session
    session.close()


@pytest.fixture
def bridge(session: Session) -> Iterator[Bridge]:
    bridge = open_bridge(session)
    yield bridge
    bridge.close()


def open_bridge(session: Session) -> Bridge:
    return Bridge(session, frame_bytes=8 * MIB, window_bytes=MIB)


def done(session: Session, id: int) -> Result:
    result = session.wait(id, SOON)
    assert result is not None and result.success, result and result.err
    return result


def into(session: Session, bridge: Bridge, data: Any, target: str = "$native", **how: Any) -> None:
    id = bridge.post_receive(target, SOON)
    bridge.send(data, SOON, **how)
    done(session, id)


def out_of(session: Session, bridge: Bridge, expression: str) -> bytes:
    id = bridge.post_send(expression, timeout=SOON)
    kind, data, of = bridge.receive(SOON)
    assert (kind, of) == (_native.KIND_CLIXML if type(data) is CliXml else _native.KIND_BYTES, id)
    done(session, id)
    return data


def leased_from(session: Session, bridge: Bridge, expression: str) -> Lease:
    id = bridge.post_send(expression, timeout=SOON)
    kind, lease, of = bridge.receive_lease(SOON)
    assert (kind, of) == (lease.kind, id)
    done(session, id)
    return lease


# ---------------------------------------------------------------- the module


def stub() -> ast.Module:
    return ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text(encoding="utf-8"))


def stub_names(body: List[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_stub_names_what_is_there() -> None:
    public = {name for name in vars(_native) if not name.startswith("_")}
    assert public == set(stub_names(stub().body))


def test_stub_names_the_members() -> None:
    for node in stub().body:
        if isinstance(node, ast.ClassDef):
            defined = set(vars(getattr(_native, node.name)))
            named = {name for name in stub_names(node.body)} - {"__init__", "__buffer__"}
            assert named <= defined, node.name
            assert {name for name in defined if not name.startswith("_")} <= named, node.name


def test_stub_has_the_parameters() -> None:
    for node in stub().body:
        if not isinstance(node, ast.ClassDef):
            continue
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and not method.decorator_list:
                owner = getattr(_native, node.name)
                if method.name.startswith("__"):
                    continue
                actual = inspect.signature(getattr(owner, method.name)).parameters
                assert list(actual) == [argument.arg for argument in method.args.args], method.name


@pytest.mark.parametrize("name", ["Session", "Bridge", "Lease", "Result"])
def test_types_are_final(name: str) -> None:
    with pytest.raises(TypeError):
        type("Derived", (getattr(_native, name),), {})


def test_no_lease_out_of_nothing() -> None:
    with pytest.raises(TypeError):
        Lease()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        object.__new__(Lease)


def test_second_copy_of_the_module_goes_when_dropped() -> None:
    spec = importlib.util.spec_from_file_location("virtualshell._native", _native.__file__)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.Session is not Session
    types = [weakref.ref(value) for value in vars(module).values() if isinstance(value, type)]
    assert len(types) == 9
    del module, spec
    gc.collect()
    assert [type() for type in types] == [None] * 9


# ---------------------------------------------------------------- errors


def test_no_such_engine() -> None:
    with pytest.raises(Error) as caught:
        _native.find_engine("/no/such/pwsh")
    assert caught.value.name == "ZCB_ERR_NOT_FOUND" and caught.value.code == 14
    assert "/no/such/pwsh" in str(caught.value)
    with pytest.raises(Error, match="/no/such/pwsh"):
        Session(engine="/no/such/pwsh")


def test_error_survives_pickling() -> None:
    with pytest.raises(Error) as caught:
        _native.find_engine("/no/such/pwsh")
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is Error and str(error) == str(caught.value)
    assert (error.code, error.name, error.refused_by) == (14, "ZCB_ERR_NOT_FOUND", 0)


def test_error_has_its_attributes_before_it_is_raised() -> None:
    assert (Error.code, Error.name, Error.refused_by) == (0, "", 0)
    assert issubclass(Error, RuntimeError)


@pytest.mark.parametrize(
    "options, error",
    [
        ({"environment": 3}, TypeError),
        ({"environment": "A=1"}, TypeError),
        ({"environment": {1: "x"}}, TypeError),
        ({"environment": {"A": 1}}, TypeError),
        ({"environment": {"": "x"}}, ValueError),
        ({"environment": {"A=B": "x"}}, ValueError),
        ({"environment": {"A\0": "x"}}, ValueError),
        ({"environment": {"A": "x\0"}}, ValueError),
        ({"engine": 3}, TypeError),
        ({"module": 3}, TypeError),
        ({"working_directory": "a\0b"}, ValueError),
        ({"width": 0}, ValueError),
        ({"width": 1 << 70}, ValueError),
        ({"width": "80"}, TypeError),
        ({"width": True}, TypeError),
        ({"start_timeout": -1}, ValueError),
        ({"start_timeout": "1"}, TypeError),
        ({"grace": None}, TypeError),
        ({"grace": math.nan}, ValueError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_bad_options(options: Dict[str, Any], error: type) -> None:
    with pytest.raises(error):
        Session(engine="/no/such/pwsh", **options)
    with pytest.raises(TypeError):
        Session("/no/such/pwsh")  # type: ignore[misc]


# ---------------------------------------------------------------- timeouts


@pytest.mark.parametrize(
    "timeout",
    [None, 20, 20.5, math.inf, 10**400, fractions.Fraction(81, 4), decimal.Decimal("9.5")],
)
def test_timeout_that_is_one(session: Session, timeout: Any) -> None:
    assert session.run("1", timeout).out.strip() == "1"


@pytest.mark.parametrize("timeout", [-1, -0.001, -math.inf, math.nan, -(10**400)])
def test_timeout_out_of_range(session: Session, bridge: Bridge, timeout: Any) -> None:
    for call in (lambda: session.run("1", timeout), lambda: bridge.receive(timeout)):
        with pytest.raises(ValueError) as caught:
            call()
        assert repr(timeout) in str(caught.value)


@pytest.mark.parametrize("timeout", [True, "1", b"1", 1j, [1]])
def test_timeout_of_another_type(session: Session, bridge: Bridge, timeout: Any) -> None:
    for call in (
        lambda: session.run("1", timeout),
        lambda: session.wait(1, timeout),
        lambda: bridge.send(b"", timeout),
        lambda: bridge.post_send("1", timeout=timeout),
    ):
        with pytest.raises(TypeError, match=type(timeout).__name__):
            call()


def test_receive_times_out(bridge: Bridge) -> None:
    for receive in (bridge.receive, bridge.receive_lease):
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^Timeout waiting for PowerShell chunk.*0\.1 s.*"):
            receive(0.1)
        assert 0.1 <= time.monotonic() - begin < 2
        with pytest.raises(TimeoutError):
            receive(0)


def test_send_times_out_and_the_bridge_goes_on(session: Session, bridge: Bridge) -> None:
    data = bytes(32 * MIB)
    with pytest.raises(TimeoutError, match="Timeout sending 33554432 bytes.*withdrawn"):
        bridge.send(data, 0.1)
    into(session, bridge, b"after")
    assert out_of(session, bridge, "$native") == b"after"


def test_wait_times_out_and_the_command_goes_on(session: Session) -> None:
    id = session.submit("Start-Sleep -Milliseconds 400; 'slept'")
    with pytest.raises(TimeoutError, match=f"command {id}"):
        session.wait(id, 0.01)
    assert done(session, id).out.strip() == "slept"


def test_run_times_out_with_its_output(session: Session) -> None:
    result = session.run("'before'; Start-Sleep 30", 0.3)
    assert result.status == _native.STATUS_TIMED_OUT and "before" in result.out
    assert session.run("'next'").out.strip() == "next"


# ---------------------------------------------------------------- commands


def test_result(session: Session) -> None:
    result = session.run("'hällo ☃ 𝄞'; Write-Error 'wrong'; Write-Warning 'careful'")
    assert result.out.splitlines() == ["hällo ☃ 𝄞"] and result.out is result.out
    assert "wrong" in result.err and "careful" in result.warning
    assert result.verbose == result.debug == result.progress == ""
    assert (result.op, result.status) == (_native.OP_RUN, _native.STATUS_DONE)
    assert (result.success, result.refused, result.exit_code) == (False, False, 1) or result.success
    assert result.execution_ns > 0
    with pytest.raises(AttributeError):
        result.out = ""  # type: ignore[misc]


def test_text_arguments(session: Session) -> None:
    assert session.run(text="'a\0b'.Length", timeout=None, local_scope=True).out.strip() == "3"
    for call in (
        lambda: session.run(),  # type: ignore[call-arg]
        lambda: session.run(b"1"),  # type: ignore[arg-type]
        lambda: session.run("1", None, False, 1),  # type: ignore[call-arg]
        lambda: session.run("1", text="1"),  # type: ignore[misc]
        lambda: session.run("1", limit=1),  # type: ignore[call-arg]
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(UnicodeEncodeError):
        session.run("\ud800")


def test_submit_wait_next_stop(own_session: Session) -> None:
    session = own_session
    first = session.submit("'first'")
    assert done(session, first).out.strip() == "first"
    assert session.wait(first) is None
    assert session.wait(1 << 60) is None
    second = session.submit("'second'")
    result = session.next()
    assert result is not None and result.id == second
    third = session.submit("Start-Sleep 60")
    assert session.stop(third) is True
    stopped = session.wait(third, SOON)
    assert stopped is not None and stopped.status == _native.STATUS_STOPPED
    assert session.stop(third) is False


def test_an_empty_result_is_filled_by_who_waits(own_session: Session) -> None:
    empty = Result()
    assert (empty.id, empty.status, empty.success, empty.out) == (0, 0, False, "")
    id = own_session.submit("'filled'")
    assert own_session.wait(id, SOON, empty) is empty
    assert empty.id == id and empty.out.strip() == "filled"
    second, into = own_session.submit("'second'"), Result()
    assert own_session.next(into=into) is into and into.id == second
    for wrong in (into, None, 1):
        with pytest.raises(TypeError, match="empty Result"):
            own_session.next(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no arguments"):
        Result(1)  # type: ignore[call-arg]


@pytest.mark.parametrize("id, error", [(-1, ValueError), (1 << 64, ValueError), ("1", TypeError)])
def test_ids(session: Session, bridge: Bridge, id: Any, error: type) -> None:
    for call in (session.wait, session.stop, bridge.seen, bridge.withdraw):
        with pytest.raises(error):
            call(id)


def test_properties(session: Session) -> None:
    assert session.run("$PID").out.strip() == str(session.pid)
    assert session.run('"$($PSVersionTable.PSVersion)"').out.strip() == session.version
    assert os.path.isabs(session.engine)
    assert session.alive() == (True, "")
    session.ping(SOON)


def test_environment_and_folder(tmp_path: Path) -> None:
    environment = {"ZCB_TEST_SET": "ä=ö;", "HOME": str(tmp_path), "ZCB_TEST_GONE": None}
    os.environ["ZCB_TEST_GONE"] = "1"
    try:
        session = start(environment=environment, working_directory=str(tmp_path), width=40)
    finally:
        del os.environ["ZCB_TEST_GONE"]
    try:
        result = session.run("$env:ZCB_TEST_SET; $null -eq $env:ZCB_TEST_GONE; $PWD.Path")
        assert result.out.splitlines() == ["ä=ö;", "True", str(tmp_path)]
    finally:
        session.close()


def test_many_threads_on_one_session(session: Session) -> None:
    wrong: List[object] = []

    def work(number: int) -> None:
        for i in range(50):
            out = session.run(f"{number} * 1000 + {i}").out.strip()
            if out != str(number * 1000 + i):
                wrong.append((number, i, out))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---------------------------------------------------------------- buffers


BUFFERS: List[Callable[[], Any]] = [
    lambda: b"bytes",
    lambda: bytearray(b"bytearray"),
    lambda: memoryview(b"memoryview"),
    lambda: memoryview(b"abcdef")[2:4],
    lambda: array.array("d", [1.5, 2.5]),
    lambda: memoryview(array.array("h", [1, 2, 3])),
    lambda: (ctypes.c_int * 3)(1, 2, 3),
    lambda: mmap.mmap(-1, 4096),
    lambda: b"",
]


@pytest.mark.parametrize("make", BUFFERS)
def test_buffers_arrive_as_their_bytes(
    session: Session, bridge: Bridge, make: Callable[[], Any]
) -> None:
    data = make()
    into(session, bridge, data)
    assert out_of(session, bridge, "$native") == bytes(data)


@pytest.mark.parametrize(
    "data, error, says",
    [
        ("text", TypeError, "encode"),
        (3, TypeError, "int"),
        (None, TypeError, "NoneType"),
        ([1, 2], TypeError, "list"),
        (memoryview(b"abcdef")[::2], BufferError, "ascontiguousarray"),
    ],
)
def test_what_is_no_buffer(bridge: Bridge, data: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        bridge.send(data)


def test_released_view(bridge: Bridge) -> None:
    view = memoryview(b"x")
    view.release()
    with pytest.raises(ValueError, match="released"):
        bridge.send(view)


def test_numpy(session: Session, bridge: Bridge) -> None:
    numpy = pytest.importorskip("numpy")
    matrix = numpy.arange(12.0).reshape(3, 4)
    matrix.setflags(write=False)
    into(session, bridge, matrix)
    assert out_of(session, bridge, "$native") == matrix.tobytes()
    for other in (matrix.T, matrix[:, 1:]):
        with pytest.raises(BufferError, match="ascontiguousarray"):
            bridge.send(other)
    with pytest.raises(TypeError, match="Python objects"):
        bridge.send(numpy.array([object()]))
    into(session, bridge, numpy.zeros(2, dtype=[("Other", "i4"), ("O", "u1")]))
    view = numpy.frombuffer(leased_from(session, bridge, "$native"), dtype="u1")
    assert len(view) == 10 and not view.flags.writeable


def test_buffer_is_held_while_it_is_sent(session: Session, bridge: Bridge) -> None:
    data = bytearray(32 * MIB)
    thread = threading.Thread(target=lambda: bridge.send(data, SOON))
    thread.start()
    time.sleep(0.1)
    with pytest.raises(BufferError):
        data.append(1)
    done(session, bridge.post_receive("$native", SOON))
    thread.join()
    data.append(1)


@pytest.mark.parametrize("kind, error", [(0, ValueError), (3, ValueError), ("1", TypeError)])
def test_bad_kind(bridge: Bridge, kind: Any, error: type) -> None:
    with pytest.raises(error, match="kind"):
        bridge.send(b"", kind=kind)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8 * MIB, 8 * MIB + 1, 24 * MIB])
def test_sizes(session: Session, bridge: Bridge, size: int) -> None:
    data = os.urandom(size)
    into(session, bridge, data)
    received = out_of(session, bridge, "$native")
    assert type(received) is bytes and received == data
    lease = leased_from(session, bridge, "$native")
    assert len(lease) == size and memoryview(lease) == data
    assert lease.in_place or size > MIB


# ---------------------------------------------------------------- CliXml


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5000])
def test_clixml_is_bytes(size: int) -> None:
    data = os.urandom(size)
    xml = CliXml(data)
    assert type(xml) is CliXml and isinstance(xml, bytes)
    assert xml == data and hash(xml) == hash(data)
    assert type(xml[:1]) is bytes
    assert copy.copy(xml) is xml and copy.deepcopy(xml) is xml
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(xml, protocol))
        assert type(again) is CliXml and again == data


def test_object_comes_and_goes_back(session: Session, bridge: Bridge) -> None:
    session.run("$made = [pscustomobject]@{Name = 'Tæst'; Values = 1..2000}")
    xml = out_of(session, bridge, "$made")
    assert type(xml) is CliXml and "Tæst" in xml.decode() and len(xml) > 4096
    assert hash(xml) == hash(bytes(xml)) and pickle.loads(pickle.dumps(xml)) == xml
    small = out_of(session, bridge, "(1, 'two')")
    assert type(small) is CliXml and hash(small) == hash(bytes(small))
    lease = leased_from(session, bridge, "$made")
    assert lease.kind == _native.KIND_CLIXML
    for back in (xml, lease, memoryview(xml), memoryview(lease)):
        into(session, bridge, back)
        assert session.run('"$($native.Name) $($native.Values.Count)"').out.strip() == "Tæst 2000"
    part = memoryview(lease)[1:]
    for plain in (bytes(xml), part):
        into(session, bridge, plain)
        assert session.run("$native.GetType().Name").out.strip() == "Byte[]"
    into(session, bridge, xml, kind=_native.KIND_BYTES)
    assert session.run("$native.GetType().Name").out.strip() == "Byte[]"
    into(session, bridge, bytes(xml), kind=_native.KIND_CLIXML)
    assert session.run("$native.Name").out.strip() == "Tæst"


# ---------------------------------------------------------------- leases


def test_lease_is_a_read_only_buffer(session: Session, bridge: Bridge) -> None:
    lease = leased_from(session, bridge, "[byte[]](1..200)")
    view = memoryview(lease)
    assert view.obj is lease and view.readonly and view.nbytes == len(lease) == 200
    assert bytes(view) == bytes(range(1, 201))
    with pytest.raises(TypeError):
        view[0] = 1
    with pytest.raises((BufferError, TypeError)):
        ctypes.c_char.from_buffer(lease)


def test_lease_outlives_its_bridge_and_session() -> None:
    session = start()
    bridge = open_bridge(session)
    views = [
        memoryview(leased_from(session, bridge, f"[byte[]]::new({size})"))
        for size in (0, 1, MIB, 24 * MIB)
    ]
    bridge.close()
    session.close()
    del bridge, session
    gc.collect()
    assert [len(view) for view in views] == [0, 1, MIB, 24 * MIB]
    assert not any(any(view) for view in views)


def test_lease_is_kept_while_others_pass(session: Session, bridge: Bridge) -> None:
    session.run("$kept = [byte[]](1..250); $other = [byte[]]::new(100000)")
    kept = leased_from(session, bridge, "$kept")
    for _ in range(200):
        assert len(out_of(session, bridge, "$other")) == 100000
    assert bytes(memoryview(kept)) == bytes(range(1, 251))


# ---------------------------------------------------------------- posted transfers


def test_bad_targets(bridge: Bridge) -> None:
    for target in ("", "x", "1+1", "$x\0"):
        with pytest.raises(ValueError, match="no variable"):
            bridge.post_receive(target)
    with pytest.raises(ValueError):
        bridge.post_send("")
    with pytest.raises(ValueError, match="depth"):
        bridge.post_send("1", depth=101)


def test_failed_send_is_a_message(session: Session, bridge: Bridge) -> None:
    id = bridge.post_send("$noSuchVariable_")
    kind, text, of = bridge.receive(SOON)
    assert (kind, of) == (_native.KIND_ERROR, id) and "noSuchVariable_" in text.decode()
    result = session.wait(id, SOON)
    assert result is not None and not result.success and result.op == _native.OP_SEND


def test_refused_receive(session: Session, bridge: Bridge) -> None:
    id = bridge.post_receive("$x y")
    result = session.wait(id, SOON)
    assert result is not None and not result.success and result.refused
    with pytest.raises(Error) as caught:
        bridge.send(b"x", SOON)
    assert (caught.value.name, caught.value.refused_by) == ("ZCB_ERR_REFUSED", id)
    into(session, bridge, b"next")


def test_failure_that_was_seen(session: Session, bridge: Bridge) -> None:
    id = bridge.post_receive("$x y")
    session.wait(id, SOON)
    bridge.seen(id)
    into(session, bridge, b"next")


def test_withdraw(session: Session, bridge: Bridge) -> None:
    id = bridge.post_receive("$native")
    assert bridge.withdraw(id) is True
    result = session.wait(id, SOON)
    assert result is not None and result.status == _native.STATUS_STOPPED
    assert bridge.withdraw(id) is False
    into(session, bridge, b"next")


@pytest.mark.parametrize(
    "sizes, error",
    [
        ({"frame_bytes": 0, "window_bytes": MIB}, ValueError),
        ({"frame_bytes": MIB, "window_bytes": -1}, ValueError),
        ({"frame_bytes": 1 << 50, "window_bytes": MIB}, ValueError),
        ({"frame_bytes": 1.5, "window_bytes": MIB}, TypeError),
        ({"frame_bytes": MIB}, TypeError),
    ],
)
def test_bad_sizes(session: Session, sizes: Dict[str, Any], error: type) -> None:
    with pytest.raises(error):
        Bridge(session, **sizes)
    with pytest.raises(TypeError):
        Bridge(None, frame_bytes=MIB, window_bytes=MIB)  # type: ignore[arg-type]


# ---------------------------------------------------------------- signals


class Alarm(Exception):
    pass


def raise_alarm(*_: object) -> None:
    raise Alarm


@pytest.fixture
def alarm() -> Iterator[Callable[..., None]]:
    """Lets a handler run in the main thread, soon."""
    timers: List[threading.Timer] = []
    before = signal.getsignal(signal.SIGUSR1)

    def set_alarm(handler: Callable[..., object] = raise_alarm, delay: float = 0.1) -> None:
        signal.signal(signal.SIGUSR1, handler)
        main = threading.main_thread().ident
        assert main
        timers.append(threading.Timer(delay, signal.pthread_kill, (main, signal.SIGUSR1)))
        timers[-1].start()

    yield set_alarm
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGUSR1, before)


def test_handler_that_raises_ends_every_wait(
    own_session: Session, alarm: Callable[..., None]
) -> None:
    session, bridge = own_session, open_bridge(own_session)
    id = session.submit("Start-Sleep 60")
    for wait in (
        lambda: bridge.receive(SOON),
        lambda: bridge.receive_lease(),
        lambda: bridge.send(bytes(32 * MIB)),
        lambda: session.wait(id),
        lambda: session.next(),
    ):
        alarm()
        begin = time.monotonic()
        with pytest.raises(Alarm):
            wait()
        assert time.monotonic() - begin < 0.1 + 0.3
    session.stop(id)
    session.wait(id, SOON)
    into(session, bridge, b"goes on")
    assert out_of(session, bridge, "$native") == b"goes on"


def test_interrupted_command_is_stopped(session: Session, alarm: Callable[..., None]) -> None:
    alarm()
    begin = time.monotonic()
    with pytest.raises(Alarm):
        session.run("$interrupted = 1; Start-Sleep 60; $interrupted = 2")
    assert session.run("$interrupted").out.strip() == "1"
    assert time.monotonic() - begin < 10


def until_alarm(work: Callable[[], None]) -> None:
    with pytest.raises(Alarm):
        while True:
            work()


@pytest.mark.parametrize("lease", [False, True])
def test_interrupted_anywhere_in_receive(
    session: Session, bridge: Bridge, alarm: Callable[..., None], lease: bool
) -> None:
    receive = bridge.receive_lease if lease else bridge.receive
    session.run("$block = [byte[]]::new(24MB)")

    def work() -> None:
        bridge.post_send("$block")
        assert len(receive(SOON)[1]) == 24 * MIB

    for delay in (0.02, 0.05, 0.08, 0.11):
        alarm(delay=delay)
        until_alarm(work)
    last = bridge.post_send("[byte[]](1..5)")
    while True:
        kind, data, id = receive(SOON)
        if id == last:
            break
        assert (kind, len(data)) == (_native.KIND_BYTES, 24 * MIB)
    assert bytes(data) == bytes(range(1, 6))


def test_interrupted_anywhere_in_send(
    session: Session, bridge: Bridge, alarm: Callable[..., None]
) -> None:
    block = os.urandom(24 * MIB)
    posted = 0

    def work() -> None:
        nonlocal posted
        posted = bridge.post_receive("$native")
        bridge.send(block, SOON)
        session.wait(posted, SOON)

    for delay in (0.05, 0.1, 0.15, 0.2):
        alarm(delay=delay)
        until_alarm(work)
        try:
            session.wait(posted, 1)
        except TimeoutError:  # its message was withdrawn
            bridge.send(block, SOON)
            done(session, posted)
    assert out_of(session, bridge, "$native") == block


def test_handler_that_does_not_raise_lets_the_wait_go_on(
    session: Session, bridge: Bridge, alarm: Callable[..., None]
) -> None:
    called: List[object] = []
    alarm(lambda *_: called.append(session.run("'in a handler'").out.strip()))
    with pytest.raises(TimeoutError):
        bridge.receive(0.4)
    assert called == ["in a handler"]


def test_handler_cannot_wait_for_its_own_thread(
    session: Session, bridge: Bridge, alarm: Callable[..., None]
) -> None:
    alarm(lambda *_: bridge.receive())
    with pytest.raises(RuntimeError, match="signal handler"):
        bridge.receive(SOON)
    alarm(lambda *_: session.run("1"))
    with pytest.raises(RuntimeError, match="signal handler"):
        session.run("Start-Sleep 60")


def test_handler_closes(own_session: Session, alarm: Callable[..., None]) -> None:
    alarm(lambda *_: own_session.close(), delay=0.3)
    result = own_session.run("Start-Sleep 60")
    assert result.status == _native.STATUS_LOST


def test_signals_are_for_the_main_thread(bridge: Bridge, alarm: Callable[..., None]) -> None:
    caught: List[BaseException] = []
    ended = threading.Event()

    def wait() -> None:
        try:
            bridge.receive(0.5)
        except BaseException as error:
            caught.append(error)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    alarm()
    with pytest.raises(Alarm):
        ended.wait(SOON)
    assert ended.wait(SOON)
    thread.join()
    assert [type(error) for error in caught] == [_native.Timeout]


# ---------------------------------------------------------------- the end


def test_close_ends_waits_of_other_threads(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    ended: List[object] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            ended.append(call())
        except Error as error:
            ended.append(error.name)

    calls: List[Callable[[], object]] = [
        bridge.receive,
        lambda: bridge.send(bytes(32 * MIB)),
        own_session.next,
        lambda: own_session.run("Start-Sleep 60").status,
    ]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    own_session.close()
    for thread in threads:
        thread.join(SOON)
    assert sorted(map(str, ended)) == sorted(
        ["ZCB_ERR_CLOSED", "ZCB_ERR_CLOSED", "None", str(_native.STATUS_LOST)]
    )


def test_after_close(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    assert bridge.closed is False
    bridge.close()
    bridge.close()
    assert bridge.closed is True
    for call in (lambda: bridge.send(b"x"), bridge.receive, lambda: bridge.post_send("1")):
        with pytest.raises(Error, match="closed"):
            call()
    own_session.close(0)
    own_session.close()
    alive, why = own_session.alive()
    assert not alive and "closed" in why
    for command in (lambda: own_session.run("1"), lambda: own_session.submit("1")):
        with pytest.raises(Error, match="closed"):
            command()
    assert own_session.next() is None
    with pytest.raises(Error, match="^Failed to create channel"):
        open_bridge(own_session)


def test_killed_engine(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    timer = threading.Timer(0.2, os.kill, (own_session.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(Error) as caught:
        bridge.receive(SOON)
    assert caught.value.name == "ZCB_ERR_PEER_GONE" and "signal 9" in str(caught.value)
    with pytest.raises(Error, match="signal 9"):
        own_session.run("1")
    timer.join()


def test_dropped_bridge_and_session_go() -> None:
    session = start()
    bridge = open_bridge(session)
    bridge.send(b"never received")
    pid, references = session.pid, (weakref.ref(bridge), weakref.ref(session))
    del session
    assert references[1]() is not None, "a bridge keeps its session"
    begin = time.monotonic()
    del bridge
    assert references[0]() is None and references[1]() is None
    assert time.monotonic() - begin < 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_descriptors_are_given_back(session: Session) -> None:
    def transfer() -> None:
        bridge = open_bridge(session)
        into(session, bridge, b"data")
        assert leased_from(session, bridge, "$native").in_place

    transfer()
    before = descriptors()
    for _ in range(3):
        transfer()
        start().close()
    assert descriptors() == before


def test_objects_are_the_parents(own_session: Session) -> None:
    bridge = open_bridge(own_session)
    lease = leased_from(own_session, bridge, "[byte[]](1..100)")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            refused = 0
            for call in (lambda: own_session.run("1"), bridge.receive, lambda: bridge.send(b"x")):
                try:
                    call()
                except Error as error:
                    refused += error.name == "ZCB_ERR_FORKED"
            own_session.close()
            bridge.close()
            kept = bytes(memoryview(lease))
            del lease, bridge, own_session
            gc.collect()
            status = 0 if refused == 3 and kept == bytes(range(1, 101)) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own_session.run("'still'").out.strip() == "still"
    into(own_session, bridge, b"still")
    assert bytes(memoryview(lease)) == bytes(range(1, 101))


def test_no_memory_for_a_message(run_python: Callable[..., Any]) -> None:
    ran: "subprocess.CompletedProcess[str]" = run_python(
        """
import resource
from pathlib import Path
from virtualshell import _native
from virtualshell.engine import module_folder

session = _native.Session(module=str(module_folder()))
bridge = _native.Bridge(session, frame_bytes=1 << 20, window_bytes=1 << 20)
session.run("$large = [byte[]]::new(512MB); $small = [byte[]](1..9)")
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20), resource.RLIM_INFINITY))
for receive in (bridge.receive, bridge.receive_lease):
    bridge.post_send("$large")
    bridge.post_send("$small")
    try:
        receive(20)
    except MemoryError as error:
        assert "536870912 bytes" in str(error), error
    else:
        raise SystemExit("no MemoryError")
    kind, data, id = receive(20)
    assert bytes(data) == bytes(range(1, 10))
session.close()
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_exit_without_close(run_python: Callable[..., Any]) -> None:
    """At exit nothing hangs or crashes, whatever other threads wait for."""
    ran: "subprocess.CompletedProcess[str]" = run_python(
        """
import threading
from virtualshell import _native
from virtualshell.engine import module_folder

session = _native.Session(module=str(module_folder()))
bridge = _native.Bridge(session, frame_bytes=1 << 20, window_bytes=1 << 20)
kept = bridge.post_send("[byte[]](1..9)") and bridge.receive_lease(20)[1]
_native.kept = (session, bridge, kept, session.run("1"))
for wait in (session.next, bridge.receive):
    threading.Thread(target=wait, daemon=True).start()
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# ---------------------------------------------------------------- leaks


def growth(work: Callable[[], None], times: int) -> float:
    """References or, in a release build, traced bytes that a repetition leaves behind."""
    count: Callable[[], int]
    tracing = tracemalloc.is_tracing()
    if hasattr(sys, "gettotalrefcount"):
        count = sys.gettotalrefcount
    else:
        tracemalloc.start()
        count = lambda: tracemalloc.get_traced_memory()[0]  # noqa: E731
    try:
        for _ in range(5):
            work()
        gc.collect()
        before = count()
        for _ in range(times):
            work()
        gc.collect()
        return (count() - before) / times
    finally:
        if not tracing:
            tracemalloc.stop()


def attempt(call: Callable[[], object]) -> Callable[[], None]:
    def work() -> None:
        try:
            call()
        except (
            ArithmeticError,
            BufferError,
            MemoryError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ):
            pass

    return work


def test_nothing_leaks_in_calls(session: Session, bridge: Bridge) -> None:
    calls: Dict[str, Callable[[], object]] = {
        "run": lambda: session.run("1", timeout=9, local_scope=True).out,
        "submit": lambda: session.wait(session.submit("1")),
        "no such id": lambda: session.wait(1 << 60),
        "alive": session.alive,
        "engine": _native.find_engine,
        "no engine": lambda: _native.find_engine("/no/such/pwsh"),
        "no session": lambda: Session(engine="/no/such/pwsh", environment={"A": "1", "B": None}),
        "bad option": lambda: Session(engine="a", module="b", environment={"A": "1", "B": 1}),  # type: ignore[dict-item]
        "bad path": lambda: Session(engine="a", module=3),  # type: ignore[arg-type]
        "no keyword": lambda: session.run("1", limit=1),  # type: ignore[call-arg]
        "bad text": lambda: session.run(b"1"),  # type: ignore[arg-type]
        "bad timeout": lambda: session.run("1", -1),
        "receive timeout": lambda: bridge.receive(0),
        "not a buffer": lambda: bridge.send("text"),
        "not contiguous": lambda: bridge.send(memoryview(b"abcd")[::2]),
        "bad target": lambda: bridge.post_receive("x"),
        "bridge": lambda: open_bridge(session),
        "CliXml": lambda: copy.copy(CliXml(b"x")),
        "bytes": lambda: into(session, bridge, b"x"),
        "object": lambda: out_of(session, bridge, "'x'"),
        "lease": lambda: leased_from(session, bridge, "'x'"),
        "large": lambda: out_of(session, bridge, "[byte[]]::new(9MB)"),
        "large lease": lambda: leased_from(session, bridge, "[byte[]]::new(24MB)"),
    }
    grown = {}
    for name, call in calls.items():
        times = 5 if "large" in name else 60
        found = growth(attempt(call), times)
        if found > (1 if hasattr(sys, "gettotalrefcount") else 60):
            grown[name] = found
    assert grown == {}


def test_memory_of_results_and_copies_is_given_back(session: Session, bridge: Bridge) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    def work() -> None:
        assert len(session.run("'x' * 4MB").out) > 4 * MIB - 1
        leased_from(session, bridge, "$sixteen")
        out_of(session, bridge, "$sixteen")

    session.run("$sixteen = [byte[]]::new(16MB)")
    for _ in range(3):
        work()
    before = resident()
    for _ in range(20):
        work()
    assert resident() - before < 64 * MIB
