"""A default POSIX ACL, so that a group can read what the server will write into a directory (``--readers``).

The on-disk form is include/uapi/linux/posix_acl_xattr.h: a version, then (tag, permissions, id) entries in tag order.
"""

from __future__ import annotations

import grp
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from auditctl.errors import RefusedError

_VERSION = 2
_USER_OBJ, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x08, 0x10, 0x20
_READ, _READ_SEARCH, _READ_WRITE, _ALL = 4, 5, 6, 7
_NO_ID = 0xFFFFFFFF


def group_id(name: str) -> int:
    """The number of a group.

    Raises:
        RefusedError: there is no such group on this machine.
    """
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise RefusedError(f"--readers {name}: no such group on this machine", check="readers") from error


def let_group_read(directory: Path, logs: Iterable[Path], gid: int) -> None:
    """Let the group enter the directory, and read these files in it and those that will follow.

    A default ACL alone grants nothing on a file that is created with mode 0600 (its mask becomes empty), and a rotated
    log's successor is created with the mode of the old one: so the log that is there needs the entry as well.

    Raises:
        OSError: the file system has no POSIX ACLs.
    """
    os.setxattr(directory, "system.posix_acl_access", _acl(gid, _READ_SEARCH, _ALL))
    os.setxattr(directory, "system.posix_acl_default", _acl(gid, _READ_SEARCH, _ALL))
    for log in logs:
        os.setxattr(log, "system.posix_acl_access", _acl(gid, _READ, _READ_WRITE))


def _acl(gid: int, permissions: int, owner: int) -> bytes:
    entries = [
        (_USER_OBJ, owner, _NO_ID),
        (_GROUP_OBJ, 0, _NO_ID),
        (_GROUP, permissions, gid),
        (_MASK, permissions, _NO_ID),
        (_OTHER, 0, _NO_ID),
    ]
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
