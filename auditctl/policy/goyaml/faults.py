"""The one exception of the readers below."""

from __future__ import annotations


class SyntaxFault(Exception):  # noqa: N818 - it never leaves the wing; `load` turns it into words
    """The text does not parse. ``text`` is the library's own message, ``line`` and ``column`` count from 1 (0: none)."""

    def __init__(self, text: str, line: int = 0, column: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.line = line
        self.column = column
