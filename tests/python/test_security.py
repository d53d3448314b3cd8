"""What SECURITY.md promises, from the outside: nothing of a session can be reached by a name, and what the
engine is told of is exactly what it needs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Set

import pytest
from conftest import wait_for_end
from hypothesis import given

import virtualshell
from virtualshell import Shell, ZeroCopyBridge, _native

WAIT_S = 30.0
PACKAGE = Path(virtualshell.__file__).parent
SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


# What can be reached


def opened(pid: int) -> Dict[int, str]:
    """The descriptors of a process, and what they are."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:  # closed meanwhile
            pass
    return found


def socket_names(pid: int) -> Set[str]:
    """The names of a process's UNIX sockets; abstract ones begin with @."""
    inodes = set(re.findall(r"socket:\[(\d+)\]", " ".join(opened(pid).values())))
    rows = [line.split(None, 7) for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {row[7] for row in rows if row[6] in inodes and len(row) > 7}


def regions(pid: int) -> List[str]:
    """The shared memory that a process has open."""
    return [f"/proc/{pid}/fd/{fd}" for fd, what in opened(pid).items() if "memfd:zcb " in what]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def watched(temporary: Path) -> Iterator[Shell]:
    """A session with a temporary folder of its own."""
    environment = {"TMPDIR": str(temporary), "PYTEST_CURRENT_TEST": None}
    with Shell(environment=environment) as shell:
        yield shell


def test_nothing_of_a_session_is_reached_by_a_name(watched: Shell, temporary: Path) -> None:
    with ZeroCopyBridge(watched) as bridge:
        bridge.send(bytes(100_000), "$x")
        view = bridge.receive("$x", return_memoryview=True)
        assert watched.pid is not None and regions(watched.pid) and regions(os.getpid())
        assert os.listdir(temporary) == []
        names = socket_names(watched.pid) | socket_names(os.getpid())
        del view
    # The kernel gives a number to both ends of a pair that says who sends. Nobody listens there.
    for name in names:
        assert name.startswith("@")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            with pytest.raises(ConnectionRefusedError):
                stranger.connect("\0" + name[1:])


def test_an_engine_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    with Shell(environment={"TMPDIR": str(tmp_path)}) as shell, ZeroCopyBridge(shell) as bridge:
        bridge.send(b"data", "$x")
        pid = shell.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert wait_for_end(pid, WAIT_S)
    assert os.listdir(tmp_path) == []


def test_who_wants_to_debug_an_engine_opens_its_doors(tmp_path: Path) -> None:
    opened = {"POWERSHELL_DIAGNOSTICS_OPTOUT": "0", "DOTNET_EnableDiagnostics": "1"}
    with Shell(environment={"TMPDIR": str(tmp_path), **opened}) as shell:
        shell.run("1")
        doors = " ".join(os.listdir(tmp_path))
        assert "CoreFxPipe_PSHost" in doors and "dotnet-diagnostic" in doors


def test_shared_memory_is_its_owners_alone_and_of_fixed_size(watched: Shell) -> None:
    with ZeroCopyBridge(watched) as bridge:
        bridge.send(b"data", "$x")
        assert watched.pid is not None
        for path in regions(watched.pid) + regions(os.getpid()):
            file = os.open(path, os.O_RDWR)
            try:
                status = os.fstat(file)
                assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.getuid(), 0o600)
                assert fcntl.fcntl(file, fcntl.F_GET_SEALS) & SIZE_SEALS == SIZE_SEALS
                for size in (0, status.st_size * 2):
                    with pytest.raises(OSError) as caught:
                        os.ftruncate(file, size)
                    assert caught.value.errno == errno.EPERM
            finally:
                os.close(file)
        assert bridge.receive("$x") == b"data"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
def test_another_user_reaches_neither_process(watched: Shell) -> None:
    look = (
        "import os, sys\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    for attempt in (os.listdir, lambda path: os.open(path + '/3', os.O_RDWR)):\n"
        "        try:\n"
        "            attempt(path)\n"
        "        except PermissionError:\n"
        "            print('no')\n"
    )
    assert watched.pid is not None
    paths = [f"/proc/{pid}/fd" for pid in (watched.pid, os.getpid())]
    done = subprocess.run(
        [sys.executable, "-c", look, *paths], stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    assert done.stdout.split() == ["no"] * 4


# What the engine is told


def environment_of(pid: int) -> Dict[str, str]:
    """What a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def test_arguments_and_environment_are_known_to_the_last_word(
    watched: Shell, temporary: Path
) -> None:
    assert watched.pid is not None
    with ZeroCopyBridge(watched, "secret-name") as bridge:
        bridge.send(b"secret-data", "$secret_variable")
        watched.run("'secret-command' | Out-Null")
    words = Path(f"/proc/{watched.pid}/cmdline").read_text().split("\0")[:-1]
    assert words == [
        watched.powershell_path,
        "-NoLogo",
        "-NoProfile",
        "-NonInteractive",
        "-Command",
        "Import-Module -Name ([WildcardPattern]::Escape($env:ZCB_MODULE)) -ErrorAction Stop;"
        " Start-ZeroCopyAgent",
    ]
    tunings = {
        "DOTNET_GCLOHThreshold": "400000",
        "DOTNET_GCRetainVM": "1",
        "DOTNET_EnableDiagnostics": "0",
        "POWERSHELL_DIAGNOSTICS_OPTOUT": "1",
    }
    expected = {
        **tunings,
        **os.environ,
        "TMPDIR": str(temporary),
        "ZCB_LINK": "3",
        "ZCB_MODULE": str(PACKAGE / "powershell" / "ZeroCopyBridge.dll"),
        "ZCB_TUNING": "".join(f"{name};" for name in tunings if name not in os.environ),
    }
    del expected["PYTEST_CURRENT_TEST"]
    assert environment_of(watched.pid) == expected


def test_programs_of_the_session_are_told_nothing(watched: Shell) -> None:
    out = watched.run("/usr/bin/printenv").out
    names = {line.partition("=")[0] for line in out.splitlines() if "=" in line}
    assert "PATH" in names
    assert not {name for name in names - set(os.environ) if re.match("ZCB|DOTNET|POWERSHELL", name)}


def test_programs_of_the_session_inherit_no_descriptor_while_data_is_under_way(
    watched: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "descriptors"
    with ZeroCopyBridge(watched) as bridge:
        bridge.receive_to_powershell("$never")
        bridge.send(b"data", "$x", lease=True)
        command = f"ls -l /proc/self/fd > {file}"
        start = "Start-Process -Wait -FilePath /bin/sh -ArgumentList"
        assert watched.run(f"{start} '-c', '\"{command}\"'").success
    listed = file.read_text()
    assert "->" in listed
    assert not re.search("memfd:zcb |eventfd|pidfd|socket:", listed), listed


# What the engine loads


def mapped(pid: int, name: str) -> Set[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {path for line in lines for path in line.split(None, 5)[5:] if path.endswith(name)}


def test_module_and_library_are_those_of_the_package(tmp_path: Path) -> None:
    """Whatever lies in the working folder or on the search paths."""
    for name in ("libzcb.so", "ZeroCopyBridge.dll", "ZeroCopyBridge.psm1"):
        (tmp_path / name).write_text("throw 'a decoy was loaded'")
    module = tmp_path / "ZeroCopyBridge"
    module.mkdir()
    shutil.copy(tmp_path / "ZeroCopyBridge.psm1", module)
    here = str(tmp_path)
    environment = {"LD_LIBRARY_PATH": here, "PSModulePath": here}
    with Shell(working_directory=here, environment=environment) as shell:
        assert shell.pid is not None
        folder = PACKAGE / "powershell"
        assert mapped(shell.pid, "libzcb.so") == {str(folder / "libzcb.so")}
        assert mapped(shell.pid, "ZeroCopyBridge.dll") == {str(folder / "ZeroCopyBridge.dll")}


def test_a_module_is_named_to_the_engine_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PACKAGE)
    session = _native.Session(
        module="powershell/ZeroCopyBridge.dll", working_directory=str(tmp_path)
    )
    try:
        module = environment_of(session.pid)["ZCB_MODULE"]
        assert module == str(PACKAGE / "powershell" / "ZeroCopyBridge.dll")
        assert session.run("1").success
    finally:
        session.close()


def test_a_module_path_is_no_pattern(tmp_path: Path) -> None:
    """A folder named a[bc] is that folder, not a folder named ab."""
    given, matched = tmp_path / "a[bc]", tmp_path / "ab"
    matched.mkdir()
    (matched / "ZeroCopyBridge.dll").write_text("a decoy")
    shutil.copytree(PACKAGE / "powershell", given)
    session = _native.Session(module=str(given / "ZeroCopyBridge.dll"))
    try:
        assert mapped(session.pid, "ZeroCopyBridge.dll") == {str(given / "ZeroCopyBridge.dll")}
    finally:
        session.close()
