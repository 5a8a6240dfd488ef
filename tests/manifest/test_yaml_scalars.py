"""A string is quoted only where plain YAML would misread it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditctl.manifest.document import load
from auditctl.manifest.yaml_scalars import is_plain, spelled


@pytest.mark.parametrize(
    "text",
    [
        "--a=b",
        "/etc/x",
        "a:b",
        "a#b",
        "-a",
        "?a",
        ":a",
        "1.2.3",
        "a b",
        "a'b",
        'a"b',
        "\u00e9",
        "a{b}",
        "--a=[1]",
    ],
)
def test_what_is_safe_stays_plain(text: str) -> None:
    assert spelled(text) == text
    assert load(f"k: {text}\n") == {"k": text}


@pytest.mark.parametrize(
    "text",
    ["", " a", "a ", "a: b", "a #b", "a:", "#a", "- a", "-", "? a", ": a", "[a", "{a", "&a", "*a", "!a", "|", ">", "'a", '"a', "%a", "@a",
     "`a", ",a", "]", "}", "yes", "null", "~", "1", "1.5", "0x1", "---", "...", "=", "<<", "a\tb", "a\nb", "a\x85b", "a\u2028b", "\ufeffa", "\x00"],
)  # fmt: skip
def test_what_is_not_is_quoted(text: str) -> None:
    assert not is_plain(text)
    assert spelled(text).startswith('"')
    assert load(f"k: {spelled(text)}\n") == {"k": text}


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=8))
def test_whatever_is_spelled_is_read_back(text: str) -> None:
    assert load(f"- {spelled(text)} # c\n- b\n") == [text, "b"]
    assert load(f"k: {spelled(text)}\nb: c\n") == {"k": text, "b": "c"}
