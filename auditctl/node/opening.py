"""Open what a path of the node leads to; nobody who may write on its way can lead it elsewhere.

Root reads, writes and removes files below directories that a user may have chosen and another user may write. Whoever
writes there can put a symbolic link in the way, also between two calls of ours. So every path is opened once, as a
descriptor of the directory that holds its last name, and every further call is relative to that descriptor:

- without any link, `openat2` says so in one call (RESOLVE_NO_SYMLINKS, Linux 5.6; seccomp may forbid it);
- else the path is walked name by name with O_NOFOLLOW. A link is followed only if root or we own it, in a directory
  that not everybody writes: /var/run, a moved /etc/kubernetes or /var/log stay usable.

Under ``--rootfs`` a link means what it means on that node (`within`): an absolute one begins at the node's root, and
``..`` does not lead above it, as in a chroot (openat2's RESOLVE_IN_ROOT).
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.node.system_calls import call
from auditctl.system import open_flag

_SYS_OPENAT2 = 437  # the same number on every architecture
_AT_FDCWD = -100
_RESOLVE_NO_LINKS = 0x02 | 0x04  # RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS (linux/openat2.h)
_RENAME_NOREPLACE = 1  # linux/fs.h
_DIRECTORY = open_flag("O_PATH") | open_flag("O_DIRECTORY") | open_flag("O_CLOEXEC")
_COMPONENT = open_flag("O_PATH") | open_flag("O_NOFOLLOW") | open_flag("O_CLOEXEC")
_OWN_DESCRIPTORS = Path("/proc/self/fd")
_LINKS_AT_MOST = 40  # the kernel's own limit (MAXSYMLINKS)


class ForeignLinkError(OSError):
    """A symbolic link of another user is on the way of a path."""

    def __init__(self, path: Path, uid: int) -> None:
        super().__init__(errno.ELOOP, f"a symbolic link of another user (uid {uid}) is on its way", str(path))


@contextmanager
def parent(path: Path) -> Iterator[int]:
    """Yield an O_PATH descriptor of the directory that holds the last name of ``path``.

    Errors of the block name the whole path, not the last name alone.

    Raises:
        ForeignLinkError: a link of another user is on the way. OSError: the directory cannot be entered.
    """
    descriptor = directory(path.parent)
    try:
        yield descriptor
    except OSError as error:
        if isinstance(error.filename, str) and "/" not in error.filename:
            error.filename = str(path.parent / error.filename)
        raise
    finally:
        os.close(descriptor)


def directory(path: Path) -> int:
    """Return an O_PATH descriptor of a directory, to be closed by the caller.

    Raises:
        ForeignLinkError: a link of another user is on the way. OSError: it is missing, or no directory.
    """
    path = path.absolute()
    if path.parent == _OWN_DESCRIPTORS:  # it is open already (path_trust.beneath): its name is not resolved again
        return os.open(path, _DIRECTORY)
    try:
        return _open_without_links(path)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EINVAL):
            raise
    return walk(path)


def walk(path: Path) -> int:
    """Return an O_PATH descriptor of a directory, opened name by name: no openat2, or links on the way.

    Raises:
        ForeignLinkError: a link of another user is on the way. OSError: it is missing, or no directory.
    """
    names, links, here = deque(_names(str(path))), 0, Path("/")
    descriptor = os.open("/", _DIRECTORY)
    try:
        while names:
            name = names.popleft()
            child = _child(descriptor, name, here / name)
            status = os.fstat(child)
            if not stat.S_ISLNK(status.st_mode):
                os.close(descriptor)
                descriptor, here = child, here / name
                continue
            links += 1
            try:
                target = _target(child, status, descriptor, here / name, links)
            finally:
                os.close(child)
            names.extendleft(reversed(_names(target)))
            if target.startswith("/"):
                top = os.open("/", _DIRECTORY)
                os.close(descriptor)
                descriptor, here = top, Path("/")
        _check_directory(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_directory(descriptor: int, path: Path) -> None:
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def _child(holder: int, name: str, path: Path) -> int:
    try:
        return os.open(name, _COMPONENT, dir_fd=holder)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _target(link: int, status: os.stat_result, holder: int, path: Path, links: int) -> str:
    """Return where a link leads, if nobody but root and us can have made or exchanged it."""
    if links > _LINKS_AT_MOST:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    trusted = {0, os.geteuid()}
    around = os.fstat(holder)
    is_open = around.st_mode & stat.S_IWOTH and not around.st_mode & stat.S_ISVTX
    if status.st_uid not in trusted or around.st_uid not in trusted or is_open:
        raise ForeignLinkError(path, status.st_uid)
    return os.readlink("", dir_fd=link)


class Root(NamedTuple):
    """The node's root as ``--rootfs`` names it; every node path is inside it."""

    path: Path

    @property
    def is_host(self) -> bool:
        """Tell whether this is the machine's own root."""
        return self.path == Path("/")

    def host(self, node_path: str | Path) -> Path:
        """Return the path on this machine of an absolute path of the node; its last name may be a link.

        Directories on its way are followed as the node follows them, so that none leads out of ``--rootfs``.
        """
        if self.is_host:
            return self.path / str(node_path).lstrip("/")
        return within(self.path, str(node_path))

    def followed(self, node_path: str | Path) -> Path:
        """Return the path of a file that is only read: a last link is followed too, inside the root."""
        return self.host(node_path) if self.is_host else within(self.path, str(node_path), follow_last=True)

    def holds(self, path: Path) -> bool:
        """Tell whether no symbolic link leads from a path on this machine out of ``--rootfs``."""
        return self.is_host or path.resolve().is_relative_to(self.path.resolve())

    def node(self, host_path: Path) -> str:
        """Return the node's own name of a path on this machine."""
        return "/" + str(host_path.relative_to(self.path)) if not self.is_host else str(host_path)


def within(root: Path, node_path: str, *, follow_last: bool = False) -> Path:
    """Return the path on this machine of a path of the node, its links followed as that node follows them.

    The last name is not followed unless ``follow_last``. Names that are not there are taken as they are.

    Raises:
        RefusedError: links lead in a circle.
    """
    names, links = deque(_names(node_path)), 0
    here: list[str] = []
    while names:
        name = names.popleft()
        if name == "..":
            del here[-1:]
            continue
        target = _link_at(root.joinpath(*here, name)) if names or follow_last else None
        if target is None:
            here.append(name)
            continue
        links += 1
        if links > _LINKS_AT_MOST:
            raise RefusedError(
                f"{root / node_path.lstrip('/')}: symbolic links lead in a circle", check="rootfs", fix="remove one"
            )
        names.extendleft(reversed(_names(target)))
        if target.startswith("/"):
            here.clear()
    return root.joinpath(*here)


def _link_at(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError:  # no link, or not there
        return None


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def rename_new(name: str, new: str, holder: int) -> None:
    """Rename within one directory, only if nothing has the new name, so that no file is replaced.

    Where neither the C library nor the file system has RENAME_NOREPLACE, by a hard link, which never replaces either.

    Raises:
        FileExistsError: something has that name. OSError: as rename(2).
    """
    number = _rename_noreplace(name, new, holder)
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
        os.link(name, new, src_dir_fd=holder, dst_dir_fd=holder, follow_symlinks=False)
        os.unlink(name, dir_fd=holder)
    elif number:
        raise OSError(number, os.strerror(number), new)


def _rename_noreplace(name: str, new: str, holder: int) -> int:
    """Return 0, or the error number; ENOSYS where the C library has no such call (musl before 1.2.6)."""
    try:
        call("renameat2", holder, os.fsencode(name), holder, os.fsencode(new), _RENAME_NOREPLACE)
    except OSError as error:
        return error.errno or errno.ENOSYS
    return 0


def _open_without_links(path: Path) -> int:
    """Return a descriptor by openat2. Raises OSError: ELOOP for a link, ENOSYS without the call."""
    rule = struct.pack("QQQ", _DIRECTORY, 0, _RESOLVE_NO_LINKS)  # struct open_how: flags, mode, resolve
    try:
        return call("syscall", _SYS_OPENAT2, _AT_FDCWD, os.fsencode(path), rule, len(rule))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
