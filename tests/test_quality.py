"""What lies at the top of the repository, and the commands that its front page names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
ALLOWED_AT_THE_TOP = {
    "pyproject.toml", "auditctl", "templates", "tests", "playbooks", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
    "LICENSE", ".ci", ".gitignore", ".github", "docs", "README.ja.md", "README.ko.md", "action.yml", ".pre-commit-hooks.yaml",
}  # fmt: skip


def test_nothing_else_lies_at_the_top() -> None:
    """What git tracks, by its first element."""
    ran = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.skip("not a git checkout")

    assert {name.split("/")[0] for name in ran.stdout.splitlines()} <= ALLOWED_AT_THE_TOP


def test_the_readme_holds_both_commands() -> None:
    """CI takes the second from there, and runs each of its steps: lint and types come before the tests."""
    text = (TOP / "README.md").read_text()

    assert "auditctl lab demo\n```" in text.partition("<!-- demo -->")[2]
    steps = text.partition("<!-- tests -->\n```sh\n")[2].partition("\n```")[0].split(" && ")
    assert [step.removeprefix(".venv/bin/") for step in steps[2:]] == [
        "python -m compileall -q auditctl",
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "python -m pytest -n 6 --dist worksteal",
    ]
