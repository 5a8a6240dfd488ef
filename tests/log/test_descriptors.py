"""Open logs are read at an offset, and opened once more."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from auditctl.log.descriptors import read_at, same_file


def test_reading_at_an_offset_does_not_move_the_position(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"abcdef")
    descriptor = os.open(log, os.O_RDONLY)

    assert read_at(descriptor, 2, 3) == b"de"
    assert os.read(descriptor, 1) == b"a"
    os.close(descriptor)


def test_a_pipe_has_no_offsets() -> None:
    reading, writing = os.pipe()

    with pytest.raises(OSError, match="seek") as caught:
        read_at(reading, 1, 0)

    assert caught.value.errno == errno.ESPIPE
    os.close(reading)
    os.close(writing)


def test_an_open_file_is_opened_again_although_its_name_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"abc")
    descriptor = os.open(log, os.O_RDONLY)
    log.unlink()

    assert Path(same_file(descriptor, str(log))).read_bytes() == b"abc"
    os.close(descriptor)
