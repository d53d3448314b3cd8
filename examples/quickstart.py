#!/usr/bin/env python3
"""The first program: bytes into a PowerShell variable, a command on them, and the result back."""

from virtualshell import Shell, ZeroCopyBridge

with Shell(timeout_seconds=60) as shell, ZeroCopyBridge(shell) as bridge:
    bridge.send(b"hello from Python", "$data")
    result = shell.run("$text = [Text.Encoding]::UTF8.GetString($data).ToUpper(); $text")
    print(result.out, end="")
    shell.run("$back = [Text.Encoding]::UTF8.GetBytes($text)")
    print(bridge.receive("$back"))
    assert bridge.receive("$back") == b"HELLO FROM PYTHON"
