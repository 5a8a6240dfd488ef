"""What the scanner hands to the parser."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class TokenKind(Enum):
    """The tokens of `yamlh.go`."""

    STREAM_END = auto()
    VERSION_DIRECTIVE = auto()
    TAG_DIRECTIVE = auto()
    DOCUMENT_START = auto()
    DOCUMENT_END = auto()
    BLOCK_SEQUENCE_START = auto()
    BLOCK_MAPPING_START = auto()
    BLOCK_END = auto()
    FLOW_SEQUENCE_START = auto()
    FLOW_SEQUENCE_END = auto()
    FLOW_MAPPING_START = auto()
    FLOW_MAPPING_END = auto()
    BLOCK_ENTRY = auto()
    FLOW_ENTRY = auto()
    KEY = auto()
    VALUE = auto()
    ALIAS = auto()
    ANCHOR = auto()
    TAG = auto()
    SCALAR = auto()

    # sets of kinds are asked for every token, and Enum's own hash is written in Python
    __hash__ = object.__hash__


class Token(NamedTuple):
    """``line`` and ``column`` of its first character count from 0. ``plain`` is about scalars alone.

    ``value`` is the text of a scalar, anchor or alias, the handle of a tag or tag directive, ``major.minor`` of a
    version; ``suffix`` is the rest of a tag, or the prefix of a tag directive.
    """

    kind: TokenKind
    line: int
    column: int
    value: str = ""
    suffix: str = ""
    plain: bool = False
