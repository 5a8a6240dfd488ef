"""README and tutorial in Japanese and Korean have the structure, the commands and the numbers of the English ones."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from examples import README, TOP, TRANSLATED

TUTORIAL = TOP / "docs" / "tutorial.md"
OTHERS = (TOP / "README.ja.md", TOP / "README.ko.md", *TRANSLATED)
LETTERS = {"ja": "[\u3040-\u30ff]", "ko": "[\uac00-\ud7a3]"}
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


def original(page: Path) -> Path:
    """Return the English page of a translation."""
    return TUTORIAL if page in TRANSLATED else README


def shape(page: Path, pattern: str) -> list[str]:
    """Return what the pattern finds, without the order in which a sentence names it."""
    text = page.read_text()
    return sorted(
        re.findall(pattern, text if "```" in pattern else re.sub(SHAPES["code blocks"], "", text), re.MULTILINE)
    )


@pytest.mark.parametrize("page", OTHERS, ids=str)
@pytest.mark.parametrize("name", SHAPES)
def test_the_other_language_has_the_same(page: Path, name: str) -> None:
    pattern = SHAPES[name]

    english, other = shape(original(page), pattern), shape(page, pattern)
    if name == "links":  # to the same pages, from another folder, in the other language
        english, other = ([_linked(target) for target in each] for each in (english, other))

    assert sorted(other) == sorted(english)


def _linked(target: str) -> str:
    """Return the file that a link leads to, without folders, headings and the language."""
    return re.sub(r"\.(ja|ko)(?=\.md)", "", target.partition("#")[0].rpartition("/")[2])


@pytest.mark.parametrize("page", OTHERS, ids=str)
def test_the_other_language_has_the_same_numbers(page: Path) -> None:
    """Of the sentences; what English writes as a word may be a figure there."""
    prose = [re.sub(SHAPES["code blocks"], "", one.read_text()) for one in (original(page), page)]
    english, other = (Counter(NUMBER.findall(text)) for text in prose)

    assert english <= other


@pytest.mark.parametrize("page", OTHERS, ids=str)
def test_no_section_was_left_in_english(page: Path) -> None:
    """Each section has letters of the language."""
    letters = LETTERS["ja" if "ja" in {page.parent.name, *page.name.split(".")} else "ko"]
    _, *sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)

    assert [section.splitlines()[0] for section in sections if not re.search(letters, section)] == []
