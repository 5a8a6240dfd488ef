"""`python -m packages FOLDER WHEEL...`: beside the wheel that lies in FOLDER, the single file, the .deb, SBOMs, and the digests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from packages import contents, deb, digests, sbom, singlefile


def main(folder: Path, dependencies: list[Path]) -> None:
    """Write them; the time that they bear is SOURCE_DATE_EPOCH."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    (wheel,) = folder.glob("auditctl-*.whl")
    shipped = contents.of_wheels([wheel, *dependencies])
    single_file = singlefile.write(folder, shipped, epoch)
    package = deb.write(folder, shipped, single_file, epoch)
    inside = [sbom.of_wheel(each) for each in dependencies]
    for path in (single_file, package):
        text = sbom.document(path, sbom.of_wheel(wheel), inside, epoch)
        path.with_name(f"{path.name}.cdx.json").write_text(text)
    digests.write(folder)


main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
