"""Lint and types are tests like any other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
ALLOWED_AT_THE_TOP = {
    "pyproject.toml", "auditctl", "templates", "tests", "playbooks", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
    "LICENSE", ".ci", ".gitignore", ".github", "docs",
}  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",)],
    ids=["lint", "format", "types"],
)
@pytest.mark.timeout(300)
def test_the_code_is_clean(words: tuple[str, ...]) -> None:
    """ruff with a reason beside every ignore; mypy --strict."""
    ran = subprocess.run([sys.executable, "-m", *words], cwd=TOP, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_nothing_else_lies_at_the_top() -> None:
    """What git tracks, by its first element."""
    ran = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.skip("not a git checkout")

    assert {name.split("/")[0] for name in ran.stdout.splitlines()} <= ALLOWED_AT_THE_TOP


def test_the_readme_holds_both_commands() -> None:
    """CI takes the second from there."""
    text = (TOP / "README.md").read_text()

    assert "auditctl lab demo\n```" in text.partition("<!-- demo -->")[2]
    assert "-m pytest -n 4 --dist worksteal\n```" in text.partition("<!-- tests -->")[2]
