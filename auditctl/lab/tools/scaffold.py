"""``lab scaffold DIR``: a killercoda scenario, written out of the shipped templates, with the single-file build in it.

The scenario is whole before anybody sees it, or nothing is left of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from auditctl import facts
from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.lab.tools import singlefile
from auditctl.lab.tools.translation import translated
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report

if TYPE_CHECKING:
    from auditctl.compatibility import Traversable

SCENARIO = "audit-logging"
BINARY = f"{SCENARIO}/assets/{singlefile.NAME}"
PLACE = f"{SCENARIO}/assets/PUT-{singlefile.NAME}-HERE.txt"
_PLACE_TEXT = f"""\
The scenario installs auditctl from one file, which is not here yet: put it beside this note as {singlefile.NAME}, and remove
the note. `.ci/build` in a clone of auditctl makes it (dist/{singlefile.NAME}); or run once more, into an empty folder:

    auditctl lab scaffold --binary {singlefile.NAME} DIR
"""


class Made(NamedTuple):
    """What was written: paths below the folder, and where the single file came from (None: it is missing)."""

    files: tuple[str, ...]
    binary: Path | None


def scaffold(plane: ControlPlane, directory: Path, binary: Path | None, language: str = "en") -> Report:
    """Write the scenario into ``directory``, which is made, or is there and empty.

    ``binary`` is the single-file build; None: the one that runs, or one beside it.

    Raises:
        UsageError: the pages are not there in ``language``.
        RefusedError: the folder is not empty or cannot be written, or ``binary`` is no single-file build.
    """
    pages = translated(dict(_shipped(facts.template("killercoda"))), language, SCENARIO)
    chosen = singlefile.checked(binary) if binary is not None else singlefile.find()
    target = directory.absolute()
    _claim(target)
    try:
        made = _make(target, pages, chosen)
    except OSError as error:
        where = error.filename or target
        raise RefusedError(f"{where}: {(error.strerror or str(error)).lower()}", check="scaffold-folder") from error
    where = f"{target} ({len(made.files)} files)"
    steps = (f"git init {target}, push it, and name the repository at killercoda.com/creator",)
    return Report(
        command="lab scaffold",
        outcome=Outcome.CHANGED,
        summary=f"a killercoda scenario is in {where}"
        + ("" if made.binary else f"; {singlefile.NAME} is still missing in it"),
        manifest=ManifestChange(path=str(plane.manifest_path)),
        findings=() if made.binary else (_missing(target),),
        changed=True,
        next_steps=steps,
        details={
            "scaffold": {
                "directory": str(target),
                "files": list(made.files),
                "binary": str(made.binary) if made.binary else None,
            }
        },
    )


def _missing(target: Path) -> Finding:
    return Finding(
        check="single-file",
        severity=Severity.WARNING,
        message=f"the single-file build is not known here, so the scenario cannot install auditctl yet: {target / BINARY}",
        fix=f"name it with --binary, or put it there (`.ci/build` in a clone makes dist/{singlefile.NAME})",
    )


def _claim(target: Path) -> None:
    """Raise RefusedError unless the folder is new or empty."""
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise RefusedError(f"{target} is no folder", check="scaffold-folder", fix="name a new or an empty folder")
    try:
        empty = not any(target.iterdir())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(f"{target}: {reason}", check="scaffold-folder") from error
    if not empty:
        text = f"{target} is not empty: nothing is put there"
        raise RefusedError(text, check="scaffold-folder", fix="name a new or an empty folder")


def _make(target: Path, pages: Mapping[str, bytes], binary: Path | None) -> Made:
    """Whole or not at all: a draft within the folder, then a rename for each of its entries."""
    made_folder = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".auditctl-", dir=target))
    moved: list[Path] = []
    try:
        _fill(draft, pages, binary)
        names = tuple(sorted(str(path.relative_to(draft)) for path in draft.rglob("*") if path.is_file()))
        entries = sorted(draft.iterdir())
        moved = [target / entry.name for entry in entries]
        for entry, place in zip(entries, moved, strict=True):
            entry.rename(place)
        draft.rmdir()
    except BaseException:
        for path in (draft, *moved):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if made_folder:
            with suppress(OSError):  # somebody else's file is in it
                target.rmdir()
        raise
    return Made(names, binary)


def _fill(draft: Path, pages: Mapping[str, bytes], binary: Path | None) -> None:
    for relative, content in pages.items():
        _write(draft / relative, content)
    if binary is None:
        _write(draft / PLACE, _PLACE_TEXT.encode())
        return
    shutil.copyfile(binary, draft / BINARY)
    (draft / BINARY).chmod(0o755)


def _shipped(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """Every file of the templates, below ``folder``: a folder on disk, or one within the single file."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _shipped(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if path.suffix == ".sh" else 0o644)
