"""The log file: opened as the server opens it, rotated as lumberjack rotates it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from auditctl.lab.apiserver.container_files import FileSystem
from auditctl.lab.apiserver.log_rotation import LogFileError, RotatingFile, RotationRule, ensure
from auditctl.lab.node.volumes import Bind

LINE = b"x" * 99 + b"\n"
# as kube-apiserver 1.36.3 said it of a bind mount, the paths and the time apart
EBUSY = r"^can't rename log file: rename /log/audit\.log /log/audit-[-\dT]+\.\d{3}\.log: device or resource busy$"


@pytest.fixture
def files(tmp_path: Path) -> FileSystem:
    (tmp_path / "log").mkdir()
    return FileSystem([Bind("/log", str(tmp_path / "log"), read_only=False)], tmp_path / "room")


def written(files: FileSystem, rotation: RotationRule, lines: int) -> list[str]:
    file = RotatingFile(files=files, path="/log/audit.log", rotation=rotation)
    for _ in range(lines):
        file.write(LINE)
    file.close()
    return sorted(path.name for path in files.host("/log").iterdir())


def test_a_full_file_is_renamed_with_a_utc_stamp(files: FileSystem) -> None:
    *backups, log = written(files, RotationRule(maxsize_bytes=250), 5)
    assert (
        log,
        [bool(re.fullmatch(r"audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log", name)) for name in backups],
    ) == (
        "audit.log",
        [True] * len(backups),
    )


def test_the_mode_of_the_file_survives_rotation(files: FileSystem) -> None:
    ensure(files, "/log/audit.log")
    files.host("/log/audit.log").chmod(0o640)
    written(files, RotationRule(maxsize_bytes=150), 2)
    assert files.host("/log/audit.log").stat().st_mode & 0o777 == 0o640


def test_old_backups_are_removed_by_count_then_by_age_in_the_name(files: FileSystem) -> None:
    for day in ("01", "02", "03"):
        (files.host("/log") / f"audit-2020-01-{day}T00-00-00.000.log").write_text("old")
    (files.host("/log") / "audit-notes.log").write_text("not ours")
    names = written(files, RotationRule(maxsize_bytes=0, maxbackup_files=2), 1)
    assert names == [
        "audit-2020-01-02T00-00-00.000.log",
        "audit-2020-01-03T00-00-00.000.log",
        "audit-notes.log",
        "audit.log",
    ]
    names = written(files, RotationRule(maxsize_bytes=0, maxage_days=30), 1)
    assert names == ["audit-notes.log", "audit.log"]


def test_compressed_backups_lose_their_plain_form(files: FileSystem) -> None:
    (files.host("/log") / "audit-2020-01-01T00-00-00.000.log").write_text("old")
    assert "audit-2020-01-01T00-00-00.000.log.gz" in written(files, RotationRule(0, compress=True), 1)


def test_zero_megabytes_means_a_hundred_up_to_1_35_and_never_from_1_36() -> None:
    old = RotationRule.of(0, 0, 0, compress=False, zero_is_off=False)
    new = RotationRule.of(0, 0, 0, compress=False, zero_is_off=True)
    assert (old.maxsize_bytes, new.maxsize_bytes) == (100 * 1024 * 1024, 0)


def test_an_event_bigger_than_the_file_is_lost(files: FileSystem) -> None:
    with pytest.raises(LogFileError, match="write length 100 exceeds maximum file size 50"):
        written(files, RotationRule(maxsize_bytes=50), 1)


def test_a_log_that_is_mounted_as_a_single_file_cannot_be_rotated(tmp_path: Path) -> None:
    (tmp_path / "audit.log").touch()
    files = FileSystem([Bind("/log/audit.log", str(tmp_path / "audit.log"), read_only=False)], tmp_path)
    file = RotatingFile(files=files, path="/log/audit.log", rotation=RotationRule(maxsize_bytes=150))
    file.write(LINE)
    for _ in range(2):  # this event and every one after it
        with pytest.raises(LogFileError, match=EBUSY):
            file.write(LINE)


def test_the_first_file_is_opened_for_appending_and_later_ones_are_not(files: FileSystem) -> None:
    file = RotatingFile(files=files, path="/log/audit.log", rotation=RotationRule(maxsize_bytes=150))
    flags = []
    for _ in range(2):
        file.write(LINE)
        assert file._descriptor is not None
        text = Path(f"/proc/self/fdinfo/{file._descriptor}").read_text()
        flags.append(bool(int(text.split("flags:")[1].split()[0], 8) & os.O_APPEND))
    file.close()
    assert flags == [True, False]


def test_an_existing_file_keeps_its_mode_and_new_directories_are_0700(files: FileSystem) -> None:
    ensure(files, "/log/deep/er/audit.log")
    assert files.host("/log/deep").stat().st_mode & 0o777 == 0o700
    files.host("/log/deep/er/audit.log").chmod(0o644)
    ensure(files, "/log/deep/er/audit.log")
    assert files.host("/log/deep/er/audit.log").stat().st_mode & 0o777 == 0o644
