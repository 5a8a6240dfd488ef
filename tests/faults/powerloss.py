"""A model of what a disk may hold after the power fails: the calls of a run, and which of their effects may be lost.

Recorded from inside (`calls.lay`), on the state of the folder before the run. The model is that of POSIX and of ext4's
and XFS's worst habits: what a file holds is sure after its fsync, what names a directory holds after the directory's
fsync. Before that each effect is lost or kept on its own, in any order, and a write may be kept in part:

- bytes are of an inode, names are of a directory: a rename may be on disk while the bytes of the file are not;
- of the names of one directory, effects since its last fsync are kept or lost one by one, except that a rename takes
  its old name away with the new one (one transaction of the journal).
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from calls import whole_path

MODE = 0o640


@dataclass(slots=True)
class Inode:
    """A file or directory. ``synced`` is what is sure; ``written`` are the states of the bytes since then."""

    is_directory: bool = False
    mode: int = MODE
    synced: bytes = b""
    written: list[bytes] = field(default_factory=list)

    @property
    def now(self) -> bytes:
        return self.written[-1] if self.written else self.synced


# an effect on one directory: names to take away, and one to give to an inode
Effect = tuple[tuple[str, ...], str, Inode | None]


@dataclass(slots=True)
class Disk:
    """Directories by path: names that are sure, and effects since the last fsync. ``files`` are open descriptors."""

    names: dict[str, dict[str, Inode]] = field(default_factory=dict)
    pending: dict[str, list[Effect]] = field(default_factory=dict)
    open_files: dict[int, Inode] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Disk:
        """The disk of a folder at rest."""
        disk = cls()
        for folder, directories, files in os.walk(root):
            at = disk.names.setdefault(folder, {})
            for name in directories:
                at[name] = Inode(is_directory=True, mode=stat.S_IMODE(Path(folder, name).stat().st_mode))
            for name in files:
                path = Path(folder, name)
                at[name] = Inode(mode=stat.S_IMODE(path.stat().st_mode), synced=path.read_bytes())
        return disk

    def view(self, directory: str) -> dict[str, Inode]:
        """What the running system sees in a directory."""
        names = dict(self.names.get(directory, {}))
        for effect in self.pending.get(directory, []):
            _apply(names, effect)
        return names

    def inode(self, path: str) -> Inode:
        directory, _, name = path.rpartition("/")
        return self.view(directory)[name]

    def effect(self, path: str, inode: Inode | None, *gone: str) -> None:
        directory, _, name = path.rpartition("/")
        self.pending.setdefault(directory, []).append((gone, name, inode))

    def fsync(self, path: str) -> None:
        """What is at the path becomes sure: the bytes of a file, the names of a directory."""
        if path in self.names:
            self.names[path] = self.view(path)
            self.pending.pop(path, None)
        else:
            inode = self.inode(path)
            inode.synced, inode.written = inode.now, []

    def survivors(self, choose: random.Random) -> dict[str, Inode]:
        """One disk that the power failure may leave: every path with its inode, bytes chosen by `kept`."""
        kept: dict[str, Inode] = {}
        for directory, names in self.names.items():
            left = dict(names)
            for effect in self.pending.get(directory, []):
                if choose.random() < 0.5:
                    _apply(left, effect)
            kept |= {f"{directory}/{name}": inode for name, inode in left.items()}
        return kept


def _apply(names: dict[str, Inode], effect: Effect) -> None:
    gone, name, inode = effect
    for one in gone:
        names.pop(one, None)
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


def kept(inode: Inode, choose: random.Random) -> bytes:
    """The bytes of a file: one of its states since its fsync, or a part of what was added (a hole is zeros)."""
    content = choose.choice([inode.synced, *inode.written])
    if not inode.written or choose.random() < 0.5:
        return content
    pairs = zip(inode.synced, content, strict=False)
    sure = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))  # what an append left as it was
    cut = choose.randint(sure, len(content))
    return content[:cut] + choose.choice([b"", bytes(len(content) - cut)])


def lay_out(disk: Disk, root: Path, choose: random.Random) -> None:
    """Make the folder anew as a power failure may have left it."""
    shutil.rmtree(root)
    root.mkdir()
    contents: dict[int, bytes] = {}
    kept_paths = disk.survivors(choose)
    for path in sorted(kept_paths, key=lambda one: one.count("/")):
        inode, here = kept_paths[path], Path(path)
        if not here.parent.is_dir():  # its directory's own name was lost
            continue
        if inode.is_directory:
            here.mkdir()
            here.chmod(inode.mode)
        else:
            here.write_bytes(contents.setdefault(id(inode), kept(inode, choose)))
            here.chmod(inode.mode)


class Recorder:
    """A fault that does nothing wrong: it plays each call on the model, and stops the run before the n-th one."""

    def __init__(self, disk: Disk, root: Path, nth: int, stop: Callable[[], None]) -> None:
        self.disk, self.root, self.nth, self.stop, self.calls = disk, str(root), nth, stop, 0

    def __call__(self, name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        target = arguments[0] if arguments else ""
        path = whole_path(target)
        if not path.startswith(self.root):
            return make()
        self.calls += 1
        if self.calls > self.nth:
            self.stop()
        result = make()
        self.play(name, path, arguments)
        return result

    def play(self, name: str, path: str, arguments: tuple[Any, ...]) -> None:
        """The effect of a call that has succeeded."""
        disk = self.disk
        match name:
            case "open":
                mode = stat.S_IMODE(os.stat(path).st_mode)
                if path.rpartition("/")[2] not in disk.view(path.rpartition("/")[0]):
                    disk.effect(path, Inode(mode=mode))
            case "write" | "pwrite" | "ftruncate":
                disk.inode(path).written.append(Path(path).read_bytes())
            case "fsync":
                disk.fsync(path)
            case "rename" | "replace" | "rename_new":
                new = whole_path(arguments[1])
                assert new.rpartition("/")[0] == path.rpartition("/")[0]
                disk.effect(new, disk.inode(path), path.rpartition("/")[2])
            case "link":
                disk.effect(whole_path(arguments[1]), disk.inode(path))
            case "unlink" | "remove" | "rmdir":
                disk.effect(path, None)
                disk.names.pop(path, None)
            case "mkdir":
                disk.effect(path, Inode(is_directory=True, mode=stat.S_IMODE(os.stat(path).st_mode)))
                disk.names[path] = {}
            case "fchmod" | "chmod":
                disk.inode(path).mode = stat.S_IMODE(os.stat(path).st_mode)
            case "fchown" | "setxattr" | "flock":
                pass
            case _:
                raise AssertionError(f"the model does not know {name}")


def seeds(number: int) -> Iterator[random.Random]:
    """Sources of choices, the same in every run."""
    yield from (random.Random(seed) for seed in range(number))
