"""Files of the node: read with all that belongs to them, replaced by one rename. Nothing else here writes.

The kubelet reads every name in the manifest directory that does not begin with a dot, whatever its suffix
(pkg/kubelet/config/file.go: glob ``[^.]*``), so temporary names begin with a dot and nothing is ever left behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from auditctl.errors import RefusedError

_TEMPORARY_SUFFIX = ".auditctl-new"
TEMPORARY_PATTERN = f".*{_TEMPORARY_SUFFIX}"
_CHUNK_BYTES = 1 << 20
_LARGEST_FILE_BYTES = 10 * 1024 * 1024  # the kubelet's own limit for a manifest (pkg/kubelet/config/file.go)


class Root(NamedTuple):
    """The node's root as ``--rootfs`` names it; every node path is inside it."""

    path: Path

    @property
    def is_host(self) -> bool:
        """Is this the machine's own root?"""
        return self.path == Path("/")

    def host(self, node_path: str | Path) -> Path:
        """The path on this machine of an absolute path of the node."""
        return self.path / str(node_path).lstrip("/")

    def node(self, host_path: Path) -> str:
        """The node's own name of a path on this machine."""
        return "/" + str(host_path.relative_to(self.path)) if not self.is_host else str(host_path)


class Snapshot(NamedTuple):
    """A file as it was: its bytes and all that a replacement must keep."""

    content: bytes
    mode: int = 0o600
    uid: int = -1
    gid: int = -1
    xattrs: Mapping[str, bytes] = MappingProxyType({})
    device: int = 0
    inode: int = 0

    @property
    def sha256(self) -> str:
        return sha256(self.content)


def sha256(content: bytes) -> str:
    """The hexadecimal digest that journal, report and annotation use."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path, what: str) -> Snapshot:
    """Read a regular file, not through a symlink at its last element.

    Raises:
        RefusedError: missing, a symlink, not a regular file, too large, or not readable; ``what`` names it.
    """
    try:
        descriptor = open_regular(path, os.O_NOFOLLOW)
    except OSError as error:
        raise _refusal(path, what, error) from error
    try:
        status = os.fstat(descriptor)
        content = _content(descriptor, path, what)
        mode = stat.S_IMODE(status.st_mode)
        return Snapshot(content, mode, status.st_uid, status.st_gid, _xattrs(descriptor), status.st_dev, status.st_ino)
    finally:
        os.close(descriptor)


def read_regular(path: Path, what: str) -> bytes:
    """Return the bytes of a regular file that somebody else than our user named (a process, a manifest, a kubeconfig).

    Links are followed. A pipe or a device in its place is refused: its reading may never end.

    Raises:
        RefusedError: missing, not a regular file, too large, or not readable; ``what`` names it.
    """
    try:
        descriptor = open_regular(path)
    except OSError as error:
        raise _refusal(path, what, error) from error
    try:
        return _content(descriptor, path, what)
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int = 0) -> int:
    """Return a descriptor that reads a regular file; opening it never waits for somebody else.

    Raises:
        OSError: it cannot be opened, or is not a regular file (EINVAL).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return descriptor


def _content(descriptor: int, path: Path, what: str) -> bytes:
    content = bytearray()
    try:
        while len(content) <= _LARGEST_FILE_BYTES and (chunk := os.read(descriptor, _CHUNK_BYTES)):
            content += chunk
    except OSError as error:
        raise _refusal(path, what, error) from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise RefusedError(f"{path}: {what} is larger than 10 MiB", check=f"{what}-unreadable")
    return bytes(content)


def read_if_there(path: Path, what: str) -> Snapshot | None:
    """As `read`, but None where nothing is at that path."""
    if not os.path.lexists(path):
        return None
    return read(path, what)


def read_following(path: Path, what: str) -> bytes:
    """The bytes of a file that a user named: symlinks, pipes and /dev/stdin are fine.

    Raises:
        RefusedError: missing, a directory, or not readable.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise _refusal(path, what, error) from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise RefusedError(f"{path}: {what} is larger than 10 MiB", check=f"{what}-unreadable")
    return content


def digest(path: Path) -> str | None:
    """The SHA-256 of what stands there now; None if nothing, or nothing readable, does."""
    try:
        return read(path, "file").sha256
    except RefusedError:
        return None


def temporary_of(path: Path) -> Path:
    """The dot-named sibling through which `replace` writes ``path``."""
    return path.with_name(f".{path.name}{_TEMPORARY_SUFFIX}")


def replace(path: Path, content: bytes, like: Snapshot | None, *, expected: str | None = None) -> None:
    """Put ``content`` at ``path`` by a dot-named temporary file, fsync, one rename, fsync of the directory.

    Mode, owner and extended attributes are those of ``like``, else 0600 and ours. With ``expected``, the SHA-256 of
    what stands there is checked right before the rename: a stranger's edit is respected.

    Raises:
        RefusedError: the digest differs (the target is untouched).
        OSError: the file system refused (the target is untouched, the temporary file is gone).
    """
    temporary = temporary_of(path)
    try:
        _write_new(temporary, content, like)
        _check_unchanged(path, expected)
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file of ours, if it is there, durably."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def make_directories(path: Path, mode: int = 0o700) -> list[Path]:
    """Create ``path`` and its missing parents with ``mode``; return those made, outermost first.

    Modes of directories that are there already are not touched.
    """
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    for directory in reversed(missing):
        directory.mkdir(mode=mode)
        directory.chmod(mode)  # whatever the umask took away
        sync_directory(directory.parent)
    return missing[::-1]


def sync_directory(path: Path) -> None:
    """fsync a directory, so that a rename or an unlink in it survives a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def writable_directory(path: Path) -> bool:
    """May this process create names in the directory?"""
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _check_unchanged(path: Path, expected: str | None) -> None:
    if expected is not None and digest(path) != expected:
        raise RefusedError(
            f"{path}: somebody else changed it a moment ago",
            check="changed-meanwhile",
            fix="run the command again",
        )


def _write_new(path: Path, content: bytes, like: Snapshot | None) -> None:
    with suppress(FileNotFoundError):
        path.unlink()  # a leftover of a run that was killed right here
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if like is not None:
            _copy_attributes(descriptor, like)
        os.fsync(descriptor)


def _copy_attributes(descriptor: int, like: Snapshot) -> None:
    status = os.fstat(descriptor)
    if (like.uid, like.gid) != (status.st_uid, status.st_gid) and like.uid >= 0:
        os.fchown(descriptor, like.uid, like.gid)
    os.fchmod(descriptor, like.mode)  # after chown, which clears set-id bits
    for name, value in like.xattrs.items():
        if _xattrs(descriptor).get(name) != value:
            os.setxattr(descriptor, name, value)


def _xattrs(descriptor: int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.ENODATA):
            return {}  # a file system without them has none to keep
        raise


def _refusal(path: Path, what: str, error: OSError) -> RefusedError:
    check = f"{what}-unreadable"
    if error.errno == errno.ELOOP:
        return RefusedError(
            f"{path}: {what} is a symbolic link, and a rename would replace the link",
            check=f"{what}-symlink",
            fix="name the file that it points to, or put a regular file there",
        )
    if error.errno == errno.ENOENT:
        fix = (
            "name it with --manifest, or the node's root with --rootfs"
            if what == "manifest"
            else "name a file that is there"
        )
        return RefusedError(f"{path}: {what} not found", check=f"{what}-missing", fix=fix)
    if error.errno == errno.EINVAL:
        return RefusedError(f"{path}: {what} is not a regular file", check=check)
    reason = (error.strerror or str(error)).lower()
    fix = "run it as root (sudo)" if error.errno in (errno.EACCES, errno.EPERM) else ""
    return RefusedError(f"{path}: cannot read {what}: {reason}", check=check, fix=fix)
