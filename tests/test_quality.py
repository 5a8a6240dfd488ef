"""What lies at the top of the repository, and the commands that its front page names."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
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


TESTS = TOP / "tests"
FEW_LINES = 40
TESTED_AS_A_WHOLE = "policy/goyaml/"  # by tests/policy/test_goyaml.py, against recorded answers of go-yaml


def without_a_test_of_its_name() -> Iterator[str]:
    """Yield each module of more than a few lines for which there is no file ``test_<module>.py``."""
    names = {path.name for path in TESTS.rglob("test_*.py")}
    for path in sorted((TOP / "auditctl").rglob("*.py")):
        module = path.relative_to(TOP / "auditctl").as_posix()
        is_long = len(path.read_text().splitlines()) > FEW_LINES
        is_one_of_many = path.name.startswith("__") or module.startswith(TESTED_AS_A_WHOLE)
        if is_long and not is_one_of_many and f"test_{path.name}" not in names:
            yield module


def test_the_tests_of_a_module_are_found_by_its_name() -> None:
    """A new module has ``test_<module>.py``; where older ones are tested stands in a list that only shrinks."""
    elsewhere: dict[str, list[str]] = json.loads((TESTS / "tested_elsewhere.json").read_text())

    assert set(without_a_test_of_its_name()) - {module for modules in elsewhere.values() for module in modules} == set()
    assert [name for name in elsewhere if not (TESTS / name).is_file()] == []
