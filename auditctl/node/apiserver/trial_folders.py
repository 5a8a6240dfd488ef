"""The folders of rehearsals, named by the number of their process: one that a killed run has left is removed later."""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

PREFIX = "auditctl-rehearsal-"
_LEFT_BEHIND_SECONDS = 600.0  # many times as long as a rehearsal takes


def sweep() -> None:
    """Remove the folders that killed runs have left: our user's own, old, and of a process that is gone.

    Links are not followed: anybody may put one into the directory for temporary files.
    """
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            match = re.fullmatch(rf"{PREFIX}(\d+)-\w+", entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False) or Path("/proc", match[1]).exists():
                continue
            status = entry.stat(follow_symlinks=False)
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS:
                rmtree(entry.path, ignore_errors=True)
