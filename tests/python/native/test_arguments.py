"""Arguments that are refused: of the wrong type, out of range, without a meaning."""

from __future__ import annotations

import decimal
import fractions
import math
from typing import Any, Dict

import pytest

from virtualshell._native import Bridge, Session

from .calls import MIB


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


@pytest.mark.parametrize("id, error", [(-1, ValueError), (1 << 64, ValueError), ("1", TypeError)])
def test_ids(session: Session, bridge: Bridge, id: Any, error: type) -> None:
    for call in (session.wait, session.stop, bridge.seen, bridge.withdraw):
        with pytest.raises(error):
            call(id)


@pytest.mark.parametrize("kind, error", [(0, ValueError), (3, ValueError), ("1", TypeError)])
def test_bad_kind(bridge: Bridge, kind: Any, error: type) -> None:
    with pytest.raises(error, match="kind"):
        bridge.send(b"", kind=kind)


def test_bad_targets(bridge: Bridge) -> None:
    for target in ("", "x", "1+1", "$x\0"):
        with pytest.raises(ValueError, match="target must be a place"):
            bridge.post_receive(target)
    with pytest.raises(ValueError):
        bridge.post_send("")
    with pytest.raises(ValueError, match="depth"):
        bridge.post_send("1", depth=101)


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
