"""Cutting members out of JSON text leaves every other byte as it is."""

from __future__ import annotations

import pytest

from auditctl.log.json_spans import edited, edited_elements


def test_members_that_are_left_keep_their_spelling() -> None:
    text = r'{"a":1.50,"b":"\u003c\/","c":{"a":[1, 2]},"d":null}'

    assert edited(text, {}) == text
    assert (
        edited(text, {"a": lambda _: None, "d": lambda value: f"[{value}]"})
        == r'{"b":"\u003c\/","c":{"a":[1, 2]},"d":[null]}'
    )
    assert edited('{ "a" : 1 , "b" : 2 }', {"a": lambda _: None}) == '{"b":2}'
    assert edited('{"a":1}', {"a": lambda _: None}) == "{}"


def test_a_key_is_known_however_it_is_spelled() -> None:
    assert edited(r'{"\u0061":1,"b":2}', {"a": lambda _: None}) == '{"b":2}'


def test_elements_of_a_list_are_edited_one_by_one() -> None:
    assert edited_elements('[1, "a",{"b":[]}]', lambda text: f"<{text}>") == '[<1>,<"a">,<{"b":[]}>]'
    assert edited_elements("[]", str.upper) == "[]"


@pytest.mark.parametrize("text", ["null", "[1]", '"a"', "7"])
def test_what_is_no_object_stays(text: str) -> None:
    assert edited(text, {"a": lambda _: None}) == text


@pytest.mark.parametrize("text", ['{"a" 1}', '{"a":1 "b":2}', '{"a":}', '{"a":1'])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        edited(text, {})


def test_a_value_that_is_nested_beyond_the_parsers_depth_is_stepped_over() -> None:
    deep = "[" * 20_000 + '"]"' + "]" * 20_000

    assert edited(f'{{"a":{deep},"b":1}}', {"b": lambda _: "2"}) == f'{{"a":{deep},"b":2}}'
