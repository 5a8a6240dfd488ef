"""What `pyproject.toml` says of the project, for the packages: the one place of its addresses."""

from __future__ import annotations

import re
from pathlib import Path

_REPOSITORY = re.compile(r'^Repository = "(https://[^"]+)"$', re.MULTILINE)


def repository() -> str:
    """Return the address of the repository. Python 3.10 has no reader of TOML, and one line needs none."""
    found = _REPOSITORY.search(Path("pyproject.toml").read_text())
    if found is None:
        raise SystemExit("pyproject.toml: [project.urls] has no Repository")
    return found[1]
