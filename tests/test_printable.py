"""Foreign text cannot move a terminal's cursor, forge a line or turn the direction of writing."""

from __future__ import annotations

import json

import pytest

from auditctl.printable import printable, printable_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, with a tab\there and ü 日本", "plain, with a tab\there and ü 日本"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\rb"),
        ("a\nauditing is on", "a\\nauditing is on"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066x\u2069 \u200e \u061c", "\\u2066x\\u2069 \\u200e \\u061c"),
        ("\udc80", "\\udc80"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_unsafe_characters_become_their_escapes(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_line_ends_stay_in_texts_of_many_lines() -> None:
    assert printable("a\nb\x1b\r\n", keep_newlines=True) == "a\nb\\x1b\\r\n"


@pytest.mark.parametrize(
    "character", ["\x7f", "\x80", "\x9b", "\x9f", "\u061c", "\u200f", "\u202e", "\u2067", "\u2028"]
)
def test_json_is_the_same_value_without_the_character(character: str) -> None:
    raw = json.dumps({"user": f"a{character}b"}, ensure_ascii=False).encode()

    safe = printable_json(raw)

    assert character.encode() not in safe
    assert json.loads(safe) == json.loads(raw)


def test_json_without_such_characters_is_the_same_bytes() -> None:
    raw = '{"a": "日本 ü \\u001b"}\n'.encode()
    assert printable_json(raw) == raw


def test_a_carriage_return_between_values_becomes_a_space() -> None:
    assert json.loads(printable_json(b'{"a":\r1}\r\n')) == {"a": 1}
    assert b"\r" not in printable_json(b'{"a":\r1}\r\n')
