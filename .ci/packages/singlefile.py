"""`auditctl.pyz`: a zip archive that Python runs as it is. Nothing is unpacked, so it also works where nothing may be executed."""

from __future__ import annotations

import io
import time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from packages.contents import Contents

NAME = "auditctl.pyz"
_SHEBANG = b"#!/usr/bin/env python3\n"
_UNIX = 3


def write(folder: Path, contents: Contents, epoch: int) -> Path:
    """Write it: entries sorted, each with the same time and mode."""
    front = Path(__file__).with_name("front.py").read_bytes()
    archive = io.BytesIO(_SHEBANG)
    archive.seek(0, io.SEEK_END)  # so that the places of the entries count from the first byte of the file
    with ZipFile(archive, "w") as file:
        for name, content in sorted({"__main__.py": front, **contents}.items()):
            entry = ZipInfo(name, time.gmtime(epoch)[:6])
            entry.create_system, entry.external_attr, entry.compress_type = _UNIX, 0o644 << 16, ZIP_DEFLATED
            file.writestr(entry, content, compresslevel=9)
    path = folder / NAME
    path.write_bytes(archive.getvalue())
    path.chmod(0o755)
    return path
