"""`python -m virtualshell doctor` and `python -m virtualshell install-engine`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from typing import Callable, List, Optional

from . import Shell, ZeroCopyBridge, __version__, engine
from .errors import PowerShellNotFoundError, VirtualShellError

_CHECK_MB = 16
_CHECK_ROUNDS = 5


def main(argv: Optional[List[str]] = None) -> int:
    """Runs one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m virtualshell", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor", help="show what was found and what is missing, and try a transfer each way"
    )
    doctor.add_argument(
        "--powershell-path", metavar="PATH", help="use this pwsh instead of searching for one"
    )
    install = commands.add_parser(
        "install-engine", help="install PowerShell from NuGet, with the .NET SDK"
    )
    install.add_argument(
        "--version", default=engine.VERSION, help="version to install (default: %(default)s)"
    )
    parser.add_argument("--version", action="version", version=f"virtualshell {__version__}")
    options = parser.parse_args(argv)
    if options.command == "doctor":
        return Doctor(options.powershell_path).examine()
    return install_engine(options.version)


def install_engine(version: str) -> int:
    """Installs PowerShell; returns the exit code."""
    try:
        found = engine.install(version, report=print)
    except (VirtualShellError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"A Shell will start {found.path} ({found.origin}).")
    return 0


class Doctor:
    """Examines each thing that a Shell needs, and prints what it finds."""

    def __init__(self, powershell_path: Optional[str]) -> None:
        self._path = powershell_path
        self._missing: List[str] = []

    def examine(self) -> int:
        """Prints everything; returns the exit code: 0 when data crosses both ways."""
        self._say("Python", f"{platform.python_version()} ({sys.executable})")
        self._say("virtualshell", f"{__version__} ({os.path.dirname(os.path.abspath(__file__))})")
        self._say("system", f"{platform.platform()}, {os.cpu_count()} processors")
        self._say(
            "shared memory", "anonymous: neither room in /dev/shm nor special rights are needed"
        )
        module = engine.module_folder() / engine.MODULE_FILE
        if module.is_file():
            self._say("module", str(module))
        else:
            self._lack(
                "module",
                f"{module} is missing",
                "Install virtualshell again: this installation is not complete.",
            )
        dotnet = engine.dotnet_version()
        self._say(
            ".NET SDK", dotnet or f"none; only `install-engine` would need it ({engine.DOTNET_URL})"
        )
        if self._find_engine() and not self._missing:
            self._try_session()
        return self._conclude()

    def _find_engine(self) -> bool:
        try:
            found = engine.find(self._path)
        except PowerShellNotFoundError as error:
            self._lack("PowerShell", "not found", str(error))
            return False
        self._say("PowerShell", f"{found.path} ({found.origin})")
        return True

    def _try_session(self) -> None:
        try:
            shell = Shell(self._path)
            took = self._seconds(shell.start) * 1e3
            with shell:
                self._say(
                    "session",
                    f"PowerShell {shell.version}, process {shell.pid}, started in {took:.0f} ms",
                )
                with ZeroCopyBridge(shell) as bridge:
                    self._try_transfers(shell, bridge)
        except (VirtualShellError, OSError, MemoryError) as error:
            self._lack("session", "failed", f"{type(error).__name__}: {error}")

    def _try_transfers(self, shell: Shell, bridge: ZeroCopyBridge) -> None:
        data = bytes(range(256)) * (_CHECK_MB << 12)
        self._say("to PowerShell", self._rate(lambda: bridge.send(data, "$virtualshellDoctor")))
        received: List[bytes] = []

        def receive() -> None:
            received[:] = [bridge.receive("$virtualshellDoctor")]

        self._say("to Python", self._rate(receive))
        shell.run("Remove-Variable virtualshellDoctor")
        if received != [data]:
            self._lack(
                "transfer",
                "what came back differs from what was sent",
                "Please report this as a bug.",
            )

    @staticmethod
    def _rate(transfer: Callable[[], object]) -> str:
        took = min(Doctor._seconds(transfer) for _ in range(_CHECK_ROUNDS))
        speed = (_CHECK_MB << 20) / 1e9 / took
        return f"{_CHECK_MB} MiB in {took * 1e3:.1f} ms, {speed:.1f} GB/s (best of {_CHECK_ROUNDS})"

    @staticmethod
    def _seconds(action: Callable[[], object]) -> float:
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin

    def _conclude(self) -> int:
        if not self._missing:
            print("\nEverything is there, and data crosses both ways.")
            return 0
        print("\n" + "\n\n".join(self._missing))
        return 1

    def _say(self, name: str, finding: str, mark: str = "ok") -> None:
        print(f"{mark:8}{name:15}{finding}", flush=True)

    def _lack(self, name: str, finding: str, remedy: str) -> None:
        self._say(name, finding, "MISSING")
        self._missing.append(remedy)


if __name__ == "__main__":
    sys.exit(main())
