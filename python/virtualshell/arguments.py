"""Checks of arguments. Each error names the argument and the wrong value. Internal."""

from __future__ import annotations

import math
import numbers
import operator
import os
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

_FOREVER_S = 1e9
_BYTES_A_MB = 1 << 20
_PAGE_BYTES = 4096


def seconds(value: object, name: str) -> Optional[float]:
    """A timeout in seconds; None, for no limit, from 1e9 seconds on."""
    limit = value if type(value) is float else _number(value, name, "seconds")
    if not limit >= 0:
        raise ValueError(f"{name} must be 0 or more seconds, not {value!r}")
    return limit if limit < _FOREVER_S else None


def positive_seconds(value: object, name: str) -> float:
    """A time in seconds that must be more than 0."""
    limit = seconds(value, name)
    if limit == 0:
        raise ValueError(f"{name} must be more than 0 seconds, not {value!r}")
    return _FOREVER_S if limit is None else limit


def megabytes(value: object, name: str, least: int, most: int) -> int:
    """A size in MiB, as bytes; it must be a whole number of pages. The bounds are in bytes."""
    size = _number(value, name, "MiB")
    if not least <= size * _BYTES_A_MB <= most:
        raise ValueError(
            f"{name} must be from {least / _BYTES_A_MB:g} to {most / _BYTES_A_MB:g} MiB,"
            f" not {value!r}"
        )
    if size * _BYTES_A_MB % _PAGE_BYTES:
        raise ValueError(
            f"{name} must be a whole number of {_PAGE_BYTES}-byte pages, not {value!r} MiB"
        )
    return int(size * _BYTES_A_MB)


def _number(value: object, name: str, unit: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number of {unit}, not {value!r}")
    try:
        return float(value)
    except OverflowError:  # an int that is larger than any float
        return math.inf if int(value) > 0 else -math.inf


def integer(value: object, name: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if type(value) is int and least <= value <= most:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    number = operator.index(value)
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value!r}")
    return number


def text(value: object, name: str) -> str:
    """Text that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    if not value.strip():
        raise ValueError(f"{name} must not be empty or blank: it is {value!r}")
    return value


def path(value: object, name: str) -> str:
    """A path of a file or folder, as text."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a str or a path, not {value!r}")
    plain = os.fspath(value)
    if not isinstance(plain, str):
        raise TypeError(f"{name} must be text, not {value!r}")
    if not plain or "\0" in plain:
        raise ValueError(f"{name} must be a non-empty path without NUL, not {value!r}")
    return plain


def environment(
    value: Optional[Mapping[str, Optional[str]]], name: str
) -> Optional[Mapping[str, Optional[str]]]:
    """Variables to set, or to remove where the value is None."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of names to values, not {value!r}")
    for key, content in value.items():
        if not isinstance(key, str) or not (content is None or isinstance(content, str)):
            raise TypeError(
                f"{name} must map str to str (or None, to remove one), not {key!r} to {content!r}"
            )
        if not key or "=" in key or "\0" in key or "\0" in (content or ""):
            raise ValueError(f"{name} can't hold the variable {key!r} with the value {content!r}")
    return dict(value)


def commands(value: object, name: str) -> List[str]:
    """Several commands: a sequence of str."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a str or a list of str, not {value!r}")
    for one in value:
        if not isinstance(one, str):
            raise TypeError(f"{name} must be a list of str, but holds {one!r}")
    return list(value)


def buffer_bytes(value: Any, name: str) -> int:
    """The length in bytes of an object whose memory can be sent directly."""
    try:
        with memoryview(value) as view:
            if not view.c_contiguous:
                raise TypeError(
                    f"{name} is not contiguous in memory: copy it first, e.g. with bytes() or"
                    " numpy.ascontiguousarray()"
                )
            return view.nbytes
    except (BufferError, ValueError) as error:  # e.g. NumPy's datetime64, which no buffer describes
        raise TypeError(
            f"{name} can't be sent directly: {error}. Send it as bytes, e.g. with numpy's"
            " .view('uint8')"
        ) from None
    except TypeError:
        if isinstance(value, str):
            raise TypeError(
                f"{name} must be bytes or another buffer, not str: encode it first, e.g. with"
                " .encode()"
            ) from None
        if (
            hasattr(value, "__buffer__")
            or hasattr(value, "__array_interface__")
            or isinstance(value, memoryview)
        ):
            raise
        raise TypeError(
            f"{name} must be bytes or another buffer, not {type(value).__name__}"
        ) from None


Args = Union[None, Sequence[object], Mapping[str, object]]


def split_args(value: Args, name: str) -> Tuple[Sequence[object], Mapping[str, object]]:
    """Positional and named arguments of a script."""
    if value is None:
        return (), {}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{name} must have names of type str, not {key!r}")
        return (), value
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, Sequence):
        raise TypeError(
            f"{name} must be a list of values or a dict of names to values, not {value!r}"
        )
    return value, {}
