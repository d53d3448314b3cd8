"""Sessions: commands, results, properties, options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

import pytest
from conftest import in_threads

from virtualshell import _native
from virtualshell._native import Result, Session

from .calls import SOON, done, start


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

    in_threads(6, work)
    assert wrong == []
