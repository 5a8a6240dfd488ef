"""A page that a command writes for people: a file, replaced at once, or a pipe."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from auditctl.errors import RefusedError, UsageError
from auditctl.node.change import files
from auditctl.system import IS_LINUX


def write_page(out: str, text: str, example: str) -> None:
    """Put the page there, whole or not at all. A pipe or a device is written to as it is.

    ``example`` is a file name for whoever has named a directory.

    Raises:
        RefusedError: it is a directory, its directory is missing, or the file system refuses.
        UsageError: it has no name.
    """
    if not out:
        raise UsageError("--html: the name is empty", fix="specify a file, or - for standard output")
    path = Path(out)
    try:
        kind = path.stat().st_mode if path.exists() else stat.S_IFREG
        if stat.S_ISDIR(kind):
            raise RefusedError(
                f"{out}: it is a directory", check="html-directory", fix=f"specify a file: {path / example}"
            )
        if not stat.S_ISREG(kind):
            with suppress(BrokenPipeError):  # a reader who has seen enough
                path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text.encode("utf-8"))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        fix = f"make {path.parent} first, or specify another file" if missing else "specify a file that you may write"
        reason = f"there is no directory {path.parent}" if missing else (error.strerror or str(error)).lower()
        raise RefusedError(f"{out}: cannot write the page: {reason}", check="html-unwritable", fix=fix) from error


def _replace(path: Path, content: bytes) -> None:
    """Replace the page by one rename; an existing one keeps its mode and owner, a new one has the usual mode."""
    if not IS_LINUX:
        temporary = files.temporary_of(path)
        temporary.write_bytes(content)
        temporary.replace(path)
        return
    like = files.read_if_there(path, "page")
    files.replace_file(path, content, like)
    if like is None:
        umask = os.umask(0)
        os.umask(umask)
        path.chmod(0o666 & ~umask)
