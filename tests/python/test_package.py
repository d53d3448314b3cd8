"""The package as it is installed: what it exports, and that what it says about types is right."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import virtualshell
from virtualshell import Shell, ZeroCopyBridge

PUBLIC = [getattr(virtualshell, name) for name in virtualshell.__all__ if name != "__version__"]


def test_everything_that_is_exported_is_there_and_says_what_it_is() -> None:
    for thing in PUBLIC:
        assert inspect.getdoc(thing), thing
    for owner in (Shell, ZeroCopyBridge, virtualshell.CommandResult, virtualshell.CommandFuture):
        for name, member in vars(owner).items():
            if not name.startswith("_") and callable(member) or isinstance(member, property):
                assert inspect.getdoc(member), f"{owner.__name__}.{name}"


def test_the_package_is_complete() -> None:
    folder = Path(virtualshell.__file__).parent
    for name in (
        "py.typed",
        "_native.pyi",
        "powershell/ZeroCopyBridge.dll",
        "powershell/libzcb.so",
        "powershell/desktop/ZeroCopyBridge.dll",
        "powershell/desktop/System.Memory.dll",
        "powershell/desktop/libzcb.so",
    ):
        assert (folder / name).is_file(), name
    assert virtualshell.__version__.count(".") == 2


@pytest.mark.skipif(sys.version_info < (3, 10), reason="no list of the standard modules")
def test_no_dependency_at_run_time(run_python) -> None:
    done = run_python(
        "import sys\nbefore = set(sys.modules)\nimport virtualshell\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'virtualshell'}))"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


USE = """
from virtualshell import CommandResult, Shell, ZeroCopyBridge

def use(shell: Shell, bridge: ZeroCopyBridge, flag: bool) -> None:
    reveal_type(shell.run("1"))
    reveal_type(shell.run(["1"]))
    reveal_type(shell.run_async("1").result())
    reveal_type(bridge.receive())
    reveal_type(bridge.receive(return_memoryview=True))
    reveal_type(bridge.receive(timeout=5, return_memoryview=False))
    reveal_type(bridge.receive("$x", return_memoryview=flag))
    reveal_type(bridge.receive_to_powershell("$x").result().success)
    reveal_type(Shell().start())
    with Shell() as inner, ZeroCopyBridge(inner) as other:
        reveal_type(inner)
        reveal_type(other)
"""

TYPES = [
    "virtualshell.results.CommandResult",
    "builtins.list[virtualshell.results.CommandResult]",
    "virtualshell.results.CommandResult",
    "builtins.bytes",
    "builtins.memoryview",
    "builtins.bytes",
    "Union[builtins.bytes, builtins.memoryview]",
    "builtins.bool",
    "virtualshell.shell.Shell",
    "virtualshell.shell.Shell",
    "virtualshell.zero_copy_bridge_shell.ZeroCopyBridge",
]


def test_a_users_program_is_typed(tmp_path: Path) -> None:
    mypy = shutil.which("mypy")
    if mypy is None:
        pytest.skip("mypy is not installed")
    file = tmp_path / "use.py"
    file.write_text(USE)
    copy = tmp_path / "virtualshell"
    shutil.copytree(
        Path(virtualshell.__file__).parent,
        copy,
        ignore=shutil.ignore_patterns("powershell", "*.so"),
    )
    done = subprocess.run(
        [mypy, "--strict", "--no-incremental", "--cache-dir=/dev/null", str(file)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert revealed == TYPES, done.stdout
    assert done.returncode == 0, done.stdout
