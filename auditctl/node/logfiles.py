"""The audit log and its rotated files, as they lie in their directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path


def log_files(log: Path) -> Iterator[Path]:
    """The log and its rotated files: STEM-TIMESTAMP.EXT, .gz where compressed (lumberjack v2.2.1, backupName)."""
    stamp = r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}"
    rotated = re.compile(re.escape(log.stem) + stamp + re.escape(log.suffix) + r"(\.gz)?")
    if log.parent.is_dir():
        yield from (path for path in log.parent.iterdir() if path == log or rotated.fullmatch(path.name))
