"""Read single files for a snapshot: walk, read, give a second name; never through a link at the last element."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.change import files

_LARGEST_BYTES = 64 << 20


def walk(path: Path) -> Iterator[Path]:
    """Yield the path and all below it, parents first; links are not followed, our own drafts left out."""
    if not os.path.lexists(path):
        return
    yield path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            if not child.match(files.TEMPORARY_PATTERN):
                yield from walk(child)


def kind_of(path: Path) -> int:
    """Return the type as in `stat.S_IFMT`; 0 where nothing is."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def is_same(path: Path, other: Path) -> bool:
    """Tell whether both names are of one file; links are not followed. Raises OSError."""
    return os.path.samestat(path.lstat(), other.lstat())


def read(path: Path) -> bytes:
    """Return the bytes of a regular file, not through a link. Raises OSError."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read()


def second_name(path: Path, name: Path) -> bool:
    """Make a hard link, or a copy where none can be made; return whether it is a link."""
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError:
        small_enough(path)
        shutil.copy2(path, name, follow_symlinks=False)
        return False
    return True


def small_enough(path: Path) -> None:
    """Raise RefusedError for a file that is too large to be kept."""
    if path.stat().st_size > _LARGEST_BYTES:
        text = f"{path} is larger than {_LARGEST_BYTES >> 20} MiB: no exercise on this node could give it back"
        raise RefusedError(text, check="lab-keepsake", fix="move it away first")
