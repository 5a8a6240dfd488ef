"""The tree that both readers make: JSON's values, with the places they stand at."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

MAX_DEPTH = 10_000
"""How deep `encoding/json` follows."""


class JsonKind(Enum):
    """The kinds of JSON, in the words of Go's decoding errors."""

    NULL = "null"
    BOOL = "bool"
    NUMBER = "number"
    STRING = "string"
    ARRAY = "array"
    OBJECT = "object"


class Value(NamedTuple):
    """One value. ``text`` is a string's characters, a number's literal, ``true`` or ``false``.

    ``line`` and ``column`` count from 1.
    """

    kind: JsonKind
    line: int = 0
    column: int = 0
    text: str = ""
    items: tuple[Value, ...] = ()
    pairs: tuple[MappingEntry, ...] = ()


class MappingEntry(NamedTuple):
    """One key of an object with its value. In JSON a key may come twice; YAML's pairs are sorted by key."""

    key: str
    line: int
    column: int
    value: Value
