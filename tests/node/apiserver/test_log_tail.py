"""Following a log: only what is appended, across rotation and truncation, with its line numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditctl.node.apiserver.log_tail import Tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\ntwo\n")
    return path


@pytest.fixture
def tail(log: Path) -> Iterator[Tail]:
    reader = Tail.at_end(log)
    yield reader
    reader.close()


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_only_what_is_appended_is_read_and_counted(tail: Tail, log: Path) -> None:
    """Line numbers go on from what was there."""
    append(log, b"three\nfour\n")

    assert tail.lines() == [(3, b"three"), (4, b"four")]
    assert tail.lines() == []
    assert tail.grew_bytes == len(b"three\nfour\n")


def test_half_a_line_waits_for_its_other_half(tail: Tail, log: Path) -> None:
    """A write in two parts is one line."""
    append(log, b"thr")
    assert tail.lines() == []
    append(log, b"ee\n")
    assert tail.lines() == [(3, b"three")]


def test_across_a_rotation_the_old_file_is_drained_first(tail: Tail, log: Path) -> None:
    """Rename, a moment without the file, a new one."""
    append(log, b"three\n")
    log.rename(log.with_name("audit-2026-11-21T00-00-00.000.log"))
    assert tail.lines() == [(3, b"three")]
    append(log, b"first of the new\n")

    assert tail.lines() == [(1, b"first of the new")]


def test_what_is_written_to_the_renamed_file_meanwhile_is_not_lost(tail: Tail, log: Path) -> None:
    """Old and new file in one look."""
    rotated = log.with_name("audit-2026-11-21T00-00-00.000.log")
    log.rename(rotated)
    append(rotated, b"three\n")
    append(log, b"new\n")

    assert tail.lines() == [(3, b"three"), (1, b"new")]


def test_a_log_that_is_not_there_yet_is_read_from_its_beginning(tmp_path: Path) -> None:
    """The first event of a first enable."""
    path = tmp_path / "audit.log"
    tail = Tail.at_end(path)
    assert tail.lines() == []
    append(path, b"one\n")

    assert tail.lines() == [(1, b"one")]
    tail.close()


def test_a_truncated_file_is_read_anew(tail: Tail, log: Path) -> None:
    """Somebody emptied it from outside."""
    log.write_bytes(b"x\n")

    assert tail.lines() == [(1, b"x")]


def test_line_numbers_of_a_file_without_final_newline(tmp_path: Path) -> None:
    """The torn line before us is finished by what comes."""
    path = tmp_path / "audit.log"
    path.write_bytes(b"one\nto")
    tail = Tail.at_end(path)
    append(path, b"rn\nthree\n")

    assert [number for number, _ in tail.lines()] == [2, 3]
    tail.close()


@pytest.mark.parametrize("other", ["/dev/full", "pipe"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, other: str) -> None:
    """Zeros without end, a writer that never comes."""
    path = tmp_path / "audit.log"
    os.mkfifo(tmp_path / "pipe")
    path.symlink_to(other)

    tail = Tail.at_end(path)

    assert (tail.lines(), tail.identity, tail.grew_bytes) == ([], None, 0)
    tail.close()
