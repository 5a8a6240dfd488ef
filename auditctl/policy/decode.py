"""JSON values into the shape of a Go type, as `sigs.k8s.io/json` does: case-sensitive, strict errors beside real ones.

The first real error is the server's; all of them are kept. A key that comes twice is decoded *into* what the first
one left, elements that a shorter list cut off included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from auditctl.policy.goyaml.quoting import quote
from auditctl.policy.goyaml.values import Kind, Value
from auditctl.policy.schema import Anything, Boolean, Integer, ListOf, MapOf, Schema, Struct, Text, Timestamp
from auditctl.policy.selectors import is_int64
from auditctl.policy.timestamps import timestamp_fault

_JSON_INTEGER = re.compile("-?[0-9]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """A value that does not fit its type. ``path`` is a field path, ``text`` the server's words."""

    text: str
    path: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Stray:
    """A field that is unknown, or there twice (``kind`` says so in the server's words)."""

    kind: str
    path: str
    line: int
    column: int
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {quote(self.path)}"


UNKNOWN = "unknown field"
DUPLICATE = "duplicate field"


@dataclass(slots=True)
class Elements:
    """A Go slice: ``length`` of the items count, those behind are what a longer list left."""

    items: list[Shape] = field(default_factory=list)
    length: int = 0

    def __iter__(self) -> Iterator[Shape]:
        return iter(self.items[: self.length])


Fields = dict[str, "Shape"]
Shape = None | bool | int | str | Elements | Fields


@dataclass(slots=True)
class Decoded:
    """A decoded object: its fields by name, where each path stands (line, column), and what was wrong with it."""

    fields: Fields = field(default_factory=dict)
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)


def decode(value: Value, schema: Struct) -> Decoded:
    """``value`` as a ``schema``. Null decodes to nothing at all."""
    decoder = _Decoder()
    fields: Fields = {}
    try:
        decoder.store(schema, value, fields, "", ("", ""))
    except _AbortError as abort:
        # it aborts the decoding, and replaces what was found before
        decoder.decoded.faults.insert(0, abort.fault)
    decoder.decoded.fields = fields
    return decoder.decoded


class _AbortError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault
