"""PowerShell itself: where it is, and how to get one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Union

from . import _native
from .errors import OutOfMemoryError, PowerShellNotFoundError, VirtualShellError

PACKAGE = "PowerShell"
VERSION = "7.6.9"  # the engine that this release was tested with, as in .config/dotnet-tools.json
DOTNET_URL = "https://dot.net/download"

_PYTHON = os.path.basename(sys.executable or "python")

HOW_TO_GET = f"""\
Any one of these gives you one:
  - run `{_PYTHON} -m virtualshell install-engine` (needs the .NET SDK 10, {DOTNET_URL})
  - install PowerShell 7.4 or later so that `pwsh` is on PATH (https://aka.ms/powershell)
  - give its path: Shell(powershell_path="/path/to/pwsh")
  - in a .NET project, restore it from NuGet: dotnet tool install {PACKAGE}"""


class Engine(NamedTuple):
    """A PowerShell that was found."""

    path: str
    """Absolute path of `pwsh`."""
    origin: str
    """Where it was found: "given", "PATH", "installed" (by install-engine) or "NuGet"."""


def find(given: Optional[Union[str, "os.PathLike[str]"]] = None) -> Engine:
    """The PowerShell that a Shell would start: `given`; `pwsh` on PATH; the one of `install`;
    NuGet's.

    PowerShellNotFoundError says where it was looked for and how to get one.
    """
    try:
        return Engine(*_native.find_engine(None if given is None else os.fspath(given)))
    except _native.OutOfMemory as error:
        raise OutOfMemoryError(str(error)) from None
    except _native.Error as error:
        raise not_found(error) from None


def not_found(error: _native.Error) -> PowerShellNotFoundError:
    """The exception for a search that found nothing."""
    _, _, detail = str(error).partition(": ")
    return PowerShellNotFoundError(f"{detail or error}\n{HOW_TO_GET}")


MODULE_FILE = "ZeroCopyBridge.dll"


def module_folder() -> Path:
    """The PowerShell module that comes with this package: MODULE_FILE for PowerShell, and below
    desktop/ the same for Windows PowerShell. libzcb takes the one that fits the engine."""
    return Path(os.path.abspath(__file__)).parent / "powershell"


def data_folder() -> Path:
    """Where `install` puts PowerShell, and libzcb looks for it."""
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or os.path.expanduser(r"~\AppData\Local")
    else:
        root = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return Path(root) / "virtualshell" / "engine"


def install(version: str = VERSION, report: Callable[[str], None] = lambda line: None) -> Engine:
    """Gets PowerShell from NuGet, with the .NET SDK's own installer, into `data_folder()`.

    Needs `dotnet` on PATH and the network; does nothing when that version is there. `report` is
    called with each line to show. VirtualShellError says what went wrong.
    """
    dotnet = shutil.which("dotnet")
    if dotnet is None:
        raise VirtualShellError(
            f"`dotnet` is not on PATH: install the .NET SDK 10 or later from {DOTNET_URL} and run"
            " this again, or install PowerShell 7.4 or later yourself (https://aka.ms/powershell)"
        )
    folder = data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    command = [dotnet, "tool", "install", PACKAGE, "--version", version, "--tool-path", str(folder)]
    report(" ".join(command))
    code, output = _run(command)
    if code != 0 and "is already installed" in output:
        command[2] = "update"
        report(" ".join(command))
        code, output = _run(command)
    if code != 0:
        raise VirtualShellError(
            f"`{' '.join(command)}` failed with exit code {code}:\n{output.strip()}"
        )
    report(output.strip())
    return find()


def dotnet_version() -> Optional[str]:
    """The version of the .NET SDK on PATH; None without one."""
    dotnet = shutil.which("dotnet")
    if dotnet is None:
        return None
    code, output = _run([dotnet, "--version"])
    return output.strip() if code == 0 else None


def _run(command: List[str]) -> "tuple[int, str]":
    environment = dict(
        os.environ, DOTNET_NOLOGO="1", DOTNET_CLI_TELEMETRY_OPTOUT="1", DOTNET_CLI_UI_LANGUAGE="en"
    )
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout
