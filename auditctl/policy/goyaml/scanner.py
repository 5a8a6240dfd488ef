"""Characters to tokens, as go-yaml v2 finds them (`scannerc.go`).

Two things make the order of complaints what it is, and are kept: a token that may begin a simple key (``key:``) is
held back until its colon is found or impossible, and whether it still is possible is asked only when it is next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from auditctl.policy.goyaml import properties, scalars
from auditctl.policy.goyaml.cursor import BLANKS, BLANKS_BREAKS_AND_END, BREAKS, Cursor
from auditctl.policy.goyaml.source import END, Source
from auditctl.policy.goyaml.tokens import Kind, Token

MAX_DEPTH = 10000
_MAX_KEY_LENGTH = 1024
_SPENT_TOKENS = 4096

_SPACES = re.compile(" *")
_BLANKS = re.compile("[ \\t]*")
_COMMENT = re.compile("#[^\\r\\n\\x85\u2028\u2029\\0]*")
_NEVER_PLAIN = BLANKS_BREAKS_AND_END | set("-?:,[]{}#&*!|>'\"%@`")
_FLOW_STARTS = {"[": Kind.FLOW_SEQUENCE_START, "{": Kind.FLOW_MAPPING_START}
_FLOW_ENDS = {"]": Kind.FLOW_SEQUENCE_END, "}": Kind.FLOW_MAPPING_END}


@dataclass(slots=True)
class _SimpleKey:
    """Where a simple key might have begun, one for each flow level."""

    number: int
    position: int
    line: int
    column: int
    possible: bool = False
    required: bool = False


class Scanner(Cursor):
    """A queue of tokens: ``peek`` at the next one, ``skip`` it. Raises SyntaxFault."""

    def __init__(self, source: Source) -> None:
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
        self._keys = [_SimpleKey(0, 0, 0, 0)]
        self._key_by_number: dict[int, int] = {}

    def peek(self) -> Token:
        """The next token."""
        if not self._available:
            while self._head == len(self._queue) or self._may_begin_key():
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

    def _is_possible(self, key: _SimpleKey) -> bool:
        if not key.possible:
            return False
        if key.line < self.line or key.position + _MAX_KEY_LENGTH < self.position:
            if key.required:
                self.fail("could not find expected ':'")
            key.possible = False
        return key.possible

    # -- the queue, indentation and simple keys

    def _append(self, kind: Kind, value: str = "", suffix: str = "") -> None:
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
        key = _SimpleKey(self._next_number(), self.position, self.line, self.column, possible=True, required=required)
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

    def _roll_indent(self, kind: Kind, key: _SimpleKey | None = None) -> None:
        """A deeper column begins a block collection, at ``key`` or here."""
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
            self._append(Kind.BLOCK_END)
            self._indent = self._indents.pop()

    # -- one more token

    def _fetch(self) -> None:
        self._skip_to_token()
        self._unroll_indent(self.column)
        self.need(4)
        character = self.text[self.position]
        if character == END:
            self._fetch_stream_end()
        elif character == "%" and not self.column:
            self._fetch_directive()
        elif character in "-." and self.at_document_indicator():
            self._fetch_document_indicator(character)
        elif character in _FLOW_STARTS:
            self._fetch_flow_start(_FLOW_STARTS[character])
        elif character in _FLOW_ENDS:
            self._fetch_flow_end(_FLOW_ENDS[character])
        elif character == ",":
            self._fetch_flow_entry()
        elif character in "-?:" and self._is_indicator(character):
            {"-": self._fetch_block_entry, "?": self._fetch_key, ":": self._fetch_value}[character]()
        else:
            self._fetch_node(character)

    def _is_indicator(self, character: str) -> bool:
        if self._flow_level and character != "-":
            return True
        return self.text[self.position + 1] in BLANKS_BREAKS_AND_END

    def _skip_to_token(self) -> None:
        text = self.text
        while True:
            self.need(1)
            if self.position < self._doubled_mark and not self.column:
                # `is_bom` looks at the start of its buffer, not at the cursor: a doubled mark eats one
                # character of every line in the first piece
                self.position += 1
            # no tab may stand where a key could begin
            blanks = _BLANKS if self._flow_level or not self._key_allowed else _SPACES
            self.position = self._end_of(blanks)
            self.need(1)
            if text[self.position] == "#":
                self.position = self._end_of(_COMMENT)
                self.need(1)
            if text[self.position] not in BREAKS:
                return
            self.need(2)
            self.read_break()
            if not self._flow_level:
                self._key_allowed = True

    def _end_of(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.position)
        return match.end() if match else self.position

    def _fetch_stream_end(self) -> None:
        if self.column:
            self.line += 1
            self.line_start = self.position
        self._unroll_indent(-1)
        self._remove_key()
        self._key_allowed = False
        self._append(Kind.STREAM_END)

    def _fetch_directive(self) -> None:
        self._unroll_indent(-1)
        self._remove_key()
        self._key_allowed = False
        self._queue.append(properties.directive(self))

    def _fetch_document_indicator(self, character: str) -> None:
        self._unroll_indent(-1)
        self._remove_key()
        self._key_allowed = False
        self._append(Kind.DOCUMENT_START if character == "-" else Kind.DOCUMENT_END)
        self.position += 3

    def _fetch_flow_start(self, kind: Kind) -> None:
        self._save_key()
        self._keys.append(_SimpleKey(self._next_number(), self.position, self.line, self.column))
        self._flow_level += 1
        if self._flow_level > MAX_DEPTH:
            self.fail(f"exceeded max depth of {MAX_DEPTH}")
        self._key_allowed = True
        self._append(kind)
        self.position += 1

    def _fetch_flow_end(self, kind: Kind) -> None:
        self._remove_key()
        if self._flow_level:
            self._flow_level -= 1
            self._key_by_number.pop(self._keys.pop().number, None)
        self._key_allowed = False
        self._append(kind)
        self.position += 1

    def _fetch_flow_entry(self) -> None:
        self._remove_key()
        self._key_allowed = True
        self._append(Kind.FLOW_ENTRY)
        self.position += 1

    def _fetch_block_entry(self) -> None:
        if not self._flow_level:
            if not self._key_allowed:
                self.fail("block sequence entries are not allowed in this context")
            self._roll_indent(Kind.BLOCK_SEQUENCE_START)
        self._remove_key()
        self._key_allowed = True
        self._append(Kind.BLOCK_ENTRY)
        self.position += 1

    def _fetch_key(self) -> None:
        if not self._flow_level:
            if not self._key_allowed:
                self.fail("mapping keys are not allowed in this context")
            self._roll_indent(Kind.BLOCK_MAPPING_START)
        self._remove_key()
        self._key_allowed = not self._flow_level
        self._append(Kind.KEY)
        self.position += 1

    def _fetch_value(self) -> None:
        key = self._keys[-1]
        if self._is_possible(key):
            self._insert(key.number, Token(Kind.KEY, key.line, key.column))
            self._roll_indent(Kind.BLOCK_MAPPING_START, key)
            key.possible = False
            self._key_by_number.pop(key.number, None)
            self._key_allowed = False
        else:
            if not self._flow_level:
                if not self._key_allowed:
                    self.fail("mapping values are not allowed in this context")
                self._roll_indent(Kind.BLOCK_MAPPING_START)
            self._key_allowed = not self._flow_level
        self._append(Kind.VALUE)
        self.position += 1

    def _fetch_node(self, character: str) -> None:
        """An anchor, an alias, a tag or a scalar."""
        line, column = self.line, self.column
        if character in "|>" and not self._flow_level:
            self._remove_key()
            self._key_allowed = True
            self._queue.append(Token(Kind.SCALAR, line, column, scalars.block(self, self._indent)))
            return
        if character not in "*&!'\"" and not self._begins_plain(character):
            self.fail("found character that cannot start any token")
        self._save_key()
        self._key_allowed = False
        if character in "*&":
            kind = Kind.ALIAS if character == "*" else Kind.ANCHOR
            token = Token(kind, line, column, properties.anchor(self))
        elif character == "!":
            token = Token(Kind.TAG, line, column, *properties.tag(self))
        elif character in "'\"":
            token = Token(Kind.SCALAR, line, column, scalars.quoted(self))
        else:
            value, ended_line = scalars.plain(self, self._indent + 1, flow=self._flow_level > 0)
            token = Token(Kind.SCALAR, line, column, value, plain=True)
            self._key_allowed = self._key_allowed or ended_line
        self._queue.append(token)

    def _begins_plain(self, character: str) -> bool:
        if character not in _NEVER_PLAIN:
            return True
        following = self.text[self.position + 1]
        if character == "-":
            return following not in BLANKS
        return character in "?:" and not self._flow_level and following not in BLANKS_BREAKS_AND_END
