"""Follow across rotation as the server does it, across truncation, and never an event twice."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path

import pytest

from auditctl.log.damage import Damage
from auditctl.log.follow import Follower
from auditctl.log.line_assembly import CHUNK_BYTES
from auditctl.log.sources import LogError


def rotated(log: Path) -> list[Path]:
    return [path for path in log.parent.iterdir() if path != log]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(b"0\n")
    return path


def follow(log: Path, *, from_end: bool = True) -> Follower:
    return Follower(log, partial(rotated, log), from_end=from_end)


def seen(follower: Follower) -> list[str]:
    return b"".join(each[0] for each in follower.texts() if not isinstance(each, Damage)).decode().split()


def rotate(log: Path, number: int) -> Path:
    """Rename; the moment without the file is the caller's."""
    target = log.with_name(f"audit-2026-11-21T20-45-{number:02}.643.log")
    log.rename(target)
    return target


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_is_appended_and_only_whole_lines(log: Path) -> None:
    follower = follow(log)
    assert seen(follower) == []
    append(log, "1\n2")
    assert seen(follower) == ["1"]
    append(log, "2\n")
    assert seen(follower) == ["22"]
    assert seen(follow(log, from_end=False)) == ["0", "1", "22"]


def test_the_old_file_is_drained_before_the_new_one(log: Path) -> None:
    follower = follow(log)
    append(log, "1\n")
    old = rotate(log, 1)
    assert seen(follower) == ["1"]
    append(old, "2\n")
    assert seen(follower) == ["2"]
    append(old, "3\n")
    append(log, "4\n")
    assert seen(follower) == ["3", "4"]
    append(log, "5\n")
    assert seen(follower) == ["5"]


def test_files_that_came_and_went_between_two_looks_are_read_in_their_order(log: Path) -> None:
    follower = follow(log)
    append(log, "1\n")
    for number in range(1, 5):
        rotate(log, number)
        append(log, f"{number + 1}\n")
    assert seen(follower) == ["1", "2", "3", "4", "5"]
    assert seen(follower) == []
    rotate(log, 7)
    append(log, "6\n")
    assert seen(follower) == ["6"]


def test_a_missed_file_that_is_compressed_already_is_read_and_the_drained_one_not_twice(log: Path) -> None:
    follower = follow(log)
    append(log, "1\n")
    for number in (1, 2):
        old = rotate(log, number)
        old.with_name(old.name + ".gz").write_bytes(gzip.compress(old.read_bytes()))
        old.unlink()
        append(log, f"{number + 1}\n")
    assert seen(follower) == ["1", "2", "3"]


def test_a_file_that_was_removed_after_its_rotation_is_drained_all_the_same(log: Path) -> None:
    follower = follow(log)
    append(log, "1\n")
    rotate(log, 1).unlink()
    append(log, "2\n")
    rotate(log, 2)
    append(log, "3\n")
    assert seen(follower) == ["1", "2", "3"]


def test_after_a_truncation_it_goes_on_from_the_beginning_or_behind_the_nuls(log: Path) -> None:
    follower = follow(log)
    append(log, "1\n2\n")
    assert seen(follower) == ["1", "2"]
    log.write_bytes(b"3\n")
    assert list(follower.texts()) == [Damage("truncation from outside", 2, 0), (b"3\n", 0)]
    log.write_bytes(b"\0" * 600_000 + b"4\n")  # the server writes on at its old offset
    found = list(follower.texts())
    assert found[-1] == (b"4\n", 600_000)
    assert sum(each.length for each in found if isinstance(each, Damage)) == 600_000 - len("3\n")


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    follower = follow(log)
    assert seen(follower) == []
    append(log, "1\n")
    assert seen(follower) == ["1"]


class Hurried(Follower):
    """The server writes and rotates right after the last look at the old file."""

    def _is_replaced(self) -> bool:
        if not rotated(self._path):
            append(self._path, "late\n")
            rotate(self._path, 1)
            append(self._path, "new\n")
        return super()._is_replaced()


def test_what_was_written_right_before_the_rename_is_not_lost(log: Path) -> None:
    follower = Hurried(log, partial(rotated, log), from_end=True)
    assert seen(follower) == ["late", "new"]


def test_a_missed_file_that_is_compressed_while_it_is_opened_is_read_under_its_other_name(log: Path) -> None:
    class Late(Follower):
        """The server has compressed them after they were listed."""

        def _missed(self, following: int) -> list[Path]:
            missed = super()._missed(following)
            for path in missed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
            return missed

    follower = Late(log, partial(rotated, log), from_end=True)
    append(log, "1\n")
    for number in (1, 2, 3):
        rotate(log, number)
        append(log, f"{number + 1}\n")
    assert seen(follower) == ["1", "2", "3", "4"]


def test_a_torn_line_at_the_end_of_a_file_is_handed_over_alone(log: Path) -> None:
    follower = follow(log)
    append(log, "1\nto")
    rotate(log, 1)
    append(log, "2\n")
    assert list(follower.texts()) == [(b"1\n", 2), (b"to", 4), (b"2\n", 0)]


def test_a_line_of_many_chunks_that_comes_bit_by_bit_is_one(log: Path) -> None:
    follower = follow(log)
    for _ in range(5):
        append(log, "x" * CHUNK_BYTES)
        assert seen(follower) == []
    append(log, "y\nz\n")
    assert seen(follower) == ["x" * 5 * CHUNK_BYTES + "y", "z"]


def test_what_cannot_be_followed_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"0\n"))
    for path, said in ((tmp_path, "is a directory"), (tmp_path / "a.log.gz", "nobody appends to a compressed file")):
        with pytest.raises(LogError, match=said):
            follow(path)
