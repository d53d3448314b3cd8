"""fork() with a session open: the child's use raises, and the parent's goes on."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import Callable

import pytest

from virtualshell import SessionLostError, Shell, ZeroCopyBridge

WAIT_S = 20

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(work: Callable[[], object]) -> str:
    """Runs `work` in a forked child; what went wrong there, or ""."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            try:
                work()
                status = 0
            except BaseException:
                os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return said or ("" if status == 0 else f"the child ended with status {status}")


def raises_forked(call: Callable[[], object]) -> None:
    with pytest.raises(SessionLostError, match="parent"):
        call()


def test_the_child_is_refused_and_the_parent_goes_on(shell: Shell, bridge: ZeroCopyBridge) -> None:
    bridge.send(b"before", "$before")
    future = shell.run_async("1")
    future.result(WAIT_S)
    posted = bridge.receive_to_powershell("$posted")

    def child() -> None:
        assert not shell.is_running
        assert shell.pid is None
        calls = [
            lambda: shell.run("1"),
            lambda: shell.run_async("1"),
            shell.ping,
            lambda: bridge.send(b"x"),
            lambda: bridge.send(b"x", "$x"),
            lambda: bridge.receive(timeout=1),
            lambda: bridge.receive("$x"),
            lambda: bridge.receive_to_powershell("$x"),
            lambda: bridge.send_from_powershell("$x"),
            lambda: posted.result(1),
            lambda: ZeroCopyBridge(shell),
        ]
        for call in calls:
            raises_forked(call)
        assert not posted.cancel()

    assert in_child(child) == ""
    assert shell.run("1+1").out == "2\n"
    bridge.send(b"posted")
    assert posted.result(WAIT_S).success
    assert bridge.receive("$before") == b"before"


def test_the_child_may_close_and_stop_without_effect(shell: Shell, bridge: ZeroCopyBridge) -> None:
    def child() -> None:
        bridge.close()
        shell.stop()
        raises_forked(lambda: shell.run("1"))

    assert in_child(child) == ""
    assert shell.run("1+1").out == "2\n"
    bridge.send(b"x", "$x")


def test_the_child_reads_what_was_received_before(shell: Shell, bridge: ZeroCopyBridge) -> None:
    bridge.send(b"inherited" * 1000, "$x")
    view = bridge.receive("$x", return_memoryview=True)

    def child() -> None:
        assert view == b"inherited" * 1000
        view.release()

    assert in_child(child) == ""
    assert view == b"inherited" * 1000
    bridge.send(b"x", "$x")


def test_the_child_may_start_a_session_of_its_own(shell: Shell) -> None:
    parents = shell.pid

    def child() -> None:
        shell.start()
        assert shell.pid != parents
        assert shell.run("'of the child'").out == "of the child\n"
        with ZeroCopyBridge(shell) as bridge:
            bridge.send(b"child", "$x")
            assert bridge.receive("$x") == b"child"
        shell.stop()

    assert in_child(child) == ""
    assert shell.run("$PID").out == f"{parents}\n"


def test_a_fork_while_other_threads_wait(shell: Shell, bridge: ZeroCopyBridge, gate) -> None:
    outs = []
    thread = threading.Thread(
        target=lambda: outs.append(shell.run(f"{gate.pass_command}; 'done'").out)
    )
    future = shell.run_async("'future'")
    thread.start()
    gate.wait()
    assert in_child(lambda: raises_forked(lambda: shell.run("1"))) == ""
    thread.join(WAIT_S)
    assert outs == ["done\n"]
    assert future.result(WAIT_S).out == "future\n"


def test_a_child_that_exits_as_python_does_harms_nothing(run_python) -> None:
    done = run_python(
        """
import gc, os, sys
from virtualshell import Shell, ZeroCopyBridge
shell = Shell().start()
bridge = ZeroCopyBridge(shell)
future = bridge.receive_to_powershell("$x")
shell.run_async("1").result(20)
if os.fork() == 0:
    if sys.argv[1:] == ["drop"]:
        del shell, bridge, future
        gc.collect()
    sys.exit(0)
assert os.wait()[1] == 0
bridge.send(b"after the child")
print(future.result(20).success, shell.run("$x.Length").out.strip())
"""
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True 15\n", "", 0)


def test_multiprocessing_with_fork(shell: Shell, bridge: ZeroCopyBridge) -> None:
    import multiprocessing

    context = multiprocessing.get_context("fork")
    process = context.Process(target=sys.exit, args=(0,))
    process.start()
    process.join(WAIT_S)
    assert process.exitcode == 0
    bridge.send(b"x", "$x")
    assert shell.run("$x.Length").out == "1\n"
