"""Keep an edited file that could not be loaded, as ``policy.yaml.rejected-ID``.

Only ``restart`` loads what was edited in place; its author may have no other copy. The run itself, its watchdog and
``recover`` all go back through `change.put_back`, which keeps it first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.change.journal import Journal, Role

_LOADS_EDITS = "restart"


def kept(root: Root, journal: Journal) -> dict[Role, Path]:
    """Return the paths of the kept files by role; empty where none was to be kept."""
    return {role: beside for role, _, beside, _ in _edited(root, journal) if beside.is_file()}


def keep(root: Root, journal: Journal) -> None:
    """Copy each edited file beside itself, with its mode and owner; ignore errors: the undo matters more."""
    for role, path, beside, edited in _edited(root, journal):
        with suppress(OSError, RefusedError):
            there = files.read(path, role.value)
            if there.sha256 == edited:
                files.replace_file(beside, there.content, there)


def _edited(root: Root, journal: Journal) -> Iterator[tuple[Role, Path, Path, str]]:
    """Yield role, path, path of the copy, and SHA-256 of the edited text."""
    if journal.command != _LOADS_EDITS:
        return
    for record in journal.files:
        if record.role is not Role.MANIFEST and record.before and record.after:
            path = root.host(record.path)
            yield record.role, path, path.with_name(f"{path.name}.rejected-{journal.id}"), record.after
