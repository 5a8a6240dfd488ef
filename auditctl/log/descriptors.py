"""Read open logs: at an offset, and again from the beginning; in the way that each operating system has.

A log is held open while it is read, so that a rotation does not take it away. Linux can read at an offset without moving
the position (pread), and open the same file once more by its descriptor, whatever its name is by then. Elsewhere no API
server rotates a log: it is opened again by its name.
"""

from __future__ import annotations

import errno
import os
import stat

from auditctl.system import IS_LINUX


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Return up to ``size`` bytes from ``offset`` on.

    Raises:
        OSError: ESPIPE, it is a pipe; or it cannot be read.
    """
    if IS_LINUX:
        return os.pread(descriptor, size, offset)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # Windows lets some pipes pass
        raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def same_file(descriptor: int, name: str) -> str:
    """Return the path by which an open file is opened once more, with a position of its own."""
    return f"/proc/self/fd/{descriptor}" if IS_LINUX else name
