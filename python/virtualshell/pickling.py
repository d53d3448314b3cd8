"""What holds a session can't be in two places. Internal."""

from __future__ import annotations

from typing import ClassVar, NoReturn


class NotPickled:
    """Refuses to be pickled and to be copied."""

    _instead: ClassVar[str]
    """What to do."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} can't be pickled or copied: {self._instead}")
