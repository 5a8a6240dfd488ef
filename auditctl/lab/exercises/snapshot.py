"""What a node's files were, kept beside them, and given back byte for byte: contents, modes, owners, links, absences.

Two sorts of places. Of ``trees`` every entry is kept as it is. Of ``logs`` the very files are (by a hard link, where the
file system allows), because a server goes on writing to them: a log that was there comes back under its name with all
that was recorded since. What is there later and was not then goes.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.change import files
from auditctl.node.change.files import Root, Snapshot

_LIST = "entries.json"
_LARGEST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """One path of the node as it was. ``kind`` is a type as in `stat.S_IFMT`; ``kept`` the name of the kept bytes."""

    path: str
    kind: int
    mode: int
    uid: int
    gid: int
    xattrs: dict[str, str] = field(default_factory=dict)
    target: str = ""  # of a symbolic link
    kept: str = ""
    is_linked: bool = False  # the kept file is the very file, under a second name
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """``folder`` holds it; ``entries`` are parents first."""

    root: Root
    folder: Path
    places: tuple[str, ...]
    entries: tuple[SnapshotEntry, ...]

    def changed(self) -> list[SnapshotEntry]:
        """What is no longer as it was, parents first."""
        return [entry for entry in self.entries if not self._is_as_it_was(entry)]

    def extra(self) -> list[Path]:
        """What is there now and was not then, the deepest first."""
        known = {entry.path for entry in self.entries}
        there = [path for place in self.places for path in _walk(self.root.host(place))]
        return [path for path in reversed(there) if self.root.node(path) not in known]

    def give_back(self, entry: SnapshotEntry) -> None:
        """Make one path what it was; its parents are there. Raises OSError."""
        path = self.root.host(entry.path)
        kind = _kind(path)
        if kind not in (0, entry.kind):
            remove(path)
        if entry.kind == stat.S_IFDIR:
            path.mkdir(exist_ok=True)
            os.chown(path, entry.uid, entry.gid)
            path.chmod(entry.mode)
        elif entry.kind == stat.S_IFLNK:
            path.unlink(missing_ok=True)
            path.symlink_to(entry.target)
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        elif entry.is_log:
            self._give_back_log(path, entry)
        else:
            xattrs = {name: bytes.fromhex(value) for name, value in entry.xattrs.items()}
            like = Snapshot(content=b"", mode=entry.mode, uid=entry.uid, gid=entry.gid, xattrs=xattrs)
            files.replace(path, self.content(entry), like)

    def content(self, entry: SnapshotEntry) -> bytes:
        """The bytes that were. Raises OSError."""
        return (self.folder / entry.kept).read_bytes()

    def _give_back_log(self, path: Path, entry: SnapshotEntry) -> None:
        kept = self.folder / entry.kept
        if not (path.exists() and path.samefile(kept)):
            draft = files.temporary_of(path)
            draft.unlink(missing_ok=True)
            _second_name(kept, draft)
            draft.rename(path)
        os.chown(path, entry.uid, entry.gid)
        path.chmod(entry.mode)

    def _is_as_it_was(self, entry: SnapshotEntry) -> bool:
        path = self.root.host(entry.path)
        if _kind(path) != entry.kind:
            return False
        now = _entry(self.root, path)
        if (now.mode, now.uid, now.gid, now.xattrs, now.target) != (
            *(entry.mode, entry.uid, entry.gid, entry.xattrs, entry.target),
        ):
            return False
        if entry.kind != stat.S_IFREG:
            return True
        if entry.is_log:
            return not entry.is_linked or path.samefile(self.folder / entry.kept)
        return path.read_bytes() == self.content(entry)


def take(root: Root, folder: Path, trees: Iterable[str], logs: Iterable[str]) -> NodeSnapshot:
    """Keep what is at those paths of the node, in a folder that is made for it; durable when this returns.

    Raises:
        RefusedError: something there is too large, or no file, directory or link; OSError.
    """
    folder.mkdir(mode=0o700)
    log_places = _apart(root, logs)
    places = _apart(root, trees)
    entries: dict[str, SnapshotEntry] = {}
    for place, is_log in (*((place, True) for place in log_places), *((place, False) for place in places)):
        for path in _walk(root.host(place)):
            entry = _entry(root, path)
            if entry.path not in entries:
                entries[entry.path] = _keep(entry, path, folder, len(entries), is_log=is_log)
    ordered = tuple(entries[path] for path in sorted(entries))
    rows = {"places": (*log_places, *places), "entries": [asdict(entry) for entry in ordered]}
    files.replace(folder / _LIST, json.dumps(rows).encode(), None)
    return NodeSnapshot(root, folder, (*log_places, *places), ordered)


def load(root: Root, folder: Path) -> NodeSnapshot:
    """One that was taken. Raises OSError, ValueError."""
    rows = json.loads((folder / _LIST).read_text())
    return NodeSnapshot(root, folder, tuple(rows["places"]), tuple(SnapshotEntry(**row) for row in rows["entries"]))


def remove(path: Path) -> None:
    """Whatever is there; a link is not followed. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _apart(root: Root, places: Iterable[str]) -> tuple[str, ...]:
    """Each place once, none inside another; for one that is not there, the first parent that is not there either."""
    found: list[str] = []
    for place in sorted({_topmost(root, place) for place in places}):
        if not any(place == other or place.startswith(f"{other}/") for other in found):
            found.append(place)
    return tuple(found)


def _topmost(root: Root, place: str) -> str:
    path = root.host(place)
    while not os.path.lexists(path) and not os.path.lexists(path.parent):
        path = path.parent
    return root.node(path)


def _walk(path: Path) -> Iterator[Path]:
    """The path and all below it, parents first; links are not followed, and our own drafts not seen."""
    if not os.path.lexists(path):
        return
    yield path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            if not child.match(files.TEMPORARY_PATTERN):
                yield from _walk(child)


def _kind(path: Path) -> int:
    """0 where nothing is."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _entry(root: Root, path: Path) -> SnapshotEntry:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise RefusedError(
            f"{path} is neither a file nor a directory nor a link: it cannot be kept", check="lab-keepsake"
        )
    is_link = kind == stat.S_IFLNK
    xattrs: dict[str, str] = {}
    with suppress(OSError):  # a file system without them has none to keep
        names = os.listxattr(path, follow_symlinks=False)
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    target = str(path.readlink()) if is_link else ""
    return SnapshotEntry(
        *(root.node(path), kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid), xattrs, target
    )


def _keep(entry: SnapshotEntry, path: Path, folder: Path, number: int, *, is_log: bool) -> SnapshotEntry:
    if entry.kind != stat.S_IFREG:
        return entry
    kept = folder / str(number)
    fields = {**asdict(entry), "kept": kept.name, "is_log": is_log}
    if is_log:
        return SnapshotEntry(**{**fields, "is_linked": _second_name(path, kept)})
    _small_enough(path)
    files.replace(kept, path.read_bytes(), None)
    return SnapshotEntry(**fields)


def _second_name(path: Path, name: Path) -> bool:
    """A hard link; a copy where none can be made. Whether it is a link."""
    try:
        name.hardlink_to(path)
    except OSError:
        _small_enough(path)
        shutil.copy2(path, name)
        return False
    return True


def _small_enough(path: Path) -> None:
    if path.stat().st_size > _LARGEST_BYTES:
        text = f"{path} is larger than {_LARGEST_BYTES >> 20} MiB: no exercise on this node could give it back"
        raise RefusedError(text, check="lab-keepsake", fix="move it away first")
