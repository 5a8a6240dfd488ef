"""SHA256SUMS: every file of the folder, for `sha256sum --check`."""

from __future__ import annotations

import hashlib
from pathlib import Path

NAME = "SHA256SUMS"


def write(folder: Path) -> None:
    """Write it anew."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != NAME)
    rows = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / NAME).write_text("".join(rows))
