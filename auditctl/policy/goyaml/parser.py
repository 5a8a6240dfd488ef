"""Tokens to events: the grammar (`parserc.go`), for the first document alone.

The quirks are go-yaml's: an explicit empty key in a flow sequence (``[? : x]``) swallows its colon.
"""

from __future__ import annotations

from collections.abc import Iterator

from auditctl.policy.goyaml.events import Sort, YamlEvent
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.scanner import Scanner
from auditctl.policy.goyaml.source import read
from auditctl.policy.goyaml.states import State, States, finished
from auditctl.policy.goyaml.tokens import Token, TokenKind

_DEFAULT_TAGS = {"!": "!", "!!": "tag:yaml.org,2002:"}
_DIRECTIVES = frozenset({TokenKind.VERSION_DIRECTIVE, TokenKind.TAG_DIRECTIVE})
_EXPLICIT_STARTS = _DIRECTIVES | {TokenKind.DOCUMENT_START, TokenKind.STREAM_END}
_NO_CONTENT = _EXPLICIT_STARTS | {TokenKind.DOCUMENT_END}
_NO_BLOCK_NODE = frozenset({TokenKind.KEY, TokenKind.VALUE, TokenKind.BLOCK_END})
_NO_ENTRY_NODE = _NO_BLOCK_NODE | {TokenKind.BLOCK_ENTRY}
_ENTRY_ENDS = frozenset({TokenKind.BLOCK_ENTRY, TokenKind.BLOCK_END})
_PROPERTIES = frozenset({TokenKind.ANCHOR, TokenKind.TAG})
_SEQUENCE_ENDS = frozenset({TokenKind.FLOW_ENTRY, TokenKind.FLOW_SEQUENCE_END})
_MAPPING_ENDS = frozenset({TokenKind.FLOW_ENTRY, TokenKind.FLOW_MAPPING_END})


def parse(raw: bytes) -> list[YamlEvent]:
    """Return the events of the first document; none for a stream without one. Raises SyntaxFault."""
    return list(_Parser(Scanner(read(raw))).events())


class _Parser(States):
    def __init__(self, scanner: Scanner) -> None:
        super().__init__(scanner)
        self._tags: dict[str, str] = {}
        self._state = self._block_node

    def events(self) -> Iterator[YamlEvent]:
        token = self.scanner.peek()
        if token.kind is TokenKind.STREAM_END:
            return
        if token.kind in _EXPLICIT_STARTS:
            self._read_directives()
            self._state = self._document_content
        self._tags = _DEFAULT_TAGS | self._tags
        anchors: set[str] = set()
        while self._state is not finished:
            event = self._state()
            if event.sort is Sort.ALIAS and event.value not in anchors:
                problem = f"yaml: unknown anchor '{event.value}' referenced"
                raise SyntaxFault(problem, event.line + 1, event.column + 1)
            if event.anchor:
                anchors.add(event.anchor)
            yield event
        self.scanner.peek()  # what follows the document has to be a token, no more

    # -- the document

    def _read_directives(self) -> None:
        has_version = False
        token = self.scanner.peek()
        while token.kind in _DIRECTIVES:
            if token.kind is TokenKind.VERSION_DIRECTIVE:
                if has_version:
                    self._fail("found duplicate %YAML directive", token)
                if token.value != "1.1":
                    self._fail("found incompatible YAML document", token)
                has_version = True
            elif token.value in self._tags:
                self._fail("found duplicate %TAG directive", token)
            else:
                self._tags[token.value] = token.suffix
            self.scanner.skip()
            token = self.scanner.peek()
        if token.kind is not TokenKind.DOCUMENT_START:
            self._fail("did not find expected <document start>", token)
        self.scanner.skip()

    def _document_content(self) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind in _NO_CONTENT:
            self._pop_state()
            return self._empty(token)
        return self._block_node()

    # -- nodes

    def _block_node(self) -> YamlEvent:
        return self._node(block=True)

    def _node(self, *, block: bool = False, indentless: bool = False) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is TokenKind.ALIAS:
            self._pop_state()
            self.scanner.skip()
            return YamlEvent(Sort.ALIAS, token.line, token.column, token.value)
        start, anchor, tag = token, "", ""
        if token.kind in _PROPERTIES:
            anchor, tag = self._properties(start)
            token = self.scanner.peek()
        if indentless and token.kind is TokenKind.BLOCK_ENTRY:
            self._state = self._indentless_sequence_entry
            return YamlEvent(Sort.SEQUENCE_START, start.line, start.column, "", tag, anchor)
        if token.kind is TokenKind.SCALAR:
            self._pop_state()
            self.scanner.skip()
            implicit = (not tag and token.plain) or tag == "!"
            return YamlEvent(Sort.SCALAR, start.line, start.column, token.value, tag, anchor, implicit)
        collection = self._collection_start(token, block=block)
        if collection is not None:
            return YamlEvent(collection, start.line, start.column, "", tag, anchor)
        if not anchor and not tag:
            self._fail("did not find expected node content", token)
        self._pop_state()
        return YamlEvent(Sort.SCALAR, start.line, start.column, "", tag, anchor, implicit=not tag)

    def _properties(self, start: Token) -> tuple[str, str]:
        """Return anchor and tag, in either order in the text, one of each at most."""
        properties: dict[TokenKind, Token] = {}
        token = start
        while token.kind in _PROPERTIES and token.kind not in properties:
            properties[token.kind] = token
            self.scanner.skip()
            token = self.scanner.peek()
        anchor = properties[TokenKind.ANCHOR].value if TokenKind.ANCHOR in properties else ""
        return anchor, self._tag(properties[TokenKind.TAG]) if TokenKind.TAG in properties else ""

    def _tag(self, token: Token) -> str:
        if not token.value:
            return token.suffix
        if token.value not in self._tags:
            self._fail("found undefined tag handle", token)
        return self._tags[token.value] + token.suffix

    def _collection_start(self, token: Token, *, block: bool) -> Sort | None:
        """Return the state that reads the collection which begins at ``token``, and its sort; None if none does."""
        if token.kind is TokenKind.FLOW_SEQUENCE_START:
            self._state, sort = self._flow_sequence_first_entry, Sort.SEQUENCE_START
        elif token.kind is TokenKind.FLOW_MAPPING_START:
            self._state, sort = self._flow_mapping_first_key, Sort.MAPPING_START
        elif block and token.kind is TokenKind.BLOCK_SEQUENCE_START:
            self._state, sort = self._block_sequence_first_entry, Sort.SEQUENCE_START
        elif block and token.kind is TokenKind.BLOCK_MAPPING_START:
            self._state, sort = self._block_mapping_first_key, Sort.MAPPING_START
        else:
            return None
        return sort

    # -- block collections

    def _block_sequence_first_entry(self) -> YamlEvent:
        self.scanner.skip()
        return self._block_sequence_entry()

    def _block_sequence_entry(self) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is TokenKind.BLOCK_END:
            return self._leave(Sort.SEQUENCE_END, token)
        if token.kind is not TokenKind.BLOCK_ENTRY:
            self._fail("did not find expected '-' indicator", token)
        self.scanner.skip()
        if self.scanner.peek().kind in _ENTRY_ENDS:
            self._state = self._block_sequence_entry
            return self._empty(token, behind=True)
        self._states.append(self._block_sequence_entry)
        return self._node(block=True)

    def _indentless_sequence_entry(self) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is not TokenKind.BLOCK_ENTRY:
            self._pop_state()
            return YamlEvent(Sort.SEQUENCE_END, token.line, token.column)
        self.scanner.skip()
        if self.scanner.peek().kind in _NO_ENTRY_NODE:
            self._state = self._indentless_sequence_entry
            return self._empty(token, behind=True)
        self._states.append(self._indentless_sequence_entry)
        return self._node(block=True)

    def _block_mapping_first_key(self) -> YamlEvent:
        self.scanner.skip()
        return self._block_mapping_key()

    def _block_mapping_key(self) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is TokenKind.BLOCK_END:
            return self._leave(Sort.MAPPING_END, token)
        if token.kind is not TokenKind.KEY:
            self._fail("did not find expected key", token)
        self.scanner.skip()
        return self._block_mapping_part(token, self._block_mapping_value)

    def _block_mapping_value(self) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is not TokenKind.VALUE:
            self._state = self._block_mapping_key
            return self._empty(token)
        self.scanner.skip()
        return self._block_mapping_part(token, self._block_mapping_key)

    def _block_mapping_part(self, indicator: Token, following: State) -> YamlEvent:
        """Return the key or the value behind ``?`` or ``:``, and then the state ``following``."""
        if self.scanner.peek().kind in _NO_BLOCK_NODE:
            self._state = following
            return self._empty(indicator, behind=True)
        self._states.append(following)
        return self._node(block=True, indentless=True)

    # -- flow collections

    def _flow_sequence_first_entry(self) -> YamlEvent:
        self.scanner.skip()
        return self._flow_sequence_entry(first=True)

    def _flow_sequence_entry(self, *, first: bool = False) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is not TokenKind.FLOW_SEQUENCE_END and not first:
            token = self._skip_comma(token, "did not find expected ',' or ']'")
        if token.kind is TokenKind.FLOW_SEQUENCE_END:
            return self._leave(Sort.SEQUENCE_END, token)
        if token.kind is TokenKind.KEY:
            self._state = self._flow_pair_key
            self.scanner.skip()
            return YamlEvent(Sort.MAPPING_START, token.line, token.column)
        self._states.append(self._flow_sequence_entry)
        return self._node()

    def _skip_comma(self, token: Token, problem: str) -> Token:
        if token.kind is not TokenKind.FLOW_ENTRY:
            self._fail(problem, token)
        self.scanner.skip()
        return self.scanner.peek()

    def _flow_pair_key(self) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind in _SEQUENCE_ENDS | {TokenKind.VALUE}:
            self.scanner.skip()
            self._state = self._flow_pair_value
            return self._empty(token, behind=True)
        self._states.append(self._flow_pair_value)
        return self._node()

    def _flow_pair_value(self) -> YamlEvent:
        return self._flow_value(_SEQUENCE_ENDS, self._flow_pair_end)

    def _flow_pair_end(self) -> YamlEvent:
        self._state = self._flow_sequence_entry
        token = self.scanner.peek()
        return YamlEvent(Sort.MAPPING_END, token.line, token.column)

    def _flow_mapping_first_key(self) -> YamlEvent:
        self.scanner.skip()
        return self._flow_mapping_key(first=True)

    def _flow_mapping_key(self, *, first: bool = False) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is not TokenKind.FLOW_MAPPING_END and not first:
            token = self._skip_comma(token, "did not find expected ',' or '}'")
        if token.kind is TokenKind.FLOW_MAPPING_END:
            return self._leave(Sort.MAPPING_END, token)
        if token.kind is not TokenKind.KEY:
            self._states.append(self._flow_mapping_empty_value)
            return self._node()
        self.scanner.skip()
        token = self.scanner.peek()
        if token.kind in _MAPPING_ENDS | {TokenKind.VALUE}:
            self._state = self._flow_mapping_value
            return self._empty(token)
        self._states.append(self._flow_mapping_value)
        return self._node()

    def _flow_mapping_value(self) -> YamlEvent:
        return self._flow_value(_MAPPING_ENDS, self._flow_mapping_key)

    def _flow_mapping_empty_value(self) -> YamlEvent:
        self._state = self._flow_mapping_key
        return self._empty(self.scanner.peek())

    def _flow_value(self, ends: frozenset[TokenKind], following: State) -> YamlEvent:
        token = self.scanner.peek()
        if token.kind is TokenKind.VALUE:
            self.scanner.skip()
            token = self.scanner.peek()
            if token.kind not in ends:
                self._states.append(following)
                return self._node()
        self._state = following
        return self._empty(token)
