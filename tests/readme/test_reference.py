"""The reference pages are what the program says: commands, names of checks, Ansible variables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from check_names import NAME, check_names
from examples import TOP

from auditctl.operations.change_model import ALLOWED_CHECKS

REFERENCE = TOP / "docs/reference"
ROLE = TOP / "playbooks/collections/ansible_collections/auditctl/kubeadm/roles/apiserver_audit"


def explained(page: Path) -> set[str]:
    """Return the names that the first column of the page's tables explains; of a page without tables its headings."""
    text = page.read_text()
    cells = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)} or set(
        re.findall(r"^## ([a-z-]+)$", text, re.MULTILINE)
    )


def test_the_generated_pages_are_what_the_program_says() -> None:
    """If not: `python .ci/make_docs.py`."""
    ran = subprocess.run([sys.executable, TOP / ".ci/make_docs.py", "--check"], capture_output=True, text=True)

    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr


def test_every_check_is_explained_and_no_other() -> None:
    """The same set in the code and on the three pages."""
    on_pages = {
        name
        for page in ("checks", "policy-checks", "crashes")
        for name in explained(REFERENCE / f"{page}.md")
        if NAME.fullmatch(name)
    }

    assert sorted(check_names() - on_pages) == []
    assert sorted(on_pages - check_names()) == []


@pytest.mark.parametrize("row", re.findall(r"^\| `.*$", (REFERENCE / "checks.md").read_text(), re.MULTILINE))
def test_every_check_has_what_why_and_how_to_mend(row: str) -> None:
    """Four cells, none of them empty."""
    cells = [cell.strip() for cell in row.strip("|").split("|")]

    assert len(cells) == 4
    assert all(cells)


def test_the_page_names_allow_where_the_program_takes_it() -> None:
    """In the row of each check that `--allow` takes, and in no other."""
    allowed = re.findall(r"^\| `([a-z-]+)` .*--allow \1`", (REFERENCE / "checks.md").read_text(), re.MULTILINE)

    assert sorted(allowed) == sorted(set(ALLOWED_CHECKS) - explained(REFERENCE / "policy-checks.md"))


def test_every_ansible_variable_is_explained_and_no_other() -> None:
    """Those of the role's `meta/argument_specs.yml`."""
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    known = {name for spec in specs.values() for name in spec["options"]}

    assert explained(REFERENCE / "ansible-variables.md") == known
    plays = "".join(play.read_text() for play in ROLE.parents[1].glob("playbooks/*.yml"))
    for page in (TOP / "docs/how-to").glob("*.md"):
        named = set(re.findall(r"\bapiserver_audit_[a-z_]+(?=[`=\"])", page.read_text()))
        assert named <= known | set(re.findall(r"\bapiserver_audit_[a-z_]+", plays)), page.name


def test_every_environment_variable_of_the_help_is_on_the_page_of_files() -> None:
    """Their list is in `help environment`, too."""
    names = set(re.findall(r"\bAUDITCTL_[A-Z]+", (TOP / "templates/help/environment.txt").read_text()))

    assert names
    assert names <= set(re.findall(r"AUDITCTL_[A-Z]+", (REFERENCE / "files-and-state.md").read_text()))
