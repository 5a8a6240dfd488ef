"""What a change does to one file: a value, so that a plan need not import what performs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """One file: its path on this machine, its state before and its bytes after (None: absent).

    ``source`` is the file that it was made from (the user's own, or a backup), empty where it is the file itself.
    ``like`` has mode and owner of a file that is brought back, where nothing stands at ``path``.
    """

    role: Role
    path: Path
    before: Snapshot | None
    after: bytes | None
    removed_last: bool = False
    source: str = ""
    like: Snapshot | None = None
