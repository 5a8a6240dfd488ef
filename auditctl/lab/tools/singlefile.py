"""The single-file build of auditctl: which file it is, and where one may be found."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import auditctl
from auditctl.errors import RefusedError

NAME = "auditctl.pyz"
_FRONT = frozenset(["__main__.py", "auditctl/__init__.py"])


def checked(path: Path) -> Path:
    """The same path.

    Raises:
        RefusedError: it is not a single-file build of auditctl.
    """
    try:
        if is_one(path):
            return path
        text = f"{path} is no single-file build of auditctl"
    except OSError as error:
        text = f"{path}: {(error.strerror or str(error)).lower()}"
    raise RefusedError(text, check="single-file", fix=f"`.ci/build` in a clone of auditctl makes dist/{NAME}")


def is_one(path: Path) -> bool:
    """Is it a zip archive with auditctl in it? Raises OSError where it cannot be read."""
    try:
        with ZipFile(path) as archive:
            return set(archive.namelist()) >= _FRONT
    except BadZipFile:
        return False


def find() -> Path | None:
    """The one that runs now, else one beside the program or in the clone's ``dist``; None where there is none."""
    home = Path(auditctl.__file__).resolve().parents[1]
    candidates = (home, Path(sys.argv[0]).resolve().with_name(NAME), home / "dist" / NAME)
    for path in candidates:
        try:
            if path.is_file() and is_one(path):
                return path
        except OSError:
            continue
    return None
