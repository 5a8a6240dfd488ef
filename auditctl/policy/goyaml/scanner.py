"""Characters to tokens, as go-yaml v2 finds them (`scannerc.go`)."""

from __future__ import annotations

import re

from auditctl.patterns import lazily
from auditctl.policy.goyaml import properties, scalars
from auditctl.policy.goyaml.cursor import BLANKS, BLANKS_BREAKS_AND_END, BREAKS
from auditctl.policy.goyaml.queue import MAX_DEPTH, SimpleKey, TokenQueue
from auditctl.policy.goyaml.source import END
from auditctl.policy.goyaml.tokens import Token, TokenKind

_SPACES = lazily(" *")
_BLANKS = lazily("[ \\t]*")
_COMMENT = lazily("#[^\\r\\n\\x85\u2028\u2029\\0]*")
# of what comes to it: indicators are tokens of their own, and begin a plain scalar where they are none
_BEGINS_NOTHING = BLANKS | set("|>%@`")
_MAY_BE_NO_NODE = frozenset(f"{END}%-.,?:[]{{}}")
_FLOW_STARTS = {"[": TokenKind.FLOW_SEQUENCE_START, "{": TokenKind.FLOW_MAPPING_START}
_FLOW_ENDS = {"]": TokenKind.FLOW_SEQUENCE_END, "}": TokenKind.FLOW_MAPPING_END}


class Scanner(TokenQueue):
    """``peek`` at the next token, ``skip`` it. Raises SyntaxFault."""

    def _fetch(self) -> None:
        self._skip_to_token()
        self._unroll_indent(self.position - self.line_start)
        if self.position + 4 > self._limit:
            self.need(4)
        character = self.text[self.position]
        if character not in _MAY_BE_NO_NODE:
            self._fetch_node(character)
        elif character == END:
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
            if self.position + 1 > self._limit:
                self.need(1)
            if self.position < self._doubled_mark and not self.column:
                # `is_bom` looks at the start of its buffer, not at the cursor: a doubled mark eats one
                # character of every line in the first piece
                self.position += 1
            # no tab may stand where a key could begin
            if text[self.position] in BLANKS:
                blanks = _BLANKS if self._flow_level or not self._key_allowed else _SPACES
                self.position = self._end_of(blanks)
                if self.position + 1 > self._limit:
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
        self._append(TokenKind.STREAM_END)

    def _fetch_directive(self) -> None:
        self._unroll_indent(-1)
        self._remove_key()
        self._key_allowed = False
        self._queue.append(properties.directive(self))

    def _fetch_document_indicator(self, character: str) -> None:
        self._unroll_indent(-1)
        self._remove_key()
        self._key_allowed = False
        self._append(TokenKind.DOCUMENT_START if character == "-" else TokenKind.DOCUMENT_END)
        self.position += 3

    def _fetch_flow_start(self, kind: TokenKind) -> None:
        self._save_key()
        self._keys.append(SimpleKey(self._next_number(), self.position, self.line, self.column))
        self._flow_level += 1
        if self._flow_level > MAX_DEPTH:
            self.fail(f"exceeded max depth of {MAX_DEPTH}")
        self._key_allowed = True
        self._append(kind)
        self.position += 1

    def _fetch_flow_end(self, kind: TokenKind) -> None:
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
        self._append(TokenKind.FLOW_ENTRY)
        self.position += 1

    def _fetch_block_entry(self) -> None:
        if not self._flow_level:
            if not self._key_allowed:
                self.fail("block sequence entries are not allowed in this context")
            self._roll_indent(TokenKind.BLOCK_SEQUENCE_START)
        self._remove_key()
        self._key_allowed = True
        self._append(TokenKind.BLOCK_ENTRY)
        self.position += 1

    def _fetch_key(self) -> None:
        if not self._flow_level:
            if not self._key_allowed:
                self.fail("mapping keys are not allowed in this context")
            self._roll_indent(TokenKind.BLOCK_MAPPING_START)
        self._remove_key()
        self._key_allowed = not self._flow_level
        self._append(TokenKind.KEY)
        self.position += 1

    def _fetch_value(self) -> None:
        key = self._keys[-1]
        if self._is_possible(key):
            self._insert(key.number, Token(TokenKind.KEY, key.line, key.column))
            self._roll_indent(TokenKind.BLOCK_MAPPING_START, key)
            key.possible = False
            self._key_by_number.pop(key.number, None)
            self._key_allowed = False
        else:
            if not self._flow_level:
                if not self._key_allowed:
                    self.fail("mapping values are not allowed in this context")
                self._roll_indent(TokenKind.BLOCK_MAPPING_START)
            self._key_allowed = not self._flow_level
        self._append(TokenKind.VALUE)
        self.position += 1

    def _fetch_node(self, character: str) -> None:
        """Return an anchor, an alias, a tag or a scalar."""
        line, column = self.line, self.column
        if character in "|>" and not self._flow_level:
            self._remove_key()
            self._key_allowed = True
            self._queue.append(Token(TokenKind.SCALAR, line, column, scalars.block(self, self._indent)))
            return
        if character in _BEGINS_NOTHING:
            self.fail("found character that cannot start any token")
        self._save_key()
        self._key_allowed = False
        if character in "*&":
            kind = TokenKind.ALIAS if character == "*" else TokenKind.ANCHOR
            token = Token(kind, line, column, properties.anchor(self))
        elif character == "!":
            token = Token(TokenKind.TAG, line, column, *properties.tag(self))
        elif character in "'\"":
            token = Token(TokenKind.SCALAR, line, column, scalars.quoted(self))
        else:
            value, ended_line = scalars.plain(self, self._indent + 1, flow=self._flow_level > 0)
            token = Token(TokenKind.SCALAR, line, column, value, plain=True)
            self._key_allowed = ended_line
        self._queue.append(token)
