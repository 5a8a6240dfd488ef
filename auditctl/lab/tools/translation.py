"""The pages of the scenario in another language: their prose from one file a language, their commands from the English pages.

A file has a part for each page, begun by ``<!-- NAME -->``. A page of a step begins with its title, ``# TITLE``; each line
``{{block}}`` is the next block of commands of the English page. The parts of the two JSON files are a title and a description.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from auditctl import facts
from auditctl.errors import UsageError

LANGUAGES = ("en", "ja", "ko")
BLOCK_MARK = "{{block}}"
_PART = re.compile(r"<!-- (\S+) -->\n")
_BLOCK = re.compile(r"^```bash\n.*?^```\{\{exec\}\}$", re.MULTILINE | re.DOTALL)


def translated(files: Mapping[str, bytes], language: str, scenario: str) -> dict[str, bytes]:
    """Return the files with the pages and titles of ``scenario`` in that language.

    Raises:
        UsageError: there is no such language.
    """
    if language not in LANGUAGES:
        raise UsageError(f"--language {language}: not one of {', '.join(LANGUAGES)}")
    if language == LANGUAGES[0]:
        return dict(files)
    parts = _parts(facts.template("scenario", f"{language}.md").read_text(encoding="utf-8"))
    answer, titles = dict(files), dict[str, str]()
    for name, text in parts.items():
        path = f"{scenario}/{name}"
        if name.endswith(".md"):
            titles[name], body = _title(text)
            answer[path] = _with_blocks(body, files[path].decode()).encode()
    for name in ("structure.json", f"{scenario}/index.json"):
        title, description = parts[name.rpartition("/")[2]].splitlines()
        answer[name] = _titled(files[name], title, description, titles)
    return answer


def _parts(text: str) -> dict[str, str]:
    _, *pieces = _PART.split(text)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def _title(text: str) -> tuple[str, str]:
    """Return the title of a page, "" where it has none, and the rest."""
    if not text.startswith("# "):
        return "", text
    title, _, body = text[2:].partition("\n")
    return title, body


def _with_blocks(body: str, english: str) -> str:
    blocks = iter(_BLOCK.findall(english))
    return "\n".join(next(blocks) if line == BLOCK_MARK else line for line in body.split("\n"))


def _titled(raw: bytes, title: str, description: str, titles: Mapping[str, str]) -> bytes:
    """Return an index with its titles; a step's is that of its page."""
    index: dict[str, Any] = json.loads(raw)
    index["title"], index["description"] = title, description
    for step in index.get("details", {}).get("steps", ()):
        step["title"] = titles[step["text"]]
    return (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()
