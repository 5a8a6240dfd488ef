"""The audit log's file, as the server opens it and lumberjack rotates it (natefinch/lumberjack lumberjack.go).

Sources: pkg/server/options/audit.go ensureLogFile, getWriter; gopkg.in/natefinch/lumberjack.v2 v2.2.1.
"""

from __future__ import annotations

import errno
import gzip
import os
import posixpath
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from auditctl.compatibility import UTC
from auditctl.errors import AuditctlError
from auditctl.lab.apiserver.container_files import FileSystem

_MEBIBYTE = 1024 * 1024
_STAMP = "%Y-%m-%dT%H-%M-%S"
_STAMP_PATTERN = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"


class LogFileError(AuditctlError):
    """The log file cannot be opened or written; the message is the server's."""


@dataclass(frozen=True, slots=True)
class RotationRule:
    """When to rotate and what to keep. 0 MiB never rotates; 0 days or files keep all."""

    maxsize_bytes: int
    maxage_days: int = 0
    maxbackup_files: int = 0
    compress: bool = False

    @classmethod
    def of(cls, megabytes: int, days: int, files: int, *, compress: bool, zero_is_off: bool) -> RotationRule:
        """Return the settings of flag values; up to 1.35 (``zero_is_off`` False) 0 means 100 MiB to lumberjack."""
        size = megabytes if megabytes or zero_is_off else 100
        return cls(size * _MEBIBYTE, days, files, compress)


def ensure(files: FileSystem, path: str) -> None:
    """Make the log's directories (0700) and file (0600) at start. Raises LogFileError in the server's words."""
    try:
        files.make_directories(posixpath.dirname(path) or ".")
    except OSError as error:
        raise LogFileError(f"ensureLogFile: mkdir {error.filename}: {_words(error)}") from error
    try:
        files.require_writable(path)
        os.close(os.open(files.host(path), os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600))
    except OSError as error:
        raise LogFileError(f"ensureLogFile: open {path}: {_words(error)}") from error


@dataclass(slots=True, kw_only=True)
class RotatingFile:
    """Opened at the first write, then kept; one write(2) an event. The caller serialises writes."""

    files: FileSystem
    path: str
    rotation: RotationRule
    disk_full: Callable[[], bool] = lambda: False
    _descriptor: int | None = None
    _size: int = 0

    def write(self, line: bytes) -> None:
        """Write a line; raise LogFileError: too long, a full disk, a file that cannot be renamed."""
        limit = self.rotation.maxsize_bytes
        if limit and len(line) > limit:
            raise LogFileError(f"write length {len(line)} exceeds maximum file size {limit}")
        if self.disk_full():
            raise LogFileError(f"write {self.path}: {os.strerror(errno.ENOSPC).lower()}")
        try:
            if self._descriptor is None:
                self._open(len(line))
            elif limit and self._size + len(line) > limit:
                self._rotate()
            assert self._descriptor is not None  # noqa: S101 - both branches opened it
            self._size += os.write(self._descriptor, line)
        except OSError as error:
            raise LogFileError(f"write {self.path}: {_words(error)}") from error

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, coming: int) -> None:
        host, limit = self.files.host(self.path), self.rotation.maxsize_bytes
        size = host.stat().st_size if host.exists() else 0
        if limit and size + coming >= limit:
            self._rotate()
            return
        # only the first file is opened with O_APPEND; those after a rotation are not
        self._descriptor, self._size = os.open(host, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), size
        self._clean()

    def _rotate(self) -> None:
        self.close()
        host, mode = self.files.host(self.path), 0o600
        if host.exists():
            mode = host.stat().st_mode & 0o777
            backup = self._backup_name(host)
            try:
                self.files.rename(self.path, backup)
            except OSError as error:
                other = posixpath.join(posixpath.dirname(self.path), backup.name)
                raise LogFileError(f"can't rename log file: rename {self.path} {other}: {_words(error)}") from error
        try:
            self._descriptor, self._size = os.open(host, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 0
        except OSError as error:
            raise LogFileError(f"can't open new logfile: open {self.path}: {_words(error)}") from error
        os.fchmod(self._descriptor, mode)
        self._clean()

    def _backup_name(self, host: Path) -> Path:
        now = datetime.now(UTC)
        return host.with_name(f"{host.stem}-{now.strftime(_STAMP)}.{now.microsecond // 1000:03d}{host.suffix}")

    def _clean(self) -> None:
        """Remove files by count, then by age (from the name), then compress; lumberjack does so in the background."""
        host = self.files.host(self.path)
        backups = sorted(_backups(host), key=lambda backup: backup[0], reverse=True)
        kept = backups[: self.rotation.maxbackup_files] if self.rotation.maxbackup_files else backups
        if self.rotation.maxage_days:
            oldest = datetime.now(UTC) - timedelta(days=self.rotation.maxage_days)
            kept = [backup for backup in kept if backup[0] >= oldest]
        for backup in backups:
            with suppress(OSError):
                if backup not in kept:
                    backup[1].unlink()
                elif self.rotation.compress and backup[1].suffix != ".gz":
                    _compress(backup[1])


def _backups(host: Path) -> list[tuple[datetime, Path]]:
    pattern = re.compile(f"{re.escape(host.stem)}-({_STAMP_PATTERN}){re.escape(host.suffix)}(\\.gz)?")
    named = [(pattern.fullmatch(path.name), path) for path in host.parent.iterdir()]
    return [(datetime.strptime(f"{match[1]}+0000", f"{_STAMP}.%f%z"), path) for match, path in named if match]


def _compress(path: Path) -> None:
    with path.open("rb") as source, gzip.open(f"{path}.gz", "wb") as target:
        shutil.copyfileobj(source, target)
    path.unlink()


def _words(error: OSError) -> str:
    """Go prints errno's text in lower case."""
    return (error.strerror or str(error)).lower()
