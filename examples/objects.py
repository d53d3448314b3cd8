#!/usr/bin/env python3
"""PowerShell objects: taken out as CliXml, kept in a file, and brought into another session."""

import tempfile
from pathlib import Path

from virtualshell import CliXml, Shell, ZeroCopyBridge

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "settings.clixml"

    with Shell() as shell, ZeroCopyBridge(shell) as bridge:
        shell.run("$settings = @{Name = 'demo'; Ports = 80, 443; Since = [datetime]'2024-02-29'}")
        file.write_bytes(bridge.receive("$settings"))

    with Shell() as shell, ZeroCopyBridge(shell) as bridge:
        bridge.send(CliXml(file.read_bytes()), "$settings")
        out = shell.run("$settings.Name; $settings.Ports[1]; $settings.Since.Year").out
        print(out, end="")
        assert out == "demo\n443\n2024\n"
