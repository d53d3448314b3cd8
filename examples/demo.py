"""Data crossing between Python and a live PowerShell session, both ways, with sizes, times and checksums."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Tuple, TypeVar

import numpy as np

from virtualshell import Shell, ZeroCopyBridge

FILE_BYTES = 256 * 1024 * 1024
ARRAY_ITEMS = 8 * 1024 * 1024
SHA256 = "[Convert]::ToHexString([Security.Cryptography.SHA256]::HashData({0})).ToLower()"

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
T = TypeVar("T")


def paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


def heading(text: str) -> None:
    print(f"\n{paint(text, '1;36')}")


def timed(action: Callable[[], T]) -> Tuple[T, float]:
    begin = time.perf_counter()
    result = action()
    return result, time.perf_counter() - begin


def show(what: str, size: int, seconds: float) -> None:
    rate = paint(f"{size / seconds / 1e9:5.2f} GB/s", "1;32")
    print(f"  {what:<38} {size / 1e6:8.1f} MB  {seconds * 1e3:8.1f} ms  {rate}")


def compare(here: str, there: str) -> None:
    same = here == there
    verdict = paint("the same on both ends", "32") if same else paint("DIFFERENT", "1;31")
    print(f"  sha256 {here[:16]}... {verdict}")
    if not same:
        raise SystemExit(1)


def checksum_of(data: object) -> str:
    return hashlib.sha256(data).hexdigest()  # type: ignore[arg-type]


def file_both_ways(shell: Shell, bridge: ZeroCopyBridge, folder: Path) -> None:
    heading("A file: Python -> PowerShell -> Python")
    path = folder / "large.bin"
    path.write_bytes(os.urandom(FILE_BYTES))
    content = path.read_bytes()

    _, seconds = timed(lambda: bridge.send(content, "$file"))
    show("into $file, a fresh byte[]", len(content), seconds)
    compare(checksum_of(content), shell.run(SHA256.format("$file")).out.strip())

    back, seconds = timed(lambda: bridge.receive("$file"))
    show("out of $file, fresh bytes", len(back), seconds)
    compare(checksum_of(back), checksum_of(content))


def array_both_ways(shell: Shell, bridge: ZeroCopyBridge) -> None:
    heading("A NumPy array: its memory crosses, no copy is made in Python")
    array = np.random.default_rng(1).random(ARRAY_ITEMS)

    _, seconds = timed(lambda: bridge.send(array, "$array"))
    show(f"into $array ({array.dtype}, {array.size:,} items)", array.nbytes, seconds)
    compare(checksum_of(array), shell.run(SHA256.format("$array")).out.strip())

    view, seconds = timed(lambda: bridge.receive("$array", return_memoryview=True))
    back = np.frombuffer(view, dtype=array.dtype)
    show("out of $array, held in place", back.nbytes, seconds)
    compare(checksum_of(back), checksum_of(array))
    print(f"  mean {array.mean():.12f} = {back.mean():.12f}")


def object_and_back(shell: Shell, bridge: ZeroCopyBridge) -> None:
    heading("An object: out as CliXml, back as an object")
    shell.run("$service = [pscustomobject]@{ Name = 'Spooler'; Ports = 515, 9100; Since = [datetime]'2026-01-02' }")
    clixml = bridge.receive("$service")
    bridge.send(clixml, "$copy")
    print(f"  {len(clixml)} bytes of CliXml")
    command = "'{0}, ports {1}, since {2:yyyy-MM-dd}' -f $copy.Name, ($copy.Ports -join ' and '), $copy.Since"
    print(f"  {paint(command, '2')}\n  {shell.run(command).out.strip()}")


def commands(shell: Shell) -> None:
    heading("Commands: the session is live")
    shell.run("$n = 0")
    count = 2000
    _, seconds = timed(lambda: [shell.run("$n++") for _ in range(count)])
    print(f"  {count} x shell.run('$n++'): {paint(f'{seconds / count * 1e6:.0f} µs', '1;32')} each; $n is {shell.run('$n').out.strip()}")


def main() -> int:
    print("Starting PowerShell ...", end=" ", flush=True)
    shell, seconds = timed(lambda: Shell(timeout_seconds=120).start())
    print(f"{shell.version}, process {shell.pid}, {seconds:.2f} s")
    with shell, ZeroCopyBridge(shell, frame_mb=64) as bridge, tempfile.TemporaryDirectory() as folder:
        file_both_ways(shell, bridge, Path(folder))
        array_both_ways(shell, bridge)
        object_and_back(shell, bridge)
        commands(shell)
    return 0


if __name__ == "__main__":
    sys.exit(main())
