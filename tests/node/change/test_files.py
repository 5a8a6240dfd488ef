"""Files of the node: what a replacement keeps, and what is refused."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.node.change import files


def test_a_replacement_keeps_mode_owner_and_attributes(tmp_path: Path) -> None:
    """Everything but the bytes and the inode."""
    path = tmp_path / "m.yaml"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
    try:
        os.setxattr(path, "user.note", b"kept")
    except OSError as error:
        assert error.errno == errno.ENOTSUP
    before = files.read(path, "manifest")

    files.replace_file(path, b"new", before, expected=before.sha256)

    after = files.read(path, "manifest")
    assert after.content == b"new"
    assert (after.mode, after.uid, after.gid, after.xattrs) == (before.mode, before.uid, before.gid, before.xattrs)
    assert after.inode != before.inode


def test_what_we_create_is_ours_alone(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask; directories 0700; those that are there are not touched."""
    tmp_path.chmod(0o755)
    old = os.umask(0)
    try:
        made = files.make_directories(tmp_path / "a/b")
        files.replace_file(tmp_path / "a/b/policy.yaml", b"x", None)
    finally:
        os.umask(old)

    assert made == [tmp_path / "a", tmp_path / "a/b"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (*made, tmp_path / "a/b/policy.yaml", tmp_path)] == [
        0o700,
        0o700,
        0o600,
        0o755,
    ]


def test_a_strangers_edit_is_respected(tmp_path: Path) -> None:
    """The digest is checked right before the rename; the target stays, nothing is left beside it."""
    path = tmp_path / "m.yaml"
    path.write_bytes(b"the stranger's")

    with pytest.raises(RefusedError, match="somebody else changed it"):
        files.replace_file(path, b"ours", None, expected=files.sha256(b"what we read"))

    assert path.read_bytes() == b"the stranger's"
    assert os.listdir(tmp_path) == ["m.yaml"]


def test_the_temporary_name_begins_with_a_dot_and_is_replaced_when_left_over(tmp_path: Path) -> None:
    """The kubelet ignores such names; a run that was killed may have left one."""
    path = tmp_path / "m.yaml"
    path.write_bytes(b"old")
    assert files.temporary_of(path).name.startswith(".")
    files.temporary_of(path).write_bytes(b"left over, and longer than what comes")

    files.replace_file(path, b"new", None)

    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["m.yaml"]


def test_a_full_disk_leaves_the_target_and_nothing_else(tmp_path: Path) -> None:
    """A write that fails; /dev/full stands in for the file system."""
    path = tmp_path / "m.yaml"
    path.write_bytes(b"old")
    limit = __import__("resource").getrlimit(__import__("resource").RLIMIT_FSIZE)
    pid = os.fork()
    if pid == 0:  # a child with a limit on file sizes: its writes fail with EFBIG
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
        try:
            files.replace_file(path, b"x" * 100, None)
        except OSError:
            os._exit(7)
        os._exit(0)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m.yaml"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.symlink_to(path.with_name("target")), "symbolic link"),
        (lambda path: path.mkdir(), "not a regular file|is a directory"),
        (os.mkfifo, "not a regular file"),
        (lambda path: None, "not found"),
        (lambda path: path.write_bytes(b"x" * (10 * 1024 * 1024 + 1)), "larger than 10 MiB"),
    ],
)
def test_what_is_not_a_regular_file_is_refused(tmp_path: Path, make: object, words: str) -> None:
    """One sentence with the path."""
    path = tmp_path / "manifest.yaml"
    (tmp_path / "target").write_bytes(b"x")
    make(path)  # type: ignore[operator]

    with pytest.raises(RefusedError, match=words) as caught:
        files.read(path, "manifest")

    assert str(path) in str(caught.value)
    assert "nothing was changed" in str(caught.value)


def test_a_root_folder_holds_every_path_of_the_node(tmp_path: Path) -> None:
    """There and back."""
    root = files.Root(tmp_path)

    assert root.host("/etc/x") == tmp_path / "etc/x"
    assert root.node(tmp_path / "etc/x") == "/etc/x"
    assert files.Root(Path("/")).node(Path("/etc/x")) == "/etc/x"
