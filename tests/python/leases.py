"""What the tests of memory that both sides see share."""

from __future__ import annotations

from virtualshell import Shell

MB = 2**20
FRAME = MB
SIZES = [1, 4096, FRAME - 1, FRAME]


def pattern(size: int) -> bytes:
    return bytes(range(251)) * (size // 251) + bytes(range(size % 251))


def says(shell: Shell, code: str) -> str:
    result = shell.run(code)
    assert result.success, result.err
    return result.out.strip()


def fails(shell: Shell, code: str) -> str:
    result = shell.run(code)
    assert not result.success
    return result.err


def is_right(shell: Shell, size: int, name: str = "$lease") -> bool:
    """The lease holds the pattern."""
    assert int(says(shell, f"{name}.Length")) == size
    sum_of = f"$n = 0L; foreach ($b in {name}.ToArray()) {{ $n += $b }}; $n"
    return int(shell.run(sum_of, local_scope=True).out) == sum(pattern(size))
