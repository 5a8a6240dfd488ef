"""Programs of the system that we start: looked for in fixed directories, never by the caller's PATH.

sudo may keep the caller's PATH, and an entry of it may be a directory that others write, or the current one.
"""

from __future__ import annotations

import os
from pathlib import Path

# /run/current-system: NixOS has nothing but sh and env in the others
_DIRECTORIES = (
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/run/current-system/sw/bin",
)
PATH = ":".join(_DIRECTORIES)


def program(name: str) -> str | None:
    """Return the absolute path of an installed program; None if it is in none of the directories."""
    candidates = (Path(directory, name) for directory in _DIRECTORIES)
    return next((str(path) for path in candidates if path.is_file() and os.access(path, os.X_OK)), None)
