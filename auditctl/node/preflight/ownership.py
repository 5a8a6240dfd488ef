"""Modes and owners of the log's directory: what may be advised depends on whether it holds the audit files alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from auditctl.findings import Finding
from auditctl.manifest.paths import belongs_to_others
from auditctl.node.change.files import Root
from auditctl.node.logfiles import log_files
from auditctl.settings import LOG_PATH

ELSEWHERE = f"auditctl enable --log-path {LOG_PATH}"


def open_to_others(root: Root, path: Path) -> Iterator[Finding]:
    """Yield a warning where others may read the events, a note where they may list the files (the kubelet makes 0755).

    The mode of a directory that holds other files too is not ours to change: the log is closed then, not its directory.
    """
    if not path.parent.is_dir() or not path.parent.stat().st_mode & stat.S_IXOTH:
        return
    alone = is_ours_alone(root, path.parent, tuple(log_files(path)))
    if path.is_file() and path.stat().st_mode & stat.S_IROTH:
        # lumberjack gives a new file the mode of the one before it (lumberjack.go openNew), so one chmod lasts
        fix = f"chmod 0700 {path.parent}" if alone else f"chmod 0600 {path}; or: {ELSEWHERE}"
        yield Finding.warning("log-readable", f"every user of this node may read {path}", fix)
    elif alone and path.parent.stat().st_mode & stat.S_IROTH:
        text = f"every user of this node may list {path.parent}"
        yield Finding.note("log-readable", text, f"chmod 0700 {path.parent}")


def is_ours_alone(root: Root, directory: Path, files: Collection[Path]) -> bool:
    """Tell whether ``directory`` is not the system's and holds nothing but ``files``, so that its mode may be changed."""
    if belongs_to_others(root.node(directory)):
        return False
    try:
        return {directory / name for name in os.listdir(directory)} <= set(files)  # noqa: PTH208 (names are enough)
    except OSError:
        return False


def owned_by(root: Root, directory: Path, uid: int, files: Collection[Path], otherwise: str) -> str:
    """Return the command that opens ``directory`` to the user; ``otherwise`` where it is not for the audit files alone."""
    if is_ours_alone(root, directory, files):
        return f"chown {uid} {directory}"
    return otherwise or f"let user {uid} enter {directory}, or use a directory of its own"
