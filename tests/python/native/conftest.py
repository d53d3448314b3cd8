"""Fixtures of the extension's tests: one session a file, for all that do it no harm."""

from __future__ import annotations

import sys
from typing import Iterator

import pytest

from virtualshell._native import Bridge, Session

from .calls import open_bridge, start

# What is about POSIX alone, and why it is not run on Windows.
if sys.platform == "win32":
    collect_ignore = [
        "test_fork.py",  # there is no fork
        "test_signals.py",  # signals sent to this process
    ]


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Instead of the other tests': pytest holds a test's `bridge`, and with it descriptors, for
    longer than the test. test_descriptors_are_given_back looks after them."""
    yield
    request.node.funcargs.clear()


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = start()
    session.run("1")  # lets everything be made that is made once
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
