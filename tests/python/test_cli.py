"""`python -m virtualshell`: doctor and install-engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, Optional

import pytest

import virtualshell
from virtualshell import engine
from virtualshell.__main__ import main


def command(*args: str, environment: Optional[Dict[str, str]] = None):
    return subprocess.run(
        [sys.executable, "-m", "virtualshell", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        env=dict(os.environ, **(environment or {})),
        timeout=55,
    )


def test_doctor_says_what_was_found_and_tries_it() -> None:
    done = command("doctor")
    assert done.returncode == 0, done.stdout
    for word in (
        "Python",
        "PowerShell",
        "module",
        ".NET SDK",
        "to PowerShell",
        "to Python",
        "GB/s",
    ):
        assert word in done.stdout
    assert virtualshell.__version__ in done.stdout
    assert "MISSING" not in done.stdout


def test_doctor_without_powershell_says_how_to_get_one(tmp_path: Path) -> None:
    places = {
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "NUGET_PACKAGES": str(tmp_path / "packages"),
    }
    done = command("doctor", environment=places)
    assert done.returncode == 1
    assert "MISSING" in done.stdout
    for way in ("install-engine", "PATH", "powershell_path=", "NuGet"):
        assert way in done.stdout
    assert "Traceback" not in done.stdout


def test_doctor_with_a_path_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--powershell-path", "/nosuch/pwsh"]) == 1
    assert "/nosuch/pwsh" in capsys.readouterr().out


def test_doctor_with_something_that_is_no_powershell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--powershell-path", "/bin/true"]) == 1
    assert "did not start" in capsys.readouterr().out


def test_install_engine_without_dotnet_says_what_to_do(tmp_path: Path) -> None:
    done = command("install-engine", environment={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "dotnet" in done.stdout and "https://" in done.stdout
    assert "Traceback" not in done.stdout


FAKE_DOTNET = """#!/bin/sh
echo "$@" >> '{log}'
[ "$2" = install ] && [ -e '{log}.installed' ] && echo 'Tool is already installed.' && exit 1
folder='{folder}/.store/powershell/9.9.9/powershell/9.9.9/tools/net10.0/any/unix'
mkdir -p "$folder" && printf '#!/bin/sh\\n' > "$folder/pwsh" && chmod +x "$folder/pwsh"
echo "Tool 'powershell' was successfully installed."
"""


def test_install_engine_calls_the_sdks_installer_and_finds_what_it_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    dotnet = programs / "dotnet"
    dotnet.write_text(FAKE_DOTNET.format(log=log, folder=engine.data_folder()))
    dotnet.chmod(0o755)
    assert engine.data_folder() == tmp_path / "data" / "virtualshell" / "engine"

    assert main(["install-engine"]) == 0
    assert f"tool install PowerShell --version {engine.VERSION} --tool-path" in log.read_text()
    out = capsys.readouterr().out
    assert "successfully installed" in out and "(installed)" in out

    (tmp_path / "log.installed").touch()
    assert main(["install-engine", "--version", "9.9.9"]) == 0
    assert "tool update PowerShell --version 9.9.9" in log.read_text()


def test_install_engine_that_fails_shows_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dotnet = tmp_path / "dotnet"
    dotnet.write_text("#!/bin/sh\necho 'no network today'; exit 3\n")
    dotnet.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["install-engine"]) == 1
    assert "no network today" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, word in (
        (["--help"], "install-engine"),
        (["--version"], virtualshell.__version__),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert word in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2


def test_find_says_where_it_found_the_engine() -> None:
    found = engine.find()
    assert os.path.isabs(found.path) and os.access(found.path, os.X_OK)
    assert found.origin in ("PATH", "installed", "NuGet")
    assert engine.find(found.path) == (found.path, "given")
