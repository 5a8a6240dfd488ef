"""Set POSIX ACLs, so that a group can read what the server writes into a directory (``--readers``).

The on-disk form is include/uapi/linux/posix_acl_xattr.h: a version, then (tag, permissions, id) entries in tag order.
"""

from __future__ import annotations

import errno
import grp
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node import opening

_VERSION = 2
_USER_OBJ, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x08, 0x10, 0x20
_READ, _READ_SEARCH, _READ_WRITE, _ALL = 4, 5, 6, 7
_NO_ID = 0xFFFFFFFF


def group_id(name: str) -> int:
    """Return the number of a group.

    Raises:
        RefusedError: there is no such group on this machine.
    """
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise RefusedError(f"--readers {name}: no such group on this machine", check="readers") from error


def let_group_read(directory: Path, names: Callable[[str], bool], gid: int) -> list[str]:
    """Let the group enter the directory, and read the files of these names, now and later.

    A default ACL alone grants nothing on a file that is created with mode 0600 (its mask becomes empty), and a rotated
    log's successor is created with the mode of the old one: so the log that is there needs the entry as well.

    The server's own user may write the directory, and put a link to somebody else's file there. So each file is opened
    without following a link and changed by its descriptor; what is not a regular file, or has a second name elsewhere, is
    left alone. Returns a sentence for each such name.

    Raises:
        OSError: the file system has no POSIX ACLs, or a link of another user is on the way.
    """
    with opening.parent(directory) as holder:
        opened = os.open(directory.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=holder)
    try:
        os.setxattr(opened, "system.posix_acl_access", _acl(gid, _READ_SEARCH, _ALL))
        os.setxattr(opened, "system.posix_acl_default", _acl(gid, _READ_SEARCH, _ALL))
        logs = sorted(filter(names, os.listdir(opened)))  # noqa: PTH208 (of a descriptor)
        reasons = {name: _let_read_file(opened, name, gid) for name in logs}
    finally:
        os.close(opened)
    return [f"{directory / name}: {reason}, so it is left alone" for name, reason in reasons.items() if reason]


def _let_read_file(directory: int, name: str, gid: int) -> str:
    """Return why the file was left alone; empty where it was not."""
    try:
        log = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        return "is a symbolic link" if error.errno == errno.ELOOP else (error.strerror or str(error)).lower()
    try:
        status = os.fstat(log)
        if not stat.S_ISREG(status.st_mode):
            return "is not a regular file"
        if status.st_nlink != 1:
            return "has another name (a hard link)"
        os.setxattr(log, "system.posix_acl_access", _acl(gid, _READ, _READ_WRITE))
    finally:
        os.close(log)
    return ""


def _acl(gid: int, permissions: int, owner: int) -> bytes:
    entries = [
        (_USER_OBJ, owner, _NO_ID),
        (_GROUP_OBJ, 0, _NO_ID),
        (_GROUP, permissions, gid),
        (_MASK, permissions, _NO_ID),
        (_OTHER, 0, _NO_ID),
    ]
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
