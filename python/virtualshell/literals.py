"""Turns Python values into PowerShell source text that means exactly these values. Internal.

Text always goes between single quotes. There PowerShell has only one special character, the quote.
It has five kinds of it (CharTraits.IsSingleQuote). A doubled quote stands for itself.
"""

from __future__ import annotations

import base64
import math
import os
import re
from decimal import Decimal
from typing import Mapping, Sequence

from .arguments import Args, split_args

_SINGLE_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
_INVARIANT = "[cultureinfo]::InvariantCulture"
_PARAMETER_NAME = re.compile(r"[^\W\d]\w*")


def quoted(value: str) -> str:
    """A string literal."""
    return "'" + _SINGLE_QUOTES.sub(r"\g<0>\g<0>", value) + "'"


def literal(value: object) -> str:
    """The expression for a value. It is safe as an argument and as an element of a list. TypeError
    for a value that has no literal.
    """
    if value is None:
        return "$null"
    if isinstance(value, bool):
        return "$true" if value else "$false"
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Decimal) and value.is_finite():
        return f"([decimal]::Parse('{value:f}', {_INVARIANT}))"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"([Convert]::FromBase64String('{base64.b64encode(value).decode('ascii')}'))"
    if isinstance(value, os.PathLike):
        return quoted(os.fsdecode(value))
    if isinstance(value, Mapping):
        return "@{" + ";".join(f"{_key(key)}={literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (Sequence, set, frozenset)):
        items = ",".join(literal(item) for item in value)
        return f"@(,{items})" if len(value) == 1 else f"@({items})"
    raise TypeError(
        f"{value!r} can't be given to PowerShell: a {type(value).__name__} has no literal there"
    )


def call(path: str, args: Args, dot_source: bool = False) -> str:
    """A command that runs the script file at `path` with these arguments."""
    positional, named = split_args(args, "args")
    words = [".", quoted(path)] if dot_source else ["&", quoted(path)]
    words += [_argument(value) for value in positional]
    for name, value in named.items():
        if not _PARAMETER_NAME.fullmatch(name):
            raise ValueError(f"args: {name!r} can't be the name of a parameter")
        words.append(f"-{name}:{_argument(value)}")
    return " ".join(words)


def _argument(value: object) -> str:
    # In an argument only an expression in parentheses is surely read as an expression.
    return f"({literal(value)})"


def _integer(value: int) -> str:
    if -(2**63) < value < 2**63:
        return str(value) if value >= 0 else f"({value})"
    return f"([bigint]::Parse('{value}', {_INVARIANT}))"  # a cast would go through double


def _float(value: float) -> str:
    if math.isnan(value):
        return "([double]::NaN)"
    if math.isinf(value):
        return "([double]::PositiveInfinity)" if value > 0 else "([double]::NegativeInfinity)"
    return f"([double]'{value!r}')"


def _key(key: object) -> str:
    if not isinstance(key, (str, int)):
        raise TypeError(f"{key!r} can't be a key in PowerShell: only str and int can be given")
    return literal(key)
