"""One line of syslog for each change: a name in it cannot forge another one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditctl.node.change.actor import record

SYSLOG = Path("/dev/log")


@pytest.fixture
def syslog() -> Iterator[socket.socket]:
    """The socket that libc writes to, where this machine has no syslog of its own."""
    if SYSLOG.exists() or SYSLOG.is_symlink() or os.getuid() != 0:
        pytest.skip("a syslog runs here, or we are not root")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(SYSLOG))
        bound.settimeout(10)
        try:
            yield bound
        finally:
            SYSLOG.unlink()


def test_an_entry_is_one_printable_line(syslog: socket.socket) -> None:
    record("change 1: enable p\x1b[2J\nNov 30 sshd[1]: Accepted password for root.yaml")

    # another test process may write to the same socket
    entry = next(one for one in (syslog.recv(4096) for _ in range(50)) if b"enable p" in one)

    assert b"p\\x1b[2J\\nNov 30 sshd" in entry
    assert b"\x1b" not in entry
    assert b"\n" not in entry.rstrip(b"\n\0")
