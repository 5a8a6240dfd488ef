"""Read files of the node with their attributes, and replace them by one rename.

The kubelet reads every name in the manifest directory that does not begin with a dot, whatever its suffix
(pkg/kubelet/config/file.go: glob ``[^.]*``), so temporary names begin with a dot and nothing is ever left behind.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node import opening
from auditctl.node.change.file_refusals import KINDS_NOT_READ, unreadable
from auditctl.node.change.snapshot import Snapshot, check_written, extended_attributes, sha256, write_new
from auditctl.node.opening import Root
from auditctl.system import IS_LINUX, READ_ONLY, open_flag

__all__ = [  # Root, Snapshot and sha256 have this door, too
    "ABSENT",
    "TEMPORARY_PATTERN",
    "Root",
    "Snapshot",
    "changed_meanwhile",
    "check_written",
    "digest",
    "make_directories",
    "open_regular",
    "read",
    "read_at",
    "read_following",
    "read_if_there",
    "read_regular",
    "remove",
    "remove_directory",
    "replace_file",
    "sha256",
    "sync_directory",
    "temporary_of",
    "writable_directory",
]

ABSENT = ""  # in place of a digest: nothing stands there
_TEMPORARY_SUFFIX = ".auditctl-new"
TEMPORARY_PATTERN = f".*{_TEMPORARY_SUFFIX}"
_STANDARD_INPUT = Path("/dev/stdin")
_CHUNK_BYTES = 1 << 20
_LARGEST_FILE_BYTES = 10 * 1024 * 1024  # the kubelet's own limit for a manifest (pkg/kubelet/config/file.go)
_READ = READ_ONLY | open_flag("O_NONBLOCK")  # O_NONBLOCK: to open a pipe would wait for its writer


def read(path: Path, subject: str) -> Snapshot:
    """Return a regular file, not through a symlink at its last name.

    Raises:
        RefusedError: missing, a symlink, not a regular file, too large, or not readable; ``subject`` names it.
    """
    try:
        if not IS_LINUX:
            return _snapshot(open_regular(path, open_flag("O_NOFOLLOW")), path, subject)
        with opening.parent(path) as directory:
            return read_at(directory, path, subject)
    except OSError as error:
        raise unreadable(path, subject, error) from error


def read_at(directory: int, path: Path, subject: str) -> Snapshot:
    """Return the file of that name in an open directory. Raises OSError as `open_regular`, RefusedError: too large."""
    return _snapshot(open_regular(path, os.O_NOFOLLOW, directory), path, subject)


def _snapshot(descriptor: int, path: Path, subject: str) -> Snapshot:
    """Return the open file, and close it. Raises RefusedError: too large."""
    try:
        status = os.fstat(descriptor)
        return Snapshot(
            content=_content(descriptor, path, subject),
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            xattrs=extended_attributes(descriptor),
            device=status.st_dev,
            inode=status.st_ino,
        )
    finally:
        os.close(descriptor)


def read_if_there(path: Path, subject: str) -> Snapshot | None:
    """Return the same as `read`, but None where nothing is at that path."""
    if not os.path.lexists(path):
        return None
    return read(path, subject)


def read_regular(path: Path, subject: str) -> bytes:
    """Return the bytes of a regular file that somebody else than our user named (a process, a manifest, a kubeconfig).

    Links are followed. A pipe or a device in its place is refused: its reading may never end.

    Raises:
        RefusedError: missing, not a regular file, too large, or not readable; ``subject`` names it.
    """
    return _read_opened(open_regular, path, subject)


def read_following(path: Path, subject: str) -> bytes:
    """Return the same for a file that our user names; it may also be what a shell hands over (/dev/stdin, /dev/fd/63)."""
    if not IS_LINUX and path == _STANDARD_INPUT:  # Windows has no such file
        return _read_opened(lambda _: os.dup(sys.stdin.fileno()), path, subject)
    is_handed_over = path.is_relative_to("/dev") or path.is_relative_to("/proc/self/fd")
    return _read_opened(_open_any if is_handed_over else open_regular, path, subject)


def _read_opened(opener: Callable[[Path], int], path: Path, subject: str) -> bytes:
    try:
        descriptor = opener(path)
        try:
            return _content(descriptor, path, subject)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(path, subject, error) from error


def open_regular(path: Path, flags: int = 0, directory: int | None = None) -> int:
    """Return a descriptor that reads a regular file; opening it never waits for somebody else.

    With an open ``directory`` only the last name of ``path`` is opened, in there.

    Raises:
        OSError: it cannot be opened, or is not a regular file (EISDIR, EINVAL).
    """
    name = path if directory is None else path.name or "."
    descriptor = os.open(name, _READ | open_flag("O_NOCTTY") | flags, dir_fd=directory)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, KINDS_NOT_READ[number], str(path))
    return descriptor


def _open_any(path: Path) -> int:
    descriptor = os.open(path, _READ)  # not waiting for the writer of a pipe that has ended already
    os.set_blocking(descriptor, True)
    return descriptor


def _content(descriptor: int, path: Path, subject: str) -> bytes:
    """Return everything up to the limit: a file may grow while it is read, and a device has no end."""
    content = bytearray()
    while len(content) <= _LARGEST_FILE_BYTES and (chunk := os.read(descriptor, _CHUNK_BYTES)):
        content += chunk
    if len(content) > _LARGEST_FILE_BYTES:
        raise RefusedError(f"{path}: {subject} is larger than 10 MiB", check=f"{subject}-unreadable")
    return bytes(content)


def digest(path: Path) -> str | None:
    """Return the SHA-256 of the file at ``path`` now; None if there is none, or it cannot be read."""
    try:
        return read(path, "file").sha256
    except RefusedError:
        return None


def temporary_of(path: Path) -> Path:
    """Return the dot-named sibling through which `replace_file` writes ``path``."""
    return path.with_name(f".{path.name}{_TEMPORARY_SUFFIX}")


def replace_file(path: Path, content: bytes, like: Snapshot | None, *, expected: str | None = None) -> None:
    """Put ``content`` at ``path``: dot-named temporary file, fsync, one rename, fsync of the directory.

    Mode, owner and extended attributes are those of ``like``, else 0600 and ours. With ``expected``, the SHA-256 of
    what stands there (`ABSENT`: nothing does) is checked right before the rename: a stranger's edit is respected.

    Raises:
        RefusedError: the digest differs (the target is untouched).
        OSError: the file system refused (the target is untouched, the temporary file is gone).
    """
    temporary = temporary_of(path)
    with opening.parent(path) as directory:
        try:
            write_new(directory, temporary, content, like)
            if expected == ABSENT:
                _rename_where_nothing_is(directory, temporary, path)
            else:
                _check_unchanged(directory, path, expected)
                os.rename(temporary.name, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary.name, dir_fd=directory)
            raise
        _sync(directory)


def _rename_where_nothing_is(directory: int, temporary: Path, path: Path) -> None:
    try:
        opening.rename_new(temporary.name, path.name, directory)
    except FileExistsError as error:
        raise changed_meanwhile(path) from error


def remove(path: Path) -> None:
    """Remove a file, if it is there, and fsync its directory."""
    with suppress(FileNotFoundError), opening.parent(path) as directory:
        os.unlink(path.name, dir_fd=directory)
        _sync(directory)


def remove_directory(path: Path) -> None:
    """Remove an empty directory.

    Raises:
        OSError: it is not empty, no directory, or not there.
    """
    with opening.parent(path) as directory:
        os.rmdir(path.name, dir_fd=directory)


def make_directories(path: Path, mode: int = 0o700) -> list[Path]:
    """Create ``path`` and its missing parents with ``mode``; return those made, outermost first.

    Modes of directories that are there already are not touched.
    """
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    for directory in reversed(missing):
        with opening.parent(directory) as holder:
            os.mkdir(directory.name, mode, dir_fd=holder)
            _restore_mode(holder, directory.name, mode)
            _sync(holder)
    return missing[::-1]


def _restore_mode(holder: int, name: str, mode: int) -> None:
    """Set the mode bits that the umask took away, by descriptor, so that no link is changed instead."""
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=holder)
    try:
        status = os.fstat(descriptor)
        if stat.S_IMODE(status.st_mode) != mode and status.st_uid == os.geteuid():
            os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """fsync a directory, so that a rename or an unlink in it survives a power failure."""
    directory = opening.directory(path)
    try:
        _sync(directory)
    finally:
        os.close(directory)


def _sync(directory: int) -> None:
    """fsync an open directory; an O_PATH descriptor cannot, so it is opened once more."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def writable_directory(path: Path) -> bool:
    """Tell whether this process may create names in the directory."""
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def changed_meanwhile(path: Path) -> RefusedError:
    """Return the refusal for a file that is not as it was read."""
    return RefusedError(
        f"{path}: somebody else changed it a moment ago", check="changed-meanwhile", fix="run the command again"
    )


def _check_unchanged(directory: int, path: Path, expected: str | None) -> None:
    if expected is None:
        return
    try:
        is_so = read_at(directory, path, "file").sha256 == expected
    except (OSError, RefusedError):
        is_so = False
    if not is_so:
        raise changed_meanwhile(path)
