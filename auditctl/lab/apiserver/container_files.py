"""The file system of the stand-in's container: mounts where there are any, else a private folder.

A container runtime would do this with a mount namespace; without root the paths are translated instead.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auditctl.lab.node.volumes import Bind

_KERNEL = ("/sys", "/proc")  # nothing can be made there, whoever asks


@dataclass(frozen=True, slots=True)
class FileSystem:
    """``room`` holds what the container has of its own: nothing at first."""

    mounts: Sequence[Bind]
    room: Path

    def host(self, path: str) -> Path:
        """Return this machine's path for a container path, by the deepest mount."""
        path = posixpath.normpath(path)
        mount = self._mount(path)
        if mount is None:
            return self.room / path.lstrip("/")
        inner = path[len(mount.container_path.rstrip("/")) :].lstrip("/")
        return Path(mount.host_path, inner) if inner else Path(mount.host_path)

    def require_writable(self, path: str) -> None:
        """Raise OSError (EROFS, EACCES) where nothing can be written, as the kernel would."""
        mount = self._mount(posixpath.normpath(path))
        if mount is not None and mount.read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        if mount is None and path.startswith(_KERNEL):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)

    def rename(self, path: str, target: Path) -> None:
        """Rename a file; raise OSError: EBUSY for a file that is a mount itself."""
        if any(bind.container_path == posixpath.normpath(path) for bind in self.mounts):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        self.host(path).rename(target)

    def read(self, path: str) -> bytes:
        """Return the content of a file; raise OSError."""
        return self.host(path).read_bytes()

    def make_directories(self, path: str) -> None:
        """Make directories (0700) as os.MkdirAll; the filename of its OSError is where it stopped."""
        here = self.host(path)
        if path in ("", "/"):
            here.mkdir(parents=True, exist_ok=True)
        if here.is_dir() or path in _KERNEL:
            return
        if here.exists():
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        self.make_directories(posixpath.dirname(path))
        self.require_writable(path)
        try:
            here.mkdir(mode=0o700)
        except FileExistsError:
            return
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error

    def _mount(self, path: str) -> Bind | None:
        inside = [bind for bind in self.mounts if f"{path}/".startswith(f"{bind.container_path.rstrip('/')}/")]
        return max(inside, key=lambda bind: len(bind.container_path), default=None)
