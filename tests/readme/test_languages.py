"""README in Japanese and Korean has the structure, the commands and the numbers of the English one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from examples import README, TOP

OTHERS = (TOP / "README.ja.md", TOP / "README.ko.md")
SHAPES = {
    "headings": r"^(#+) ",
    "code blocks": r"(?ms)^```.*?^```$",
    "marks": r"<!--.*?-->",
    "commands in a sentence or a table": r"`([^`\n]+)`",
    "links": r"\]\(([^)\s]+)\)",
    "rows of tables": r"(?m)^(\|).*\|$",
    "items": r"(?m)^(- )",
}
NUMBER = re.compile(r"(?<![A-Za-z0-9_.])[0-9]+(?:[.,][0-9]+)*")


def shape(page: Path, pattern: str) -> list[str]:
    """Return what the pattern finds, without the order in which a sentence names it."""
    text = page.read_text()
    return sorted(
        re.findall(pattern, text if "```" in pattern else re.sub(SHAPES["code blocks"], "", text), re.MULTILINE)
    )


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
@pytest.mark.parametrize("name", SHAPES)
def test_the_other_language_has_the_same(page: Path, name: str) -> None:
    pattern = SHAPES[name]

    assert shape(README, pattern)
    assert shape(page, pattern) == shape(README, pattern)


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_the_other_language_has_the_same_numbers(page: Path) -> None:
    """Of the sentences; the code blocks are the same anyway."""
    prose = [re.sub(SHAPES["code blocks"], "", one.read_text()) for one in (README, page)]
    english, other = (Counter(NUMBER.findall(text)) for text in prose)

    assert other == english


@pytest.mark.parametrize(("page", "letters"), [(OTHERS[0], "[\u3040-\u30ff]"), (OTHERS[1], "[\uac00-\ud7a3]")])
def test_no_section_was_left_in_english(page: Path, letters: str) -> None:
    """Each section has letters of the language."""
    _, *sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)

    assert [section.splitlines()[0] for section in sections if not re.search(letters, section)] == []
