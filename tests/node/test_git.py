"""A file as it was in a revision: git's own answer, and refusals that say why."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from auditctl.errors import RefusedError, UsageError
from auditctl.node.git import text_in_revision


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a folder of a repository: ``one`` in its first commit, ``two`` now; its attributes name a filter."""

    def git(*words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    path = tmp_path / "deep" / "p.yaml"
    path.parent.mkdir()
    path.write_bytes(b"one\r\n\xff")
    (tmp_path / ".gitattributes").write_text("*.yaml -text diff=shout\n")
    git("init", "-q")
    git("config", "diff.shout.textconv", "tr a-z A-Z <")
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "first")
    path.write_text("two")
    return path


def test_the_bytes_of_the_revision_come_as_they_were_committed(file: Path) -> None:
    assert text_in_revision("first", file) == b"one\r\n\xff"


@pytest.mark.parametrize("revision", ["", "-s", "--textconv"])
def test_a_revision_is_never_an_option(file: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="not a revision"):
        text_in_revision(revision, file)


def test_what_git_says_is_the_reason(file: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="git: "):
        text_in_revision("nowhere", file)
    with pytest.raises(RefusedError, match="git: "):
        text_in_revision("first", file.with_name("new.yaml"))
    with pytest.raises(RefusedError, match="no such"):
        text_in_revision("first", tmp_path / "none" / "p.yaml")
