"""JSON values into the shape of a Go type, as `sigs.k8s.io/json` does: case-sensitive, strict errors beside real ones.

The first real error is the server's; all of them are kept. A key that comes twice is decoded *into* what the first
one left, elements that a shorter list cut off included.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from auditctl.compatibility import assert_never
from auditctl.policy.goyaml.quoting import quote
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.schema import Anything, Boolean, Integer, ListOf, MapOf, Schema, Struct, TextType, Timestamp
from auditctl.policy.selectors import is_int64
from auditctl.policy.timestamps import timestamp_fault


class Fault(NamedTuple):
    """A value that does not fit its type. ``path`` is a field path, ``text`` the server's words."""

    text: str
    path: str
    line: int
    column: int


class Strictness(Enum):
    """What only strict decoding minds, in the server's words."""

    UNKNOWN = "unknown field"
    DUPLICATE = "duplicate field"


class UnknownField(NamedTuple):
    """A field that is unknown or there twice. ``siblings`` are the names known beside it."""

    strictness: Strictness
    path: str
    line: int
    column: int
    siblings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.strictness.value} {quote(self.path)}"


class Elements:
    """A Go slice: the first ``length`` items count, those behind them are what a longer list left."""

    __slots__ = ("items", "length")

    def __init__(self, length: int = 0) -> None:
        self.items: list[Shape] = []
        self.length = length

    def __iter__(self) -> Iterator[Shape]:
        return iter(self.items[: self.length])


Fields = dict[str, "Shape"]
Shape = None | bool | int | str | Elements | Fields


class Decoded:
    """A decoded object: its fields by name, where each path stands (line, column), and what was wrong with it."""

    __slots__ = ("faults", "fields", "places", "strays")

    def __init__(self) -> None:
        self.fields: Fields = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.faults: list[Fault] = []
        self.strays: list[UnknownField] = []


def decode(value: Value, schema: Struct) -> Decoded:
    """``value`` as a ``schema``. Null decodes to nothing at all; nothing is raised."""
    decoder = _Decoder()
    try:
        decoder.store(schema, value, decoder.decoded.fields, _Context())
    except _AbortError as abort:
        # a type's own complaint ends the decoding, and is told instead of what was found before
        decoder.decoded.faults.insert(0, abort.fault)
    return decoder.decoded


class _AbortError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


class _Context(NamedTuple):
    """Where the decoder is: its own path, and the struct and fields that errors name (without indexes and map keys)."""

    path: str = ""
    struct: str = ""
    names: str = ""

    def within(self, struct: Struct, name: str) -> _Context:
        shown = _child(struct.embedded.get(name, ""), name)
        return _Context(_child(self.path, name), struct.name, _child(self.names, shown))

    def at(self, suffix: str) -> _Context:
        return _Context(self.path + suffix, self.struct, self.names)

    def mismatch(self, value: Value, go_type: str, shown: str = "") -> Fault:
        where = f"Go struct field {self.struct}.{self.names}"
        text = f"json: cannot unmarshal {shown or value.kind.value} into {where} of type {go_type}"
        return Fault(text, self.path, value.line, value.column)


def _child(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


class _Decoder:
    def __init__(self) -> None:
        self.decoded = Decoded()
        self._reported_strays: set[tuple[Strictness, str]] = set()

    def store(self, schema: Schema, value: Value, current: Shape, context: _Context) -> Shape:
        """Return what ``current`` becomes when ``value`` is decoded into it."""
        self.decoded.places[context.path] = (value.line, value.column)
        match schema:
            case Struct():
                return self._struct(schema, value, current, context)
            case ListOf():
                return self._list(schema, value, current, context)
            case MapOf():
                return self._map(schema, value, current, context)
            case Timestamp():
                return self._timestamp(value, context)
            case Anything():
                return None
            case TextType() | Boolean() | Integer():
                return self._scalar(schema, value, current, context)
            case _:
                assert_never(schema)

    def _mismatch(self, value: Value, go_type: str, current: Shape, context: _Context, shown: str = "") -> Shape:
        self.decoded.faults.append(context.mismatch(value, go_type, shown))
        return current

    def _scalar(self, schema: TextType | Boolean | Integer, value: Value, current: Shape, context: _Context) -> Shape:
        match schema, value.kind:
            case Boolean(pointer=True), JsonKind.NULL:
                return None
            case _, JsonKind.NULL:
                return current
            case (TextType(), JsonKind.STRING):
                return value.text
            case (Boolean(), JsonKind.BOOL):
                return value.text == "true"
            case (Integer(), JsonKind.NUMBER):
                if is_int64(value.text):
                    return int(value.text)
                return self._mismatch(value, schema.go_type, current, context, f"number {value.text}")
            case _:
                return self._mismatch(value, schema.go_type, current, context)

    def _timestamp(self, value: Value, context: _Context) -> Shape:
        if value.kind is JsonKind.NULL:
            return None
        if value.kind is not JsonKind.STRING:
            raise _AbortError(context.mismatch(value, "string"))
        fault = timestamp_fault(value.text)
        if fault:
            raise _AbortError(Fault(fault, context.path, value.line, value.column))
        return value.text

    def _list(self, schema: ListOf, value: Value, current: Shape, context: _Context) -> Shape:
        if value.kind is JsonKind.NULL:
            return None
        if value.kind is not JsonKind.ARRAY:
            return self._mismatch(value, schema.go_type, current, context)
        elements = current if isinstance(current, Elements) and value.items else Elements()
        for index, item in enumerate(value.items):
            if index == len(elements.items):
                elements.items.append(_zero(schema.element))
            at = context.at(f"[{index}]")
            elements.items[index] = self.store(schema.element, item, elements.items[index], at)
        elements.length = len(value.items)
        return elements

    def _map(self, schema: MapOf, value: Value, current: Shape, context: _Context) -> Shape:
        if value.kind is JsonKind.NULL:
            return None
        if value.kind is not JsonKind.OBJECT:
            return self._mismatch(value, schema.go_type, current, context)
        fields: Fields = {}
        keys: set[str] = set()
        for pair in value.pairs:
            if pair.key in keys:
                self._stray(Strictness.DUPLICATE, _child(context.path, pair.key), pair.line, pair.column)
            keys.add(pair.key)
            at = context.at(f".{pair.key}")
            fields[pair.key] = self.store(schema.element, pair.value, _zero(schema.element), at)
        return fields

    def _struct(self, schema: Struct, value: Value, current: Shape, context: _Context) -> Shape:
        if value.kind is JsonKind.NULL:
            return current
        if value.kind is not JsonKind.OBJECT:
            return self._mismatch(value, schema.go_type, current, context)
        fields = current if isinstance(current, dict) else {}
        keys: set[str] = set()
        for pair in value.pairs:
            path = _child(context.path, pair.key)
            element = schema.fields.get(pair.key)
            if element is None:
                siblings = tuple(schema.fields)
                self._stray(Strictness.UNKNOWN, path, pair.line, pair.column, siblings)
                continue
            if pair.key in keys:
                self._stray(Strictness.DUPLICATE, path, pair.line, pair.column)
            keys.add(pair.key)
            within = context.within(schema, pair.key)
            before = fields.get(pair.key, _zero(element))
            fields[pair.key] = self.store(element, pair.value, before, within)
        return fields

    def _stray(self, strictness: Strictness, path: str, line: int, column: int, siblings: tuple[str, ...] = ()) -> None:
        if (strictness, path) not in self._reported_strays:
            self._reported_strays.add((strictness, path))
            self.decoded.strays.append(UnknownField(strictness, path, line, column, siblings))


def _zero(schema: Schema) -> Shape:
    """Return Go's zero value, or null where the two come to the same."""
    match schema:
        case TextType():
            return ""
        case Integer():
            return 0
        case Struct():
            return {}
        case Boolean() | ListOf() | MapOf() | Timestamp() | Anything():
            return None
        case _:
            assert_never(schema)
