"""`python -m packages FOLDER WHEEL...`: beside the wheel that lies in FOLDER, the single file, the .deb, and the digests."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from packages import contents, deb, singlefile


def main(folder: Path, dependencies: list[Path]) -> None:
    """Write them; the time that they bear is SOURCE_DATE_EPOCH."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    (wheel,) = folder.glob("auditctl-*.whl")
    shipped = contents.of_wheels([wheel, *dependencies])
    single_file = singlefile.write(folder, shipped, epoch)
    deb.write(folder, shipped, single_file, epoch)
    rows = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(rows))


main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
