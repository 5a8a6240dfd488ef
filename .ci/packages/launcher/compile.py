"""Byte code for the executable: every `.py` below FOLDER becomes a `.pyc` beside it. Run by the Python of the executable."""
# ruff: noqa: INP001 - a script of another Python's

import py_compile
import sys
from pathlib import Path

folder = Path(sys.argv[1])
for path in sorted(folder.rglob("*.py")):
    py_compile.compile(
        str(path),
        cfile=str(path.with_suffix(".pyc")),
        dfile=str(path.relative_to(folder)),  # what tracebacks show: no folder of this machine is in it
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,  # the archive has no source to compare with
    )
    path.unlink()
