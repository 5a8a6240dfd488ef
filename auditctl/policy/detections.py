"""Detections that read the audit log: what each needs of a policy before it can fire, read from YAML.

A text is a mapping with ``sets``, a list. A set has ``set`` (its name) and ``detections``, and may have ``source``,
``path``, ``commit`` and ``date``. A detection has ``name``, ``level`` and ``requests`` (shorthand), and may have ``id``,
``path``, ``stages``, ``needed``, ``exact`` and ``note``. ``templates/detections.yaml`` is such a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from auditctl.errors import AuditctlError, Place, PolicyError
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Attributes, Level, Stage

_SET_FIELDS = frozenset({"set", "source", "path", "commit", "date", "detections"})
_FIELDS = frozenset({"name", "id", "path", "level", "exact", "stages", "needed", "requests", "note"})
_EVENT_STAGES = (Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE)


class Sample(NamedTuple):
    """One request of the kind that a detection looks for: its shorthand and its attributes."""

    text: str
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One detection rule of somebody else, reduced to what it needs of a policy.

    ``needed`` of the ``requests`` have to be recorded, each at ``level`` or more (``exact``: at that level and no other)
    and with an event of one of ``stages``. ``line`` is its place in the text.
    """

    set: str
    name: str
    level: Level
    requests: tuple[Sample, ...]
    stages: tuple[Stage, ...] = _EVENT_STAGES
    exact: bool = False
    needed: int = 1
    id: str = ""
    path: str = ""
    note: str = ""
    line: int = 0


def read_detections(raw: bytes, file: str = "") -> tuple[Detection, ...]:
    """Return the detections of a text in its order.

    Raises:
        PolicyError: the text does not have the fields above; with ``file``, line and column.
    """
    try:
        value = read_yaml(raw).value
    except SyntaxFault as fault:
        raise PolicyError(fault.text, place=Place(file, fault.line, fault.column)) from fault
    fields = _fields(value, file, frozenset({"sets"}), ("sets",))
    return tuple(detection for each in _items(fields["sets"], file) for detection in _set(each, file))


def _set(value: Value, file: str) -> list[Detection]:
    fields = _fields(value, file, _SET_FIELDS, ("set", "detections"))
    name = _text(fields["set"], file)
    path = _text(fields["path"], file) if "path" in fields else ""
    return [_detection(each, file, name, path) for each in _items(fields["detections"], file)]


def _detection(value: Value, file: str, set_name: str, path: str) -> Detection:
    fields = _fields(value, file, _FIELDS, ("name", "level", "requests"))
    requests = tuple(_sample(each, file) for each in _items(fields["requests"], file))
    texts = {key: _text(fields[key], file) for key in ("name", "id", "path", "note") if key in fields}
    return Detection(
        set=set_name,
        name=texts["name"],
        level=_level(fields["level"], file),
        requests=requests,
        stages=_stages(fields["stages"], file) if "stages" in fields else _EVENT_STAGES,
        exact=_exact(fields["exact"], file) if "exact" in fields else False,
        needed=_needed(fields["needed"], file, len(requests)) if "needed" in fields else 1,
        id=texts.get("id", ""),
        path=texts.get("path", path),
        note=texts.get("note", ""),
        line=value.line,
    )


def _fields(value: Value, file: str, known: frozenset[str], required: tuple[str, ...]) -> dict[str, Value]:
    """Return the fields of a mapping; an unknown or a missing one is an error, so that no typing mistake is silent."""
    fields = {pair.key: pair.value for pair in value.pairs}
    missing = [key for key in required if key not in fields]
    if value.kind is not JsonKind.OBJECT or missing:
        raise _error(value, file, f"a mapping with {', '.join(required)} is needed")
    for pair in value.pairs:
        if pair.key not in known:
            raise _error(pair.value, file, f"unknown field {pair.key!r}; known are {', '.join(sorted(known))}")
    return fields


def _items(value: Value, file: str) -> tuple[Value, ...]:
    if value.kind is not JsonKind.ARRAY or not value.items:
        raise _error(value, file, "a list with at least one item is needed")
    return value.items


def _text(value: Value, file: str) -> str:
    if value.kind is not JsonKind.STRING or not value.text:
        raise _error(value, file, "a text is needed")
    return value.text


def _sample(value: Value, file: str) -> Sample:
    text = _text(value, file)
    try:
        return Sample(text, parse(text))
    except AuditctlError as error:
        raise _error(value, file, error.message) from error


def _level(value: Value, file: str) -> Level:
    names = [level.value for level in Level if level is not Level.NONE]
    if value.text not in names:
        raise _error(value, file, f"{value.text!r} is not a level of an event; use {', '.join(names)}")
    return Level(value.text)


def _stages(value: Value, file: str) -> tuple[Stage, ...]:
    names = [stage.value for stage in _EVENT_STAGES]
    for item in _items(value, file):
        if item.text not in names:
            raise _error(item, file, f"{item.text!r} is not a stage of a normal request; use {', '.join(names)}")
    return tuple(Stage(item.text) for item in value.items)


def _exact(value: Value, file: str) -> bool:
    if value.kind is not JsonKind.BOOL:
        raise _error(value, file, "true or false is needed")
    return value.text == "true"


def _needed(value: Value, file: str, most: int) -> int:
    if value.kind is not JsonKind.NUMBER or not value.text.isdecimal() or not 1 <= int(value.text) <= most:
        raise _error(value, file, f"a number from 1 to {most} (the number of requests) is needed")
    return int(value.text)


def _error(value: Value, file: str, message: str) -> PolicyError:
    return PolicyError(f"detections: {message}", place=Place(file, value.line, value.column))
