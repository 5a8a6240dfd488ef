"""Tell whether only we and root can change what a path leads to: owner and mode of every component, no link followed.

Whoever may write into one directory of a path chooses what stands at its end. So sshd (``auth.c`` safe_path, the option
StrictModes) and sudo look at all of them, and so does this module, for every file that root executes or believes:

- an owner other than root or us is refused;
- what group or others may write is refused. A sticky directory of root's (/tmp) is accepted on the way, never at the
  end: there nobody replaces a name of another user. (The mask of a POSIX ACL shows in the group's bits.)
- a symbolic link is refused, except one of root's in a directory that only root writes (/var/run, a moved /home).

Each component is opened relative to the one before it (``openat`` with O_NOFOLLOW), and its descriptor is what is
looked at and what is handed on: no name is resolved a second time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.system import open_flag

_COMPONENT = open_flag("O_PATH") | open_flag("O_NOFOLLOW") | open_flag("O_CLOEXEC")
_LINK = "is a symbolic link"
_LINKS_AT_MOST = 40  # the kernel's own limit (MAXSYMLINKS)
_WRITTEN_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UnsafeComponent(NamedTuple):
    """The first component of a path that is not ours alone, its owner and permission bits, and why it is refused."""

    path: Path
    reason: str
    uid: int
    mode: int

    @property
    def is_link(self) -> bool:
        """Tell whether it was refused as a symbolic link."""
        return self.reason == _LINK

    def __str__(self) -> str:
        """Return one sentence without a full stop."""
        return f"{self.path} {self.reason} (owner uid {self.uid}, mode {self.mode:04o})"


class UntrustedPathError(RefusedError):
    """A path is not used, because somebody else may change what it leads to; ``component`` says where."""

    def __init__(
        self, component: UnsafeComponent, subject: str = "", *, check: str = "path-untrusted", fix: str = ""
    ) -> None:
        text = f"{subject} is not used: {component}" if subject else str(component)
        usual = "specify a path that nobody else may write, or correct the owner and the mode"
        super().__init__(text, check=check, fix=fix or usual)
        self.component = component


def first_unsafe(path: Path, *, uid: int | None = None) -> UnsafeComponent | None:
    """Return the first component that somebody other than root and ``uid`` (default: us) may change; None if none.

    A path that ends early, because nothing stands at a name, is judged as far as it goes.

    Raises:
        OSError: a component cannot be looked at.
    """
    try:
        with opened(path, uid=uid):
            return None
    except UntrustedPathError as error:
        return error.component
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def opened(path: Path, *, uid: int | None = None) -> Iterator[int]:
    """Yield an O_PATH descriptor of what stands at ``path``; its whole way is ours alone.

    Raises:
        UntrustedPathError: it is not. OSError: nothing is there, or it cannot be looked at.
    """
    with _from_the_root(path, _Rule(os.geteuid() if uid is None else uid)) as walk:
        yield walk.descriptor


@contextmanager
def private_directory(path: Path) -> Iterator[tuple[int, bool]]:
    """Yield a descriptor of a directory of ours, and whether it was made now; missing components are made 0700.

    Raises:
        UntrustedPathError: somebody else may change it. OSError: it cannot be made, or is no directory.
    """
    with _from_the_root(path, _Rule(os.geteuid(), make_mode=0o700)) as walk:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walk.descriptor)
        try:
            yield descriptor, walk.path in walk.made
        finally:
            os.close(descriptor)


@contextmanager
def beneath(root: Path, path: str, *, make_mode: int | None = None) -> Iterator[Path]:
    """Yield a name for ``path`` of the node under ``root`` that no link and no ``..`` leads out of the root.

    It goes through the descriptor of the parent directory, so that nobody can exchange a parent meanwhile. The last
    element is not resolved: it may be missing, or a link. Missing parents are made with ``make_mode``.
    Under the machine's own root links of root's are followed, as in the rest of this module.

    Raises:
        OSError: a link or a file is in the way (ELOOP, ENOTDIR), or a parent is missing.
    """
    names = _names(path)
    if not names or ".." in names:
        raise OSError(errno.EINVAL, "the path is not inside the node's root", path)
    rule = _Rule(None, system_links=root == Path("/"), make_mode=make_mode)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with _Walk(descriptor=top, path=root, rule=rule, names=deque(names[:-1])) as walk:
        try:
            walk.to_the_end()
        except UntrustedPathError as error:
            raise OSError(errno.ELOOP, error.component.reason, str(error.component.path)) from error
        stand_in = Path(f"/proc/self/fd/{walk.descriptor}", names[-1])
        try:
            yield stand_in
        except OSError as error:
            if error.filename is not None:  # the user's own words for it
                error.filename = str(root / path.lstrip("/"))
            raise


def is_plain(path: str) -> bool:
    """Tell whether a node's path is absolute and leads straight down: no ``..``, no ``.``, no doubled slash."""
    names = _names(path)
    return "\0" not in path and ".." not in names and path == "/" + "/".join(names)


class _Rule(NamedTuple):
    """``uid`` is None where owners and modes do not matter; ``make_mode`` is None where nothing is made."""

    uid: int | None
    system_links: bool = True
    make_mode: int | None = None


@dataclass(slots=True, kw_only=True)
class _Walk:
    """One walk down a path. ``descriptor`` stands for ``path``; ``names`` are still to come; ``made`` were made by us."""

    descriptor: int
    path: Path
    rule: _Rule
    names: deque[str]
    made: list[Path] = field(default_factory=list)
    links: int = 0

    def __enter__(self) -> _Walk:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def to_the_end(self) -> None:
        """Go down to the last name. Raises UntrustedPathError, OSError."""
        self._check(os.fstat(self.descriptor), self.path)
        while self.names:
            name = self.names.popleft()
            path = self.path / name
            child = self._child(name, path)
            status = os.fstat(child)
            if stat.S_ISLNK(status.st_mode):
                try:
                    self._follow(child, status, path)
                finally:
                    os.close(child)
                continue
            os.close(self.descriptor)
            self.descriptor, self.path = child, path
            self._check(status, path)

    def _child(self, name: str, path: Path) -> int:
        try:
            return os.open(name, _COMPONENT, dir_fd=self.descriptor)
        except FileNotFoundError as error:
            if self.rule.make_mode is None:
                raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
            return self._make(name, path, self.rule.make_mode)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error

    def _make(self, name: str, path: Path, mode: int) -> int:
        is_made = False
        with suppress(FileExistsError):  # somebody was faster: what stands there is looked at
            os.mkdir(name, mode, dir_fd=self.descriptor)
            is_made = True
        child = os.open(name, _COMPONENT, dir_fd=self.descriptor)
        if is_made:
            self.made.append(path)
            os.chmod(f"/proc/self/fd/{child}", mode)  # noqa: PTH101 (whatever the umask took away)
        return child

    def _follow(self, link: int, status: os.stat_result, path: Path) -> None:
        """Put a link's target before the names to come, if it is one of root's that only root can exchange."""
        holder = os.fstat(self.descriptor)
        of_root = status.st_uid == 0 == holder.st_uid and not holder.st_mode & _WRITTEN_BY_OTHERS
        self.links += 1
        if not (self.rule.system_links and of_root and self.names) or self.links > _LINKS_AT_MOST:
            raise _untrusted(path, _LINK, status)
        target = os.readlink("", dir_fd=link)
        self.names.extendleft(reversed(_names(target)))
        if target.startswith("/"):
            top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            os.close(self.descriptor)
            self.descriptor, self.path = top, Path("/")

    def _check(self, status: os.stat_result, path: Path) -> None:
        if self.rule.uid is None:
            return
        if status.st_uid not in (0, self.rule.uid):
            raise _untrusted(path, "belongs to somebody else", status)
        if status.st_mode & _WRITTEN_BY_OTHERS:
            on_the_way = bool(self.names) and stat.S_ISDIR(status.st_mode)
            if not (on_the_way and status.st_mode & stat.S_ISVTX and status.st_uid == 0):
                who = "everybody" if status.st_mode & stat.S_IWOTH else "its group"
                raise _untrusted(path, f"may be written by {who}", status)


def _untrusted(path: Path, reason: str, status: os.stat_result) -> UntrustedPathError:
    return UntrustedPathError(UnsafeComponent(path, reason, status.st_uid, stat.S_IMODE(status.st_mode)))


@contextmanager
def _from_the_root(path: Path, rule: _Rule) -> Iterator[_Walk]:
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with _Walk(descriptor=top, path=Path("/"), rule=rule, names=deque(_names(str(path.absolute())))) as walk:
        walk.to_the_end()
        yield walk


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]
