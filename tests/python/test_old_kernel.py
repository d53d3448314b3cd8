"""A kernel without handles of processes (before Linux 5.3; RHEL 8 has 4.18): sessions start there,
and the end of either side is noticed. The kernel of these programs refuses what is newer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import List

import pytest
from conftest import wait_for_end

END_S = 10

# On all architectures the calls since Linux 5.1 have the same numbers, from 424 on.
BE_OLD = """
import ctypes, errno, struct
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
steps = [
    (0x20, 0, 0, 0),  # load the call's number
    (0x35, 0, 1, 424),  # unless it is at least that, skip one
    (0x06, 0, 0, 0x00050000 | errno.ENOSYS),  # refuse
    (0x06, 0, 0, 0x7FFF0000),  # allow
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None)
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.c_char_p(program), 0, 0) == 0
assert libc.syscall(434, 1, 0) == -1  # pidfd_open
from virtualshell import SessionLostError, Shell, ZeroCopyBridge
"""

WORK = """
with Shell() as shell, ZeroCopyBridge(shell) as bridge:
    bridge.send(b"x" * 1_000_000, "$x")
    print(shell.run("$x.Length").out.strip(), len(bridge.receive("$x")))
"""

LOSE_THE_ENGINE = """
import os, signal
with Shell() as shell:
    future = shell.run_async("Start-Sleep 600")
    os.kill(shell.pid, signal.SIGKILL)
    try:
        future.result(60)
    except SessionLostError as error:
        print(error)
"""

# With a child that goes on and has what this program has.
WAIT_TO_BE_KILLED = """
import multiprocessing, time
shell = Shell().start()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
child.start()
print(shell.pid, child.pid, flush=True)
time.sleep(600)
"""


def on_old_kernel(script: str) -> List[str]:
    return [sys.executable, "-c", BE_OLD + script]


def said_by(script: str) -> str:
    return subprocess.run(
        on_old_kernel(script), stdout=subprocess.PIPE, text=True, check=True, timeout=120
    ).stdout


def test_a_session_works() -> None:
    assert said_by(WORK) == "1000000 1000000\n"


def test_the_program_notices_that_its_engine_was_killed() -> None:
    assert "was killed by signal 9" in said_by(LOSE_THE_ENGINE)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_ends_with_its_program_though_a_forked_child_goes_on(stop: signal.Signals) -> None:
    with subprocess.Popen(
        on_old_kernel(WAIT_TO_BE_KILLED), stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        engine, child = map(int, program.stdout.readline().split())
        try:
            program.send_signal(stop)
            assert wait_for_end(engine, END_S)
            assert not wait_for_end(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)
