"""Regular expressions that are compiled when they are first used: a start compiles only what it needs.

Forty of them cost 20 ms at import, as much as all else of ours; most runs use a handful.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


class _Lazy:
    """Stands for a pattern until it is asked for something."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(self._text, self._flags), name)  # re keeps what it compiled
        setattr(self, name, value)  # from now on found without coming here
        return value


def lazily(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """A pattern that behaves as ``re.compile(text, flags)``, compiled at its first use."""
    return cast("re.Pattern[AnyStr]", _Lazy(text, flags))
