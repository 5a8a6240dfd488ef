"""The audit log and its rotated files, as they lie in their directory."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from auditctl.compatibility import UTC

_STAMP = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"


class RotatedFile(NamedTuple):
    """One rotated file, and the time (UTC) that its name gives."""

    at: datetime
    path: Path


def log_names(log: Path) -> Callable[[str], bool]:
    """Return the test for names of the log and its rotated files: STEM-TIMESTAMP.EXT, .gz where compressed.

    (lumberjack v2.2.1, backupName, which the API server uses.)
    """
    pattern = _pattern(log)
    return lambda name: name == log.name or pattern.fullmatch(name) is not None


def log_files(log: Path) -> Iterator[Path]:
    """Yield the paths of the log and its rotated files; none where their directory is missing.

    The API server makes a rotated file by renaming, so a link or a pipe of such a name was put there by somebody else.
    """
    if log.parent.is_dir():
        is_log = log_names(log)
        named = (path for path in log.parent.iterdir() if is_log(path.name))
        yield from (path for path in named if path.name == log.name or _is_plain(path))


def rotated_files(log: Path) -> list[RotatedFile]:
    """Return the files that the API server takes for rotated ones, oldest first (lumberjack v2.2.1, timeFromName)."""
    pattern = _pattern(log)
    if not log.parent.is_dir():
        return []
    matches = ((pattern.fullmatch(path.name), path) for path in log.parent.iterdir())
    timed = ((_time(match[1]), path) for match, path in matches if match is not None and _is_plain(path))
    return sorted(RotatedFile(at, path) for at, path in timed if at is not None)


def _is_plain(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _pattern(log: Path) -> re.Pattern[str]:
    """Go's filepath.Ext is what begins at the last dot, at a leading one too: ``.log`` has the stem ''."""
    stem, dot, extension = log.name.rpartition(".")
    stem, extension = (stem, dot + extension) if dot else (log.name, "")
    return re.compile(f"{re.escape(stem)}-({_STAMP}){re.escape(extension)}(\\.gz)?")


def _time(stamp: str) -> datetime | None:
    """Return the time, None for one that there is not: Go's time.Parse refuses such a name, and the file stays."""
    with suppress(ValueError):
        return datetime.strptime(stamp, "%Y-%m-%dT%H-%M-%S.%f").replace(tzinfo=UTC)
    return None
