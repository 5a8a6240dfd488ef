"""The examples of README and docs: every command line of their shell blocks, and every command named in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[2]
README = TOP / "README.md"
PAGES = (README, *sorted((TOP / "docs").rglob("*.md")))
# The commands of these are those of the English page: tests/readme/test_languages.py.
TRANSLATED = tuple(TOP / "docs" / language / "tutorial.md" for language in ("ja", "ko"))
# Lines that cannot run on a practice node, each with the test that stands for it.
ELSEWHERE = {
    "python3 -m venv .venv && .venv/bin/pip install": "CI runs the second one; tests/packages/test_wheel.py does what the first does",
    "python3 -m venv /opt/auditctl": "tests/packages/test_wheel.py",
    "pipx install .": "tests/packages/test_wheel.py",
    ".ci/build": "tests/packages",
    "pip install '.[sql]'": "the extra dev has the same package, and tests/logcli asks it",
    "pip install . ansible-core": "tests/playbooks/test_collection.py",
    "ansible-playbook": "tests/playbooks/test_rolling.py",
    "scp dist/auditctl.pyz": "tests/packages/test_single_file.py",
    "scp dist/auditctl-linux-x86_64": "tests/packages/test_executable.py",
    "scp dist/kube-auditctl_": "tests/packages/test_deb.py",
    "scp dist/kube-auditctl-": "tests/packages/test_executable.py",
    "kube-auditctl recover --unit >": "tests/operations/test_boot.py",
}
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(?:kube-|kubectl )?auditctl ([a-z][^`]*)`")
_REMARK = re.compile(r"\s+# .*")
_INSTALL_ROW = re.compile(r"^\| [^|`]+ \| `([^`]+)` \|", re.MULTILINE)


def name_of(page: Path) -> str:
    """Return the page's path below the top folder."""
    return str(page.relative_to(TOP))


def lines(page: Path) -> Iterator[str]:
    """Yield the page's command lines in their order, without the remarks behind them."""
    for block in _BLOCK.findall(page.read_text()):
        yield from (_REMARK.sub("", line).rstrip() for line in block.splitlines() if line and not line.startswith("#"))


def runnable(page: Path) -> list[str]:
    """Return those that a practice node can run."""
    if page in TRANSLATED:
        return []
    return [line for line in lines(page) if not line.startswith(tuple(ELSEWHERE))]


def installs() -> list[str]:
    """Return the commands of README's table of ways to install."""
    section = README.read_text().partition("## Install")[2].partition("\n## ")[0]
    return _INSTALL_ROW.findall(section)


def session_output() -> list[str]:
    """Return the lines that README shows as the output of its session."""
    section = README.read_text().partition("<!-- session -->")[2]
    return section.partition("```text\n")[2].partition("\n```")[0].splitlines()


def named() -> list[str]:
    """Return what follows the program's name in the sentences of all pages."""
    return sorted({words for page in PAGES for words in _NAMED.findall(_FENCED.sub("", page.read_text()))})
