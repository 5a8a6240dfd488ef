"""Where the members of a JSON object stand in its text, so that some can be cut away and all others keep their bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from auditctl.patterns import lazily

_READ = json.JSONDecoder().raw_decode
_SPACE = lazily(r"[ \t\r\n]*")
_NESTING = lazily(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

Edit = Callable[[str], str | None]
"""What becomes of a value: its new text, or None where it goes away with its key."""


class Member(NamedTuple):
    """A member of an object: its key, and the text of key and value as they are written."""

    key: str
    spelled_key: str
    value: str


def edited(text: str, edits: dict[str, Edit]) -> str:
    """Return an object with the values of some keys edited; what is no object is returned as it is."""
    if not text.startswith("{"):
        return text
    changed: list[str] = []
    for member in members(text):
        edit = edits.get(member.key)
        value = member.value if edit is None else edit(member.value)
        if value is not None:
            changed.append(f"{member.spelled_key}:{value}")
    return "{" + ",".join(changed) + "}"


def edited_elements(text: str, edit: Callable[[str], str]) -> str:
    """Return a list with each element edited; what is not a list is returned as it is."""
    return "[" + ",".join(map(edit, _elements(text))) + "]" if text.startswith("[") else text


def members(text: str) -> Iterator[Member]:
    """Yield the members of the object that ``text`` is.

    Raises:
        ValueError: it is not one JSON object.
    """
    at = _after_space(text, 1)
    while text[at : at + 1] != "}":
        key, end = _READ(text, at)
        begin = _after_space(text, _past(text, _after_space(text, end), ":"))
        value_end = _end_of(text, begin)
        yield Member(str(key), text[at:end], text[begin:value_end])
        at = _after_comma(text, value_end, "}")


def _elements(text: str) -> Iterator[str]:
    at = _after_space(text, 1)
    while text[at : at + 1] != "]":
        end = _end_of(text, at)
        yield text[at:end]
        at = _after_comma(text, end, "]")


def _after_comma(text: str, at: int, closing: str) -> int:
    at = _after_space(text, at)
    return at if text[at : at + 1] == closing else _after_space(text, _past(text, at, ","))


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _past(text: str, at: int, expected: str) -> int:
    if text[at : at + 1] != expected:
        raise ValueError(f"expected {expected}")
    return at + 1


def _end_of(text: str, at: int) -> int:
    """Return where the value that begins here ends. What is nested too deep to be built is stepped over."""
    try:
        return _READ(text, at)[1]
    except RecursionError:
        depth = 0
        for mark in _NESTING.finditer(text, at):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
            if not depth:
                return mark.end()
        raise ValueError("unfinished") from None
