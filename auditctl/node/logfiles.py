"""The audit log and its rotated files, as they lie in their directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

_STAMP = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"


def log_names(log: Path) -> Callable[[str], bool]:
    """Return the test for names of the log and its rotated files: STEM-TIMESTAMP.EXT, .gz where compressed.

    (lumberjack v2.2.1, backupName, which the API server uses.)
    """
    rotated = re.compile(re.escape(log.stem) + _STAMP + re.escape(log.suffix) + r"(\.gz)?")
    return lambda name: name == log.name or rotated.fullmatch(name) is not None


def log_files(log: Path) -> Iterator[Path]:
    """Yield the paths of the log and its rotated files; none where their directory is missing."""
    if log.parent.is_dir():
        is_log = log_names(log)
        yield from (path for path in log.parent.iterdir() if is_log(path.name))
