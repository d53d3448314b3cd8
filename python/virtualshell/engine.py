"""Finding and installing PowerShell."""

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
Each of these gives you a PowerShell:
  - run `{_PYTHON} -m virtualshell install-engine` (needs the .NET SDK 10, {DOTNET_URL})
  - install PowerShell 7.4 or later so that `pwsh` is on PATH (https://aka.ms/powershell)
  - give its path: Shell(powershell_path="/path/to/pwsh")
  - in a .NET project, restore it from NuGet: dotnet tool install {PACKAGE}"""


class Engine(NamedTuple):
    """A PowerShell that was found."""

    path: str
    """Absolute path of `pwsh`, or of `powershell.exe`."""
    origin: str
    """Where it was found: "given"; "PATH"; "installed" (by install-engine, or on Windows by another
    installer); "system" (Windows PowerShell); or "NuGet"."""


def find(given: Optional[Union[str, "os.PathLike[str]"]] = None) -> Engine:
    """The PowerShell that a Shell would start.

    It is the first of these that exists: `given`; `pwsh` on PATH; on Windows the one of another
    installer; the one of `install`; Windows PowerShell; NuGet's.

    given: path of the program, path of a folder that has it, or a name on PATH.

    PowerShellNotFoundError lists the places that were searched, and how to get PowerShell.
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
    """The folder of this package's PowerShell module. It has MODULE_FILE for PowerShell, and in
    desktop/ the same file for Windows PowerShell. libzcb takes the one that fits the engine."""
    return Path(os.path.abspath(__file__)).parent / "powershell"


def data_folder() -> Path:
    """The folder where `install` puts PowerShell, and where libzcb looks for it."""
    return Path(_native.engine_folder())


def install(version: str = VERSION, report: Callable[[str], None] = lambda line: None) -> Engine:
    """Installs PowerShell from NuGet into `data_folder()`, with the .NET SDK's own installer.

    This needs `dotnet` on PATH and a network. If that version is already installed, nothing
    changes. `report` is called with each line to show. VirtualShellError says what went wrong.
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
    """The version of the .NET SDK on PATH; None if there is none."""
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
