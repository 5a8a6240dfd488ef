"""``lab scaffold DIR``: a killercoda scenario, written out of the shipped templates, with the single-file build in it.

The scenario is whole before anybody sees it, or nothing is left of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import auditctl
from auditctl import facts
from auditctl.errors import RefusedError, UsageError
from auditctl.findings import Finding
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report

if TYPE_CHECKING:
    from auditctl.compatibility import Traversable


LANGUAGES = ("en", "ja", "ko")
BLOCK_MARK = "{{block}}"
_PART = re.compile(r"<!-- (\S+) -->\n")
_BLOCK = re.compile(r"^```bash\n.*?^```\{\{exec\}\}$", re.MULTILINE | re.DOTALL)


def translated(files: Mapping[str, bytes], language: str, scenario: str) -> dict[str, bytes]:
    """Return the files with the pages and titles of ``scenario`` in that language.

    Raises:
        UsageError: there is no such language.
    """
    if language not in LANGUAGES:
        raise UsageError(f"--language {language}: not one of {', '.join(LANGUAGES)}")
    if language == LANGUAGES[0]:
        return dict(files)
    parts = _parts(facts.template("scenario", f"{language}.md").read_text(encoding="utf-8"))
    answer, titles = dict(files), dict[str, str]()
    for name, text in parts.items():
        path = f"{scenario}/{name}"
        if name.endswith(".md"):
            titles[name], body = _title(text)
            answer[path] = _with_blocks(body, files[path].decode()).encode()
    for name in ("structure.json", f"{scenario}/index.json"):
        title, description = parts[name.rpartition("/")[2]].splitlines()
        answer[name] = _titled(files[name], title, description, titles)
    return answer


def _parts(text: str) -> dict[str, str]:
    _, *pieces = _PART.split(text)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def _title(text: str) -> tuple[str, str]:
    """Return the title of a page, "" where it has none, and the rest."""
    if not text.startswith("# "):
        return "", text
    title, _, body = text[2:].partition("\n")
    return title, body


def _with_blocks(body: str, english: str) -> str:
    blocks = iter(_BLOCK.findall(english))
    return "\n".join(next(blocks) if line == BLOCK_MARK else line for line in body.split("\n"))


def _titled(raw: bytes, title: str, description: str, titles: Mapping[str, str]) -> bytes:
    """Return an index with its titles; a step's is that of its page."""
    index: dict[str, Any] = json.loads(raw)
    index["title"], index["description"] = title, description
    for step in index.get("details", {}).get("steps", ()):
        step["title"] = titles[step["text"]]
    return (json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode()


NAME = "auditctl.pyz"
_FRONT = frozenset(["__main__.py", "auditctl/__init__.py"])


def checked(path: Path) -> Path:
    """Return the same path.

    Raises:
        RefusedError: it is not a single-file build of auditctl.
    """
    try:
        if is_one(path):
            return path
        text = f"{path} is not a single-file build of auditctl"
    except OSError as error:
        text = f"{path}: {(error.strerror or str(error)).lower()}"
    raise RefusedError(text, check="single-file", fix=f"`.ci/build` in a clone of auditctl makes dist/{NAME}")


def is_one(path: Path) -> bool:
    """Tell whether it is a zip archive with auditctl in it. Raises OSError where it cannot be read."""
    try:
        with ZipFile(path) as archive:
            return set(archive.namelist()) >= _FRONT
    except BadZipFile:
        return False


def find() -> Path | None:
    """Return the one that runs now, else one beside the program or in the clone's ``dist``; None: none."""
    home = Path(auditctl.__file__).resolve().parents[1]
    candidates = (home, Path(sys.argv[0]).resolve().with_name(NAME), home / "dist" / NAME)
    for path in candidates:
        try:
            if path.is_file() and is_one(path):
                return path
        except OSError:
            continue
    return None


SCENARIO = "audit-logging"
BINARY = f"{SCENARIO}/assets/{NAME}"
PLACE = f"{SCENARIO}/assets/PUT-{NAME}-HERE.txt"
_PLACE_TEXT = f"""\
The scenario installs auditctl from one file, which is not here yet: put it beside this note as {NAME}, and remove
the note. `.ci/build` in a clone of auditctl makes it (dist/{NAME}); or run once more, into an empty folder:

    auditctl lab scaffold --binary {NAME} DIR
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
        RefusedError: the folder is not empty or cannot be written, or ``binary`` is not a single-file build.
    """
    pages = translated(dict(_shipped(facts.template("killercoda"))), language, SCENARIO)
    chosen = checked(binary) if binary is not None else find()
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
        summary=f"a killercoda scenario is in {where}" + ("" if made.binary else f"; {NAME} is still missing in it"),
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
    return Finding.warning(
        "single-file",
        f"the single-file build is not known here, so the scenario cannot install auditctl yet: {target / BINARY}",
        f"specify it with --binary, or put it there (`.ci/build` in a clone makes dist/{NAME})",
    )


def _claim(target: Path) -> None:
    """Raise RefusedError unless the folder is new or empty."""
    if not os.path.lexists(target):
        return
    if not target.is_dir() or target.is_symlink():
        raise RefusedError(f"{target} is not a folder", check="scaffold-folder", fix="use a new or an empty folder")
    try:
        empty = not any(target.iterdir())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(f"{target}: {reason}", check="scaffold-folder") from error
    if not empty:
        text = f"{target} is not empty: nothing is put there"
        raise RefusedError(text, check="scaffold-folder", fix="use a new or an empty folder")


def _make(target: Path, pages: Mapping[str, bytes], binary: Path | None) -> Made:
    """Write all or nothing: a draft within the folder, then a rename for each of its entries."""
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
    """Yield every file of the templates, below ``folder``: a folder on disk, or one within the single file."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _shipped(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if path.suffix == ".sh" else 0o644)
