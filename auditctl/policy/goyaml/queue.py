"""Tokens that wait: those that may yet turn out to be keys, and the collections that indentation opens and closes.

A token that may begin a simple key (``key:``) is held back until its colon is found or impossible. Whether it still is
possible is asked only when it is next: the order of complaints depends on that, so it is kept as go-yaml has it.
"""

from __future__ import annotations

from auditctl.policy.goyaml.cursor import Cursor
from auditctl.policy.goyaml.source import CharacterSource
from auditctl.policy.goyaml.tokens import Token, TokenKind

MAX_DEPTH = 10000
_MAX_KEY_LENGTH = 1024
_SPENT_TOKENS = 4096


class SimpleKey:
    """Where a simple key might have begun, one for each flow level."""

    __slots__ = ("column", "line", "number", "position", "possible", "required")

    def __init__(
        self, number: int, position: int, line: int, column: int, possible: bool = False, required: bool = False
    ) -> None:
        self.number = number
        self.position = position
        self.line = line
        self.column = column
        self.possible = possible
        self.required = required


class TokenQueue(Cursor):
    """A queue of tokens: ``peek`` at the next one, ``skip`` it. Raises SyntaxFault."""

    def __init__(self, source: CharacterSource) -> None:
        super().__init__(source)
        self._doubled_mark = source.doubled_mark
        self._queue: list[Token] = []
        self._head = 0
        self._parsed = 0
        self._available = False
        self._flow_level = 0
        self._indent = -1
        self._indents: list[int] = []
        self._key_allowed = True
        self._keys = [SimpleKey(0, 0, 0, 0)]
        self._key_by_number: dict[int, int] = {}

    def peek(self) -> Token:
        """Return the next token."""
        if not self._available:
            # most tokens begin no key: the call is left out for them
            while self._head == len(self._queue) or (self._parsed in self._key_by_number and self._may_begin_key()):
                self._fetch()
            self._available = True
        return self._queue[self._head]

    def skip(self) -> None:
        """Take the token that ``peek`` returned."""
        self._available = False
        self._parsed += 1
        self._head += 1
        if self._head >= _SPENT_TOKENS:
            del self._queue[: self._head]
            self._head = 0

    def _may_begin_key(self) -> bool:
        index = self._key_by_number.get(self._parsed)
        return index is not None and index < len(self._keys) and self._is_possible(self._keys[index])

    def _is_possible(self, key: SimpleKey) -> bool:
        if not key.possible:
            return False
        if key.line < self.line or key.position + _MAX_KEY_LENGTH < self.position:
            if key.required:
                self.fail("could not find expected ':'")
            key.possible = False
        return key.possible

    # -- the queue, indentation and simple keys

    def _append(self, kind: TokenKind, value: str = "", suffix: str = "") -> None:
        self._queue.append(Token(kind, self.line, self.column, value, suffix))

    def _insert(self, number: int, token: Token) -> None:
        """Put a token where the one with ``number`` stands; one that is gone already leaves it at the end."""
        at = number - self._parsed
        if at < 0:
            self._queue.append(token)
        else:
            self._queue.insert(self._head + at, token)

    def _next_number(self) -> int:
        return self._parsed + len(self._queue) - self._head

    def _save_key(self) -> None:
        if not self._key_allowed:
            return
        required = not self._flow_level and self._indent == self.column
        key = SimpleKey(self._next_number(), self.position, self.line, self.column, possible=True, required=required)
        self._remove_key()
        self._keys[-1] = key
        self._key_by_number[key.number] = len(self._keys) - 1

    def _remove_key(self) -> None:
        key = self._keys[-1]
        if key.possible:
            if key.required:
                self.fail("could not find expected ':'")
            key.possible = False
            self._key_by_number.pop(key.number, None)

    def _roll_indent(self, kind: TokenKind, key: SimpleKey | None = None) -> None:
        """Open a block collection at ``key``, or here, if the column is deeper than the open one."""
        column = self.column if key is None else key.column
        if self._flow_level or self._indent >= column:
            return
        self._indents.append(self._indent)
        self._indent = column
        if len(self._indents) > MAX_DEPTH:
            self.fail(f"exceeded max depth of {MAX_DEPTH}")
        if key is None:
            self._append(kind)
        else:
            self._insert(key.number, Token(kind, key.line, key.column))

    def _unroll_indent(self, column: int) -> None:
        if self._flow_level:
            return
        while self._indent > column:
            self._append(TokenKind.BLOCK_END)
            self._indent = self._indents.pop()

    def _fetch(self) -> None:
        """Add at least one token to the queue."""
        raise NotImplementedError
