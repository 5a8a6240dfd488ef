"""The scenario in Japanese and Korean has the pages, the commands and the numbers of the English one."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from learner import SCENARIO

from auditctl.errors import UsageError
from auditctl.lab.grading.requirements import _KINDS
from auditctl.lab.tools.scaffold import BLOCK_MARK, translated

REPOSITORY = Path(__file__).parents[2]
TEMPLATES = REPOSITORY / "templates" / "killercoda"
LETTERS = {"ja": re.compile("[\u3040-\u30ff]"), "ko": re.compile("[\uac00-\ud7a3]")}
BLOCK = re.compile(r"^```.*?^```.*?$", re.MULTILINE | re.DOTALL)
SHAPES = {
    "commands in a sentence": r"`([^`\n]+)`",
    "items": r"(?m)^(- )",
    "rows of tables": r"(?m)^(\|).*\|$",
    "folded parts": r"<(/?details|summary)>",
    "bold words": r"(\*\*)[^*\n]+\*\*",
}
NUMBER = re.compile(r"(?<![A-Za-z0-9_./-])[0-9]+")
ENGLISH = {
    str(path.relative_to(TEMPLATES)): path.read_bytes() for path in sorted(TEMPLATES.rglob("*")) if path.is_file()
}
PAGES = sorted(name for name in ENGLISH if name.endswith(".md"))
LONGEST_READING = 10


def prose(text: str) -> str:
    """Return a page without its blocks of commands."""
    return BLOCK.sub("", text)


@pytest.fixture(scope="module", params=LETTERS)
def other(request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """A language, and the scenario's files in it."""
    files = translated(ENGLISH, request.param, SCENARIO)
    return request.param, {name: content.decode() for name, content in files.items()}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_same_commands_to_run(page: str, other: tuple[str, dict[str, str]]) -> None:
    text = other[1][page]

    assert BLOCK.findall(text) == BLOCK.findall(ENGLISH[page].decode())
    assert BLOCK_MARK not in text


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", SHAPES)
def test_a_page_has_the_same_structure(page: str, name: str, other: tuple[str, dict[str, str]]) -> None:
    one, two = (Counter(re.findall(SHAPES[name], prose(text))) for text in (ENGLISH[page].decode(), other[1][page]))

    assert two == one


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_same_numbers(page: str, other: tuple[str, dict[str, str]]) -> None:
    """What English writes as a word may be a figure there."""
    one, two = (Counter(NUMBER.findall(prose(text))) for text in (ENGLISH[page].decode(), other[1][page]))

    assert one <= two


@pytest.mark.parametrize("page", PAGES)
def test_no_page_was_left_in_english(page: str, other: tuple[str, dict[str, str]]) -> None:
    language, files = other

    lines = [line for line in prose(files[page]).splitlines() if line.strip() and not line.startswith(("|", "<"))]
    without = [line for line in lines if not LETTERS[language].search(line) and re.search("[a-z]{4} [a-z]{3}", line)]
    # a line may be all commands, as the rest of a list of requests
    assert [line for line in without if "`" not in line] == []
    assert sum(1 for line in lines if LETTERS[language].search(line)) >= len(lines) * 2 / 3


def test_titles_and_descriptions_are_in_the_language(other: tuple[str, dict[str, str]]) -> None:
    language, files = other
    index, course = (json.loads(files[name]) for name in (f"{SCENARIO}/index.json", "structure.json"))
    english = json.loads(ENGLISH[f"{SCENARIO}/index.json"])

    texts = [*(each[key] for each in (index, course) for key in ("title", "description"))]
    texts += [step.pop("title") for step in index["details"]["steps"]]
    assert [text for text in texts if not LETTERS[language].search(text)] == []
    for step in english["details"]["steps"]:
        del step["title"]
    assert index["details"] == english["details"]


def test_all_other_files_are_the_same(other: tuple[str, dict[str, str]]) -> None:
    kept = [name for name in ENGLISH if not name.endswith((".md", ".json"))]

    assert {name: other[1][name] for name in kept} == {name: ENGLISH[name].decode() for name in kept}


def test_english_is_the_pages_as_they_are_and_an_unknown_language_is_refused() -> None:
    assert translated(ENGLISH, "en", SCENARIO) == ENGLISH
    with pytest.raises(UsageError, match="--language fr: not one of en, ja, ko"):
        translated(ENGLISH, "fr", SCENARIO)


@pytest.mark.parametrize("page", [page for page in PAGES if "step" in page])
def test_a_step_is_ten_lines_of_reading_with_one_thing_to_do_and_one_to_see(page: str) -> None:
    """The folded parts, which are the answer, do not count."""
    reading, _, _ = ENGLISH[page].decode().partition("<details>")
    lines = [line for line in reading.splitlines() if line.strip()]

    assert len(lines) <= LONGEST_READING
    assert [line[:10] for line in lines if line.startswith("- ")] == ["- **Do**: ", "- **See**:"]


def test_a_step_is_as_short_in_the_other_language(other: tuple[str, dict[str, str]]) -> None:
    for page in (page for page in PAGES if "step" in page):
        reading, _, _ = other[1][page].partition("<details>")
        lines = [line for line in reading.splitlines() if line.strip()]

        assert len(lines) <= LONGEST_READING
        assert sum(line.startswith("- **") for line in lines) == 2


def test_the_introduction_explains_every_kind_of_requirement_that_the_steps_use() -> None:
    wants = [ENGLISH[name].decode() for name in ENGLISH if "/wants/" in name]
    used = {kind for text in wants for kind in re.findall(r"(?m)^- ([a-z-]+):", text)}

    assert used <= set(_KINDS)
    assert used <= set(re.findall(r"`([a-z-]+)`", ENGLISH[f"{SCENARIO}/intro.md"].decode()))
