"""A place in the characters of a text, and the complaints that name it."""

from __future__ import annotations

from typing import NoReturn

from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.source import CharacterSource

BREAKS = frozenset("\r\n\x85\u2028\u2029")
BLANKS = frozenset(" \t")
BLANKS_AND_BREAKS = BLANKS | BREAKS
BLANKS_BREAKS_AND_END = BLANKS_AND_BREAKS | {"\0"}
BREAKS_AND_END = BREAKS | {"\0"}


class Cursor:
    """``line`` and ``column`` count from 0, as go-yaml's marks do. Moving on is assigning to ``position``."""

    def __init__(self, source: CharacterSource) -> None:
        self.text = source.text
        self.position = 0
        self.line = 0
        self.line_start = 0
        self._limit = source.limit
        self._fault = source.fault

    @property
    def column(self) -> int:
        return self.position - self.line_start

    def need(self, count: int) -> None:
        """Look ahead ``count`` characters; the reader's complaint, if it has one, comes at this moment."""
        if self.position + count > self._limit:
            raise SyntaxFault(f"yaml: {self._fault}", self.line + 1, self.column + 1)

    def fail(self, problem: str) -> NoReturn:
        """Raise the scanner's complaint about this place (`decode.go fail`); it does not mention line 1."""
        where = f"line {self.line + 1}: " if self.line else ""
        raise SyntaxFault(f"yaml: {where}{problem}", self.line + 1, self.column + 1)

    def read_break(self) -> str:
        """Step over one line break, if there is one, and return what it counts as."""
        character = self.text[self.position]
        if character not in BREAKS:
            return ""
        self.position += 2 if self.text.startswith("\r\n", self.position) else 1
        self.line += 1
        self.line_start = self.position
        return character if character in "\u2028\u2029" else "\n"

    def at_document_indicator(self) -> bool:
        """Return True at ``---`` or ``...`` in the first column."""
        if self.position != self.line_start:
            return False
        at = self.position
        return self.text[at : at + 3] in {"---", "..."} and self.text[at + 3] in BLANKS_BREAKS_AND_END
