"""Nodes to values (`decode.go`, and `sigs.k8s.io/yaml` behind it): aliases, merge keys, duplicate keys.

No recursion. An alias takes the finished value of its anchor, and *counts* what go-yaml would decode again: that
count is what refuses alias bombs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from auditctl.policy.goyaml.events import Sort
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.nodes import NodeRole, YamlNode, compose
from auditctl.policy.goyaml.numbers import float_general, float_key
from auditctl.policy.goyaml.parser import parse
from auditctl.policy.goyaml.quoting import go_syntax, quote
from auditctl.policy.goyaml.resolve import Resolved, resolve
from auditctl.policy.goyaml.values import MAX_DEPTH, JsonKind, MappingEntry, Value

_NOT_FINITE = frozenset({"NaN", "+Inf", "-Inf"})
_MERGE_FAULT = "yaml: map merge requires map or sequence of maps as the value"
_FEW_STEPS, _MANY_STEPS = 400_000, 4_000_000


class Duplicate(NamedTuple):
    """A key that its mapping has already: of the two values the later one counts.

    ``key`` is in Go's syntax, ``line`` that of its value (go-yaml's choice), ``column`` its own.
    """

    key: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}: key {self.key} already set in map"


class DecodedDocument(NamedTuple):
    """A decoded first document. ``duplicates`` is what only strict decoding complains about."""

    value: Value
    duplicates: tuple[Duplicate, ...]


class _Built:
    """A finished value and what an alias to it would repeat: decoding steps, duplicates, faults of the conversion."""

    __slots__ = ("depth", "duplicates", "entries", "not_finite", "scalar", "steps", "unconvertible", "value")

    def __init__(
        self,
        value: Value,
        scalar: Resolved | None = None,
        steps: int = 1,
        depth: int = 0,
        duplicates: tuple[Duplicate, ...] = (),
        unconvertible: str = "",
        not_finite: str = "",
        entries: Mapping[tuple[str, str], _Entry] | None = None,
    ) -> None:
        self.value = value
        self.scalar = scalar
        self.steps = steps
        self.depth = depth
        self.duplicates = duplicates
        self.unconvertible = unconvertible
        self.not_finite = not_finite
        self.entries = entries


class _Entry(NamedTuple):
    """One key of a mapping: as JSON will have it, the value that counts, and where that was written."""

    pair: MappingEntry
    built: _Built
    line: int


class _Table:
    """A mapping while its keys are set, each known by its Go type and text."""

    __slots__ = ("duplicates", "entries", "unconvertible")

    def __init__(self, unconvertible: str = "") -> None:
        self.entries: dict[tuple[str, str], _Entry] = {}
        self.duplicates: list[Duplicate] = []
        self.unconvertible = unconvertible

    def put(self, identity: tuple[str, str], entry: _Entry) -> None:
        if identity in self.entries:
            self.duplicates.append(Duplicate(_shown(*identity), entry.line, entry.pair.column))
        self.entries[identity] = entry


def _shown(go_type: str, text: str) -> str:
    match go_type:
        case "string":
            return quote(text)
        case "float64" if text not in _NOT_FINITE:
            return float_general(text)
        case _:
            return text


def read_yaml(raw: bytes) -> DecodedDocument:
    """Return the first document as the JSON it is converted to; null where there is none. Raises SyntaxFault."""
    events = parse(raw)
    if not events:
        return DecodedDocument(Value(JsonKind.NULL, 1, 1), ())
    root = _Constructor().construct(compose(events))
    if root.unconvertible:
        raise SyntaxFault(root.unconvertible)
    if root.not_finite:
        raise SyntaxFault(f"json: unsupported value: {root.not_finite}")
    if root.depth > MAX_DEPTH:
        raise SyntaxFault("couldn't get version/kind; json parse error: exceeded max depth")
    return DecodedDocument(root.value, root.duplicates)


def _fault(text: str, node: YamlNode) -> SyntaxFault:
    return SyntaxFault(text, node.event.line + 1, node.event.column + 1)


class _Constructor:
    def __init__(self) -> None:
        self._built: dict[YamlNode, _Built] = {}
        self._steps = 1  # the document itself
        self._alias_steps = 0

    def construct(self, nodes: list[YamlNode]) -> _Built:
        """Return what the last of ``nodes``, the root, comes to. They are in the order of ``compose``."""
        for node in nodes:
            self._steps += node.counted
            sort = node.event.sort
            if sort is Sort.SCALAR:
                built = self._scalar(node)
            elif sort is Sort.MAPPING_START:
                built = self._mapping(node)
            elif sort is Sort.SEQUENCE_START:
                built = self._sequence(node)
            else:
                built = self._alias(node)
            if node.role is NodeRole.KEY and built.scalar is None:
                raise _fault(f"yaml: invalid map key: {go_syntax(built.value)}", node)
            self._built[node] = built
        return self._built[nodes[-1]]

    def _scalar(self, node: YamlNode) -> _Built:
        event = node.event
        if node.role is NodeRole.MERGED:
            raise _fault(_MERGE_FAULT, node)
        try:
            scalar = resolve(event.value, event.tag, implicit=event.implicit)
        except SyntaxFault as fault:
            raise _fault(fault.text, node) from fault
        built = _Built(Value(scalar.kind, event.line + 1, event.column + 1, scalar.text), scalar, node.counted)
        if scalar.kind is JsonKind.NUMBER and scalar.text in _NOT_FINITE:
            built.not_finite = scalar.text
        return built

    def _alias(self, node: YamlNode) -> _Built:
        if node.target is None:
            raise _fault(f"yaml: anchor '{node.event.value}' value contains itself", node)
        target = self._built[node.target]
        self._steps += target.steps
        self._alias_steps += target.steps
        # within one alias the share of alias steps only grows, so its end is the moment to look
        steps = self._steps + node.ancestors
        if self._alias_steps > 100 and steps > 1000 and self._alias_steps / steps > _allowed_ratio(steps):
            raise _fault("yaml: document contains excessive aliasing", node)
        return _Built(
            target.value,
            target.scalar,
            target.steps + 1,
            target.depth,
            target.duplicates,
            target.unconvertible,
            target.not_finite,
            target.entries,
        )

    def _sequence(self, node: YamlNode) -> _Built:
        items = [self._built[child] for child in node.children]
        place = node.event.line + 1, node.event.column + 1
        built = _Built(Value(JsonKind.ARRAY, *place, items=tuple(item.value for item in items)))
        built.steps = node.counted + sum(item.steps for item in items)
        built.duplicates = _joined(items)
        _inherit(built, items)
        return built

    def _mapping(self, node: YamlNode) -> _Built:
        place = node.event.line + 1, node.event.column + 1
        parts = [self._built[child] for child in node.children]
        table = _Table()
        for index in range(0, len(parts), 2):
            key, value = node.children[index : index + 2]
            if key.role is NodeRole.MERGE_KEY:
                self._merge(table, value)
            else:
                self._set(table, key, value)
        # sorting is stable: of two keys that JSON cannot tell apart (1 and "1") the later one comes last
        by_name = sorted(table.entries.values(), key=_key_of)
        pairs = {entry.pair.key: entry.pair for entry in by_name}
        built = _Built(Value(JsonKind.OBJECT, *place, pairs=tuple(pairs.values())))
        built.steps = 1 + sum(part.steps for part in parts)
        built.duplicates = (*_joined(parts), *table.duplicates) if table.duplicates else _joined(parts)
        built.unconvertible = table.unconvertible
        built.entries = table.entries
        # conversion visits both of two such keys, though one survives
        _inherit(built, [entry.built for entry in by_name])
        return built

    def _merge(self, table: _Table, node: YamlNode) -> None:
        """Set merged keys where the ``<<`` is, as go-yaml does: they win over keys before it."""
        sources = [node]
        if node.event.sort is Sort.SEQUENCE_START:
            sources = node.children[::-1]
        for source in sources:
            resolved = source.target if source.event.sort is Sort.ALIAS else source
            if resolved is None or resolved.event.sort is not Sort.MAPPING_START:
                raise _fault(_MERGE_FAULT, node)
            merged = self._built[resolved]
            table.unconvertible = table.unconvertible or merged.unconvertible
            for identity, entry in (merged.entries or {}).items():
                table.put(identity, entry)

    def _set(self, table: _Table, key: YamlNode, value: YamlNode) -> None:
        scalar = self._built[key].scalar
        if scalar is None:  # pragma: no cover - refused when the key was built
            raise AssertionError
        name, fault = _key_name(scalar)
        built = self._built[value]
        if fault and not table.unconvertible:
            table.unconvertible = f"{fault}, value: {go_syntax(built.value)}"
        pair = MappingEntry(name, key.event.line + 1, key.event.column + 1, built.value)
        table.put((scalar.go_type, scalar.text), _Entry(pair, built, value.event.line + 1))


def _key_of(entry: _Entry) -> str:
    return entry.pair.key


def _allowed_ratio(steps: int) -> float:
    """Return the share of decoding steps that may come from aliases (`decode.go allowedAliasRatio`)."""
    beyond = min(max(steps - _FEW_STEPS, 0), _MANY_STEPS - _FEW_STEPS)
    return 0.99 - 0.89 * beyond / (_MANY_STEPS - _FEW_STEPS)


def _joined(parts: Iterable[_Built]) -> tuple[Duplicate, ...]:
    not_empty = [part.duplicates for part in parts if part.duplicates]
    # deep nesting passes the same tuple on and on: it is not copied on the way up
    return (
        not_empty[0]
        if len(not_empty) == 1
        else tuple(duplicate for duplicates in not_empty for duplicate in duplicates)
    )


def _inherit(built: _Built, parts: Iterable[_Built]) -> None:
    """Take over depth, and the faults that conversion to JSON meets first."""
    for part in parts:
        built.depth = max(built.depth, part.depth)
        built.unconvertible = built.unconvertible or part.unconvertible
        built.not_finite = built.not_finite or part.not_finite
    built.depth += 1


def _key_name(scalar: Resolved) -> tuple[str, str]:
    """Return the key as JSON has it, and why it cannot be one."""
    match scalar.go_type:
        case "float64":
            words = {"NaN": ".nan", "+Inf": ".inf", "-Inf": "-.inf"}
            return words.get(scalar.text) or float_key(float(scalar.text)), ""
        case "nil":
            return "", "unsupported map key of type: %!s(<nil>), key: <nil>"
        case "uint64":
            return scalar.text, f"unsupported map key of type: uint64, key: {int(scalar.text):#x}"
        case _:
            return scalar.text, ""
