"""``--readers``: the group may read the log, and nothing that somebody puts in the log's place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from auditctl.node.logfiles import log_names
from auditctl.node.preflight.acl import let_group_read

MALLORY, READERS = 54321, 54322
ACCESS = "system.posix_acl_access"
ROTATED = "audit-2026-01-01T00-00-00.000.log"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An audit log of our own; skips where the file system has no ACLs."""
    path = tmp_path / "audit/audit.log"
    path.parent.mkdir()
    path.write_text("{}\n")
    try:
        let_group_read(path.parent, lambda name: False, READERS)
    except OSError as error:
        assert error.errno == errno.ENOTSUP
        pytest.skip("the file system of the test has no POSIX ACLs")
    return path


def has_acl(path: Path) -> bool:
    return ACCESS in os.listxattr(path)


def test_the_log_its_rotated_files_and_what_follows_may_be_read(log: Path) -> None:
    """And no other file of the directory."""
    rotated, other = log.with_name(ROTATED), log.with_name("notes.log")
    os.removexattr(log.parent, "system.posix_acl_default")
    rotated.touch()
    other.touch()

    assert let_group_read(log.parent, log_names(log), READERS) == []

    assert [has_acl(path) for path in (log, rotated, other, log.parent)] == [True, True, False, True]
    assert "system.posix_acl_default" in os.listxattr(log.parent)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "not a regular file"])
def test_what_stands_in_a_logs_place_is_left_alone_and_named(log: Path, tmp_path: Path, kind: str) -> None:
    """The server's own user may write there: /etc/shadow must not become readable."""
    shadow, planted = tmp_path / "shadow", log.with_name(ROTATED)
    shadow.write_text("secret")
    if kind == "symbolic link":
        planted.symlink_to(shadow)
    elif kind == "hard link":
        planted.hardlink_to(shadow)
    else:
        os.mkfifo(planted)

    (left,) = let_group_read(log.parent, log_names(log), READERS)

    assert str(planted) in left
    assert kind in left
    assert not has_acl(shadow)
    assert has_acl(log)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")
def test_a_log_directory_that_is_exchanged_for_a_link_is_left_alone(log: Path, tmp_path: Path) -> None:
    """Its parent belongs to another user: `audit -> /root`."""
    (tmp_path / "root").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/audit").symlink_to(tmp_path / "root")
    (tmp_path / "theirs/way").symlink_to(tmp_path)
    os.chown(tmp_path / "theirs", MALLORY, MALLORY)

    for path in (tmp_path / "theirs/audit", tmp_path / "theirs/way/root"):
        with pytest.raises(OSError, match=r"link|directory"):
            let_group_read(path, log_names(log), READERS)

    assert not has_acl(tmp_path / "root")
