"""What a node's files were, kept beside them, and given back byte for byte: contents, modes, owners, links, absences.

Two sorts of places. Of ``trees`` every entry is kept as it is. Of ``logs`` the very files are (by a hard link, where the
file system allows), because a server goes on writing to them: a log that was there comes back under its name with all
that was recorded since. What is there later and was not then goes.

The list of what was kept is not believed blindly: a node's root may be a foreign disk. Every path goes straight down
from that root, through no link (`path_trust.beneath`), and no file gets set-user-ID, set-group-ID or capabilities.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.lab.exercises.snapshot_files import is_same, kind_of, read, second_name, small_enough, walk
from auditctl.node.change import files
from auditctl.node.change.files import Root, Snapshot
from auditctl.node.path_trust import beneath, is_plain

LIST = "entries.json"
_KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
_SET_ID = stat.S_ISUID | stat.S_ISGID
_CAPABILITIES = "security.capability"


@dataclass(frozen=True, slots=True, kw_only=True)
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
        """Return what is no longer as it was, parents first."""
        return [entry for entry in self.entries if not self._is_as_it_was(entry)]

    def extra(self) -> list[Path]:
        """Return what is there now and was not then, the deepest first."""
        known = {entry.path for entry in self.entries}
        there = [path for place in self.places for path in walk(_by_name(self.root, place))]
        return [path for path in reversed(there) if self.root.node(path) not in known]

    def give_back(self, entry: SnapshotEntry) -> None:
        """Make one path what it was; missing parents are made. Raises OSError."""
        with beneath(self.root.path, entry.path, make_mode=0o755) as path:
            if kind_of(path) not in (0, entry.kind):
                remove(path)
            if entry.kind == stat.S_IFDIR:
                path.mkdir(exist_ok=True)
                _own(path, entry)
            elif entry.kind == stat.S_IFLNK:
                path.unlink(missing_ok=True)
                path.symlink_to(entry.target)
                os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
            elif entry.is_log:
                self._give_back_log(path, entry)
            else:
                xattrs = {name: bytes.fromhex(value) for name, value in entry.xattrs.items()}
                like = Snapshot(content=b"", mode=entry.mode, uid=entry.uid, gid=entry.gid, xattrs=xattrs)
                files.replace_file(path, self.content(entry), like)

    def take_away(self, path: Path) -> None:
        """Remove one of `extra`, if it is still there. Raises OSError."""
        with suppress(FileNotFoundError), beneath(self.root.path, self.root.node(path)) as name:
            remove(name)

    def refuse_links(self) -> None:
        """Make sure that no link on the way to a place leads out of the node.

        Raises:
            RefusedError: one does; nothing was changed.
        """
        for place in self.places:
            try:
                with beneath(self.root.path, place):
                    pass
            except FileNotFoundError:
                continue
            except OSError as error:
                text = f"{error.filename or place}: {(error.strerror or str(error)).lower()}: what was kept is not given back"
                raise RefusedError(text, check="lab-keepsake", fix="put a directory there, then: lab reset") from error

    def content(self, entry: SnapshotEntry) -> bytes:
        """Return the bytes that were there. Raises OSError."""
        return read(self.folder / entry.kept)

    def _give_back_log(self, path: Path, entry: SnapshotEntry) -> None:
        kept = self.folder / entry.kept
        if kind_of(path) == 0 or not is_same(path, kept):
            draft = files.temporary_of(path)
            draft.unlink(missing_ok=True)
            second_name(kept, draft)
            draft.rename(path)
        _own(path, entry)

    def _is_as_it_was(self, entry: SnapshotEntry) -> bool:
        try:
            with beneath(self.root.path, entry.path) as path:
                return self._is_same_as(path, entry)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link took the place of a directory
                return False
            raise

    def _is_same_as(self, path: Path, entry: SnapshotEntry) -> bool:
        if kind_of(path) != entry.kind:
            return False
        now = _entry(entry.path, path)
        if (now.mode, now.uid, now.gid, now.xattrs, now.target) != (
            *(entry.mode, entry.uid, entry.gid, entry.xattrs, entry.target),
        ):
            return False
        if entry.kind != stat.S_IFREG:
            return True
        if entry.is_log:
            return not entry.is_linked or is_same(path, self.folder / entry.kept)
        return read(path) == self.content(entry)


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
        for walked in walk(_by_name(root, place)):
            name = root.node(walked)
            if name not in entries:
                with _reached(root, name) as path:
                    entries[name] = _keep(_entry(name, path), path, folder, len(entries), is_log=is_log)
    ordered = tuple(entries[path] for path in sorted(entries))
    rows = {"places": (*log_places, *places), "entries": [asdict(entry) for entry in ordered]}
    files.replace_file(folder / LIST, json.dumps(rows).encode(), None)
    return NodeSnapshot(root, folder, (*log_places, *places), ordered)


def load(root: Root, folder: Path) -> NodeSnapshot:
    """Return one that was taken. Raises OSError, TypeError, and ValueError for a list that `take` does not write."""
    rows = json.loads(read(folder / LIST))
    kept = NodeSnapshot(root, folder, tuple(rows["places"]), tuple(SnapshotEntry(**row) for row in rows["entries"]))
    if not all(is_plain(place) and place != "/" for place in kept.places):
        raise ValueError("a place is not inside the node's root")
    for entry in kept.entries:
        if not _is_plausible(entry, kept.places):
            raise ValueError(f"{entry.path} cannot have been kept")
    return kept


def _is_plausible(entry: SnapshotEntry, places: tuple[str, ...]) -> bool:
    """Tell whether `take` could have written this: a path below a place, bytes in the folder, no set-id file."""
    is_inside = is_plain(entry.path) and any(
        entry.path == place or entry.path.startswith(f"{place}/") for place in places
    )
    is_kept = entry.kept.isdecimal() if entry.kind == stat.S_IFREG else not entry.kept
    has_rights = (entry.kind == stat.S_IFREG and entry.mode & _SET_ID) or _CAPABILITIES in entry.xattrs
    return is_inside and entry.kind in _KINDS and is_kept and not has_rights


def remove(path: Path) -> None:
    """Remove whatever is there; a link is not followed. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _apart(root: Root, places: Iterable[str]) -> tuple[str, ...]:
    """Return each place once, none inside another; for an absent one the first absent parent."""
    differing: list[str] = []
    for place in sorted({_topmost(root, place) for place in places}):
        if not any(place == other or place.startswith(f"{other}/") for other in differing):
            differing.append(place)
    return tuple(differing)


def _by_name(root: Root, place: str) -> Path:
    """Return the path on this machine without following a link, unlike `Root.host`: `beneath` refuses each of them."""
    return root.path / place.lstrip("/")


def _topmost(root: Root, place: str) -> str:
    path = _by_name(root, place)
    while not os.path.lexists(path) and not os.path.lexists(path.parent):
        path = path.parent
    return root.node(path)


@contextmanager
def _reached(root: Root, path: str) -> Iterator[Path]:
    """Open the folder as `path_trust.beneath` does; raise RefusedError for a link on the way, and OSError."""
    try:
        with beneath(root.path, path) as name:
            yield name
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        text = f"{error.filename}: a symbolic link on the way to {path}: it cannot be kept"
        raise RefusedError(text, check="lab-keepsake", fix="put a directory there first") from error


def _own(path: Path, entry: SnapshotEntry) -> None:
    """Set owner and mode of the very file or directory that was looked at; never of what a link leads to."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if stat.S_IFMT(os.fstat(descriptor).st_mode) != entry.kind:
            raise OSError(errno.ELOOP, "somebody else exchanged it a moment ago", str(path))
        os.chown(f"/proc/self/fd/{descriptor}", entry.uid, entry.gid)
        os.chmod(f"/proc/self/fd/{descriptor}", entry.mode)  # noqa: PTH101 (of the descriptor itself)
    finally:
        os.close(descriptor)


def _entry(name: str, path: Path) -> SnapshotEntry:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind not in _KINDS:
        raise RefusedError(
            f"{name} is neither a file nor a directory nor a link: it cannot be kept", check="lab-keepsake"
        )
    is_link = kind == stat.S_IFLNK
    xattrs: dict[str, str] = {}
    with suppress(OSError):  # a file system without them has none to keep
        names = os.listxattr(path, follow_symlinks=False)
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    target = str(path.readlink()) if is_link else ""
    return SnapshotEntry(
        path=name,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        xattrs=xattrs,
        target=target,
    )


def _keep(entry: SnapshotEntry, path: Path, folder: Path, number: int, *, is_log: bool) -> SnapshotEntry:
    if entry.kind != stat.S_IFREG:
        return entry
    if entry.mode & _SET_ID or _CAPABILITIES in entry.xattrs:
        text = f"{entry.path} is a program with rights of its own (set-user-ID, capabilities): it cannot be kept"
        raise RefusedError(text, check="lab-keepsake", fix="move it away first")
    kept = folder / str(number)
    fields = {**asdict(entry), "kept": kept.name, "is_log": is_log}
    if is_log:
        return SnapshotEntry(**{**fields, "is_linked": second_name(path, kept)})
    small_enough(path)
    files.replace_file(kept, read(path), None)
    return SnapshotEntry(**fields)
