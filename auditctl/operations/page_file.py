"""Write what a command is asked to leave in a file: replaced at once, or a pipe."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from auditctl.errors import RefusedError, UsageError
from auditctl.node import opening
from auditctl.node.change import files
from auditctl.system import IS_LINUX

_LINKS_AT_MOST = 40


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
        if path.is_dir():
            raise RefusedError(
                f"{out}: it is a directory", check="html-directory", fix=f"specify a file: {path / example}"
            )
        write_output(path, text.encode("utf-8"))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        fix = f"make {path.parent} first, or specify another file" if missing else "specify a file that you may write"
        reason = f"there is no directory {path.parent}" if missing else (error.strerror or str(error)).lower()
        raise RefusedError(f"{out}: cannot write the page: {reason}", check="html-unwritable", fix=fix) from error


def write_output(path: Path, content: bytes) -> None:
    """Write a file that the user named, by one rename; a device or pipe, and what a shell hands over, is written as it is.

    An existing file keeps its mode and owner, a new one has the usual mode. What another user put there to lead the
    output elsewhere, or to hold us up, is refused: a link, a pipe.

    Raises:
        OSError: the file system refuses, or another user's link or pipe is there.
    """
    is_handed_over = path.is_relative_to("/dev") or path.is_relative_to("/proc/self/fd")
    target = path if is_handed_over else _followed(path)
    if target.exists() and not target.is_file():
        with suppress(BrokenPipeError):  # a reader who has seen enough
            target.write_bytes(content)
        return
    if not IS_LINUX:
        temporary = files.temporary_of(target)
        temporary.write_bytes(content)
        temporary.replace(target)
        return
    files.replace_file(target, content, _attributes(target))


def _attributes(path: Path) -> files.Snapshot:
    """Return mode and owner for the file: its own, else the usual ones. Raises OSError."""
    umask = os.umask(0)
    os.umask(umask)
    with opening.parent(path) as directory:
        try:
            status = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return files.Snapshot(content=b"", mode=0o666 & ~umask)
    return files.Snapshot(content=b"", mode=stat.S_IMODE(status.st_mode), uid=status.st_uid, gid=status.st_gid)


def _followed(path: Path) -> Path:
    """Return the path behind links, each of which root or we ourselves made. Raises OSError."""
    for _ in range(_LINKS_AT_MOST):
        if not os.path.lexists(path):
            return path
        status = path.lstat()
        if IS_LINUX and status.st_uid not in (0, os.geteuid()):
            if stat.S_ISLNK(status.st_mode):
                raise opening.ForeignLinkError(path, status.st_uid)
            if stat.S_ISFIFO(status.st_mode):
                raise OSError(errno.EPERM, f"it is a pipe of another user (uid {status.st_uid})", str(path))
        if not stat.S_ISLNK(status.st_mode):
            return path
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
