"""Events read by the standard library: the same shape as ``events_msgspec``, slower, wherever Python runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from auditctl.log.events import CompactEvent, FullEvent, Identity, Reader
from auditctl.patterns import lazily


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_READ = json.JSONDecoder(parse_constant=_no_number).raw_decode
# as Go's encoding/json writes them
_ESCAPED = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))
_NESTING = lazily(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_WHITESPACE = " \t\r\n"


class _JsonReference(NamedTuple):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    subresource: str = ""


class _JsonCompactEvent(NamedTuple):
    level: str
    stage: str
    request_uri: str
    verb: str
    user: bytes
    impersonated_user: bytes
    object_ref: _JsonReference | None
    request_object: bytes
    response_object: bytes
    stage_timestamp: str | None
    response_status: bytes


class _JsonIdentity(NamedTuple):
    username: str = ""
    groups: Sequence[str] = ()


class _JsonResponseStatus(NamedTuple):
    code: int = 0
    reason: str = ""
    message: str = ""


class _JsonFullEvent(NamedTuple):
    level: str
    audit_id: str
    stage: str
    request_uri: str
    verb: str
    user: _JsonIdentity
    impersonated_user: _JsonIdentity | None
    source_ips: Sequence[str] | None
    user_agent: str
    object_ref: _JsonReference | None
    response_status: _JsonResponseStatus | None
    request_received_timestamp: str | None
    stage_timestamp: str | None


class _Value(NamedTuple):
    """A value of the outermost object, and its very text."""

    value: Any
    raw: bytes


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] in _WHITESPACE and at < len(text):
        at += 1
    return at


def _members(line: bytes) -> dict[str, _Value]:
    """Return the members of the outermost object. Raises ValueError: not one JSON object."""
    text = line.decode("utf-8", "surrogateescape")  # a body is what the client sent, whatever it was
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("no JSON object")
    result: dict[str, _Value] = {}
    at = _after_space(text, at + 1)
    while text[at : at + 1] != "}":
        if result:
            at = _after_space(text, _past(text, at, ","))
        key, at = _READ(text, at)
        at = _after_space(text, _past(text, _after_space(text, at), ":"))
        value, end = _value(text, at)
        result[_text(key)] = _Value(value, text[at:end].encode("utf-8", "surrogateescape"))
        at = _after_space(text, end)
    if _after_space(text, at + 1) != len(text):
        raise ValueError("more than one value")
    return result


def _value(text: str, at: int) -> tuple[Any, int]:
    """The value that begins here, and where it ends. What is too deep to be built is stepped over: it is a body."""
    try:
        return _READ(text, at)
    except RecursionError:
        depth = 0
        for mark in _NESTING.finditer(text, at):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
            if not depth:
                return None, mark.end()
        raise ValueError("unfinished") from None


def _past(text: str, at: int, expected: str) -> int:
    if text[at : at + 1] != expected:
        raise ValueError(f"expected {expected}")
    return at + 1


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 (one kind of error for what is no event)
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError("no list")  # noqa: TRY004 (as above)
    return [_text(each) for each in value]


def _number(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("no whole number")  # noqa: TRY004 (as above)
    return value


def _object(members: dict[str, _Value], name: str) -> dict[str, Any] | None:
    value = members[name].value if name in members else None
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value


def _known(members: dict[str, _Value], name: str) -> str:
    if name not in members:
        raise ValueError(f"no {name}")
    return _text(members[name].value)


def _time(members: dict[str, _Value], name: str) -> str | None:
    value = members[name].value if name in members else None
    return None if value is None else _text(value)


def _reference(members: dict[str, _Value]) -> _JsonReference | None:
    row = _object(members, "objectRef")
    names = ("resource", "namespace", "name", "apiGroup", "subresource")
    return None if row is None else _JsonReference(*(_text(row.get(name, "")) for name in names))


def _identity_of(row: dict[str, Any] | None) -> _JsonIdentity | None:
    if row is None:
        return None
    return _JsonIdentity(_text(row.get("username", "")), _texts(row.get("groups") or []))


def _raw(members: dict[str, _Value], name: str) -> bytes:
    return members[name].raw if name in members else b""


def _one(line: bytes) -> _JsonCompactEvent:
    members = _members(line)
    if "user" not in members:
        raise ValueError("no user")
    return _JsonCompactEvent(
        _known(members, "level"),
        _known(members, "stage"),
        _known(members, "requestURI"),
        _known(members, "verb"),
        _raw(members, "user"),
        _raw(members, "impersonatedUser"),
        _reference(members),
        _raw(members, "requestObject"),
        _raw(members, "responseObject"),
        _time(members, "stageTimestamp"),
        _raw(members, "responseStatus"),
    )


def _whole(line: bytes) -> FullEvent:
    members = _members(line)
    status = _object(members, "responseStatus")
    agent = members["userAgent"].value if "userAgent" in members else ""
    addresses = members["sourceIPs"].value if "sourceIPs" in members else None
    return _JsonFullEvent(
        _known(members, "level"),
        _known(members, "auditID"),
        _known(members, "stage"),
        _known(members, "requestURI"),
        _known(members, "verb"),
        _identity_of(_object(members, "user")) or _nobody(members),
        _identity_of(_object(members, "impersonatedUser")),
        None if addresses is None else _texts(addresses),
        _text(agent),
        _reference(members),
        None if status is None else _outcome(status),
        _time(members, "requestReceivedTimestamp"),
        _time(members, "stageTimestamp"),
    )


def _outcome(row: dict[str, Any]) -> _JsonResponseStatus:
    return _JsonResponseStatus(_number(row.get("code", 0)), _text(row.get("reason", "")), _text(row.get("message", "")))


def _nobody(members: dict[str, _Value]) -> _JsonIdentity:
    if "user" not in members:
        raise ValueError("no user")
    return _JsonIdentity()


def _identity(raw: bytes) -> Identity:
    """Return the user of an event, an empty one where there is none: the event itself counts all the same."""
    with suppress(ValueError):
        row = json.loads(raw.decode("utf-8", "surrogateescape"))
        return _identity_of(row if isinstance(row, dict) else None) or _JsonIdentity()
    return _JsonIdentity()


def _items(line: bytes) -> Sequence[bytes]:
    members = _members(line)
    if _known(members, "kind") != "EventList" or "items" not in members or not isinstance(members["items"].value, list):
        raise ValueError("no EventList")
    text = members["items"].raw.decode("utf-8", "surrogateescape")
    return list(_elements(text))


def _elements(text: str) -> Iterator[bytes]:
    at = _after_space(text, 1)
    while text[at] != "]":
        _, end = _READ(text, at)
        yield text[at:end].encode("utf-8", "surrogateescape")
        at = _after_space(text, end)
        at = _after_space(text, at + 1) if text[at] == "," else at


def _managed(body: bytes) -> int:
    try:
        result = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return 0
    if not isinstance(result, dict):
        return 0
    rows = [row.get("object") for row in result.get("rows") or () if isinstance(row, dict)]
    objects = [result, *(result.get("items") or ()), *rows]
    return sum(_managed_of(each) for each in objects if isinstance(each, dict))


def _managed_of(result: dict[str, Any]) -> int:
    metadata = result.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return 0
    text = json.dumps(metadata["managedFields"], separators=(",", ":"), ensure_ascii=False)
    for plain, escaped in _ESCAPED:
        text = text.replace(plain, escaped)
    return len(text.encode("utf-8", "surrogateescape")) + len(b'"managedFields":,')


def _by_line(one: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda block: [one(line) for line in block.split(b"\n") if line.strip()]


def _unnamed(line: bytes) -> CompactEvent:
    event = _one(line)
    reference = event.object_ref
    return event if reference is None else event._replace(object_ref=reference._replace(name=""))


READER = Reader(
    _by_line(_one), _one, _by_line(_whole), _whole, _items, _identity, _managed, _by_line(_unnamed), lambda _: ()
)
