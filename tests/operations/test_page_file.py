"""A file that the user named is written whole, and never where another user leads it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from auditctl.operations.page_file import write_output

STRANGER = 65534


def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = os.umask(0o027)
    write_output(out, b"new")
    os.umask(before)
    assert (out.read_bytes(), stat.S_IMODE(out.stat().st_mode)) == (b"new", 0o640)

    out.chmod(0o604)
    write_output(out, b"again")
    assert (out.read_bytes(), stat.S_IMODE(out.stat().st_mode)) == (b"again", 0o604)
    assert os.listdir(tmp_path) == ["out"]


def test_our_own_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("out")
    write_output(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "out").read_bytes() == b"new"


def test_what_a_shell_hands_over_is_written(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    write_output(Path(f"/dev/fd/{writing}"), b"new")
    assert os.read(reading, 10) == b"new"
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "pipe", "link on the way"])
def test_what_another_user_put_there_is_refused(tmp_path: Path, kind: str) -> None:
    """In a folder of that user: the file behind the link is untouched, and nobody waits for a reader."""
    (tmp_path / "precious").write_bytes(b"old")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    out = theirs / "out"
    if kind == "pipe":
        os.mkfifo(out)
    elif kind == "link":
        out.symlink_to(tmp_path / "precious")
    else:
        (theirs / "way").symlink_to(tmp_path)
        out = theirs / "way" / "precious"
    for path in (theirs, *theirs.iterdir()):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

    with pytest.raises(OSError, match="another user"):
        write_output(out, b"new")

    assert (tmp_path / "precious").read_bytes() == b"old"
