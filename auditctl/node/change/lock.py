"""Lock a node for a change. The kernel releases a flock when the process ends, however it ends.

There are two, taken in this order:

- ``lock`` in the state directory, which says in words who holds it;
- one of the manifest's directory, so that two runs with different ``--state-dir`` exclude each other, too. For root it
  is a file in /run/auditctl that is named for the directory's device and inode: a flock on the directory itself could
  be held by anybody who may read it. Another user locks the directory itself.

A file can be removed while it is locked. So after each flock the open file is compared with what has the name now.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.node import opening, path_trust
from auditctl.node.change.state import StateDirectory, cannot_write

_RUNTIME = Path("/run/auditctl")
_LOCK_NAME = re.compile(r"manifests-[0-9a-f]+-[0-9a-f]+\.lock")
_LEFT_SECONDS = 86400.0
_ATTEMPTS = 20  # to lock a file that others keep removing
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe in its place does not hold us
# no flock on a directory here (NFS: a lock for writing needs an open for writing)
_NO_FLOCK = frozenset([errno.EBADF, errno.EINVAL, errno.EOPNOTSUPP])


class _Lockable(NamedTuple):
    """An open file, and whether it is the one that has the name still."""

    descriptor: int
    is_current: Callable[[], bool]


@contextmanager
def lock(state: StateDirectory, command: str, manifest_directory: Path | None = None) -> Iterator[tuple[int, ...]]:
    """Hold the node's locks for the length of a change; yield their descriptors.

    Raises:
        RefusedError: another run holds one, or the file system cannot lock.
    """
    held: list[int] = []
    try:
        held.append(_acquire(lambda: _state_lock(state, create=True), state.lock, state.holder))
        state.sign(f"auditctl {command} (pid {os.getpid()})")
        if manifest_directory is not None and manifest_directory.exists():  # without it nobody changes a manifest in it
            directory = manifest_directory
            held.append(_acquire(lambda: _manifest_lock(directory), directory, lambda: _OTHER))
            _sweep()
        yield tuple(held)
    finally:
        if len(held) > 1 and manifest_directory is not None:
            _discard(manifest_directory)
        for descriptor in held:
            os.close(descriptor)


_OTHER = "another run, with another --state-dir,"


@contextmanager
def lock_left_behind(state: StateDirectory, manifest_directory: Path) -> Iterator[None]:
    """Wait until the run that holds the locks has ended; then hold them.

    The descriptors are our own: inherited ones would be the very locks that we wait for.
    """
    held: list[int] = []
    try:
        for open_it in (lambda: _state_lock(state, create=False), lambda: _manifest_lock(manifest_directory)):
            with suppress(FileNotFoundError):  # the state directory was removed: nobody else can hold its lock
                held.append(_locked(open_it, fcntl.LOCK_EX))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _acquire(open_it: Callable[[], _Lockable], path: Path, holder: Callable[[], str]) -> int:
    try:
        return _locked(open_it, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RefusedError(
            f"{path}: {holder()} is changing this node now",
            check="lock-held",
            fix="wait until it has finished, then run the command again",
        ) from error
    except OSError as error:
        raise cannot_write(path, "the lock", error) from error


def _locked(open_it: Callable[[], _Lockable], operation: int) -> int:
    """Return a locked descriptor of the file that has the name now. Raises OSError."""
    for _ in range(_ATTEMPTS):
        lockable = open_it()
        try:
            _flock(lockable.descriptor, operation)
            if lockable.is_current():
                return lockable.descriptor
        except BaseException:
            os.close(lockable.descriptor)
            raise
        os.close(lockable.descriptor)
    raise OSError(errno.EBUSY, "it is removed and made again all the time")


def _flock(descriptor: int, operation: int) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NO_FLOCK:
            raise


def _state_lock(state: StateDirectory, *, create: bool) -> _Lockable:
    flags = _FLAGS | (os.O_CREAT if create else 0)
    with opening.parent(state.lock) as folder:
        descriptor = os.open(state.lock.name, flags, 0o600, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(state.lock))
    return _Lockable(descriptor, lambda: _is_same(descriptor, state.lock))


def _manifest_lock(directory: Path) -> _Lockable:
    path = _runtime_path(directory)
    if path is not None:
        with suppress(OSError, RefusedError), path_trust.private_directory(path.parent) as (folder, _):
            descriptor = os.open(path.name, _FLAGS | os.O_CREAT, 0o600, dir_fd=folder)
            return _Lockable(descriptor, lambda: _is_same(descriptor, path))
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return _Lockable(opened, lambda: True)


def _runtime_path(directory: Path) -> Path | None:
    """Return the lock file of a manifest directory; None for a user who cannot write /run."""
    if os.geteuid() != 0:
        return None
    status = directory.stat()
    return _RUNTIME / f"manifests-{status.st_dev:x}-{status.st_ino:x}.lock"


def _discard(directory: Path) -> None:
    """Remove the lock file while it is locked: who has it open sees that it is not current any more."""
    with suppress(OSError):
        path = _runtime_path(directory)
        if path is not None:
            path.unlink()


def _sweep() -> None:
    """Remove the lock files of runs that were killed a day ago or earlier: what can be locked is held by nobody.

    Younger ones do no harm: they are empty, and a run in the same directory uses its own again.
    """
    if os.geteuid() != 0:
        return
    with suppress(OSError, RefusedError), path_trust.private_directory(_RUNTIME) as (folder, _):
        there = os.listdir(folder)  # noqa: PTH208 (of an open directory)
        for name in filter(_LOCK_NAME.fullmatch, there):
            with suppress(OSError):
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < time.time() - _LEFT_SECONDS:
                    _remove_if_free(folder, name)


def _remove_if_free(folder: int, name: str) -> None:
    descriptor = os.open(name, _FLAGS, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(name, dir_fd=folder, follow_symlinks=False)):
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except OSError:
        return False
    status = os.fstat(descriptor)
    return (status.st_dev, status.st_ino) == (there.st_dev, there.st_ino)
