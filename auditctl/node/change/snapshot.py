"""A file's bytes and attributes, and the writing of a new file with them. `files` resolves the names."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from auditctl.system import IS_LINUX

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A file's bytes, and all that a replacement must keep."""

    content: bytes
    mode: int = 0o600
    uid: int = -1
    gid: int = -1
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    device: int = 0
    inode: int = 0

    @property
    def sha256(self) -> str:
        return sha256(self.content)


def sha256(content: bytes) -> str:
    """Return the hexadecimal digest that journal, report and annotation use."""
    return hashlib.sha256(content).hexdigest()


def write_new(directory: int, path: Path, content: bytes, like: Snapshot | None) -> None:
    """Write the temporary file, fsync it and read it back: a lying disk is met before the rename."""
    with suppress(FileNotFoundError):
        os.unlink(path.name, dir_fd=directory)  # a leftover of a run that was killed right here
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path.name, flags, 0o600, dir_fd=directory)
    try:
        write_all(descriptor, content)
        if like is not None:
            _copy_attributes(descriptor, like)
        os.fsync(descriptor)
        check_written(descriptor, 0, content, path)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes: a disk that fills up takes a part, and only the next call fails."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def check_written(descriptor: int, offset: int, content: bytes, path: Path) -> None:
    """Compare what an open file holds from ``offset`` to its end with what was written there.

    Raises:
        OSError: EIO, they differ.
    """
    position, parts = offset, []
    while part := os.pread(descriptor, _CHUNK_BYTES, position):
        parts.append(part)
        position += len(part)
    if b"".join(parts) != content:
        raise OSError(errno.EIO, "the written bytes read back differ", str(path))


def _copy_attributes(descriptor: int, like: Snapshot) -> None:
    status = os.fstat(descriptor)
    if (like.uid, like.gid) != (status.st_uid, status.st_gid) and like.uid >= 0:
        os.fchown(descriptor, like.uid, like.gid)
    os.fchmod(descriptor, like.mode)  # after chown, which clears set-id bits
    for name, value in like.xattrs.items():
        if extended_attributes(descriptor).get(name) != value:
            os.setxattr(descriptor, name, value)


def extended_attributes(descriptor: int) -> dict[str, bytes]:
    """Return the attributes of an open file; none where the system or the file system has none to keep."""
    if not IS_LINUX:
        return {}
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
            return {}
        raise
