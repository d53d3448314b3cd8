#!/usr/bin/env python3
"""What can go wrong, what is raised, and that session and bridge go on."""

from virtualshell import (
    ExecutionError,
    ExecutionTimeoutError,
    SessionLostError,
    Shell,
    TransferError,
    ZeroCopyBridge,
)

with Shell() as shell, ZeroCopyBridge(shell) as bridge:
    result = shell.run("'output before'; throw 'a failure'")
    print(f"success={result.success} out={result.out.strip()!r} err={result.err.strip()!r}")

    try:
        shell.run("throw 'a failure'", raise_on_error=True)
    except ExecutionError as error:
        print("ExecutionError:", error)

    try:
        shell.run("while ($true) { }", timeout=0.5)
    except ExecutionTimeoutError as error:
        print("ExecutionTimeoutError:", error)

    try:
        bridge.send(b"data", "$PID")
    except TransferError as error:
        print("TransferError:", error)

    try:
        bridge.receive("$noSuchVariable")
    except TransferError as error:
        print("TransferError:", error)

    bridge.send(b"data", "$fine")
    print("the bridge goes on:", bridge.receive("$fine"))

    print("exit code:", shell.run("exit 3").exit_code)
    try:
        shell.run("1")
    except SessionLostError as error:
        print("SessionLostError:", error)
