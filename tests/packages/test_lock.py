"""`.ci/requirements.txt` has what pyproject.toml asks for, each with a hash; else `.ci/run` would install nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
tomllib = pytest.importorskip("tomllib")  # Python 3.11


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]).lower()


def test_every_dependency_is_pinned_by_hash() -> None:
    """The tests' own, the program's, and what builds it. Mended by `.ci/lock`."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    named = [*project["project"]["dependencies"], *extras["dev"], *project["build-system"]["requires"]]
    blocks = re.split(r"\n(?=[a-z0-9])", (TOP / ".ci/requirements.txt").read_text())
    pinned = {_name(block) for block in blocks if "==" in block.splitlines()[0] and "--hash=sha256:" in block}

    assert {_name(text) for text in named} - pinned == set()
    assert not [block.splitlines()[0] for block in blocks if "==" in block and "--hash=" not in block]
