"""A planned change in the terms of the journal: its intent, and every file that it writes."""

from __future__ import annotations

from pathlib import Path

from auditctl.node.change.actor import who
from auditctl.node.change.change import Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.operations.change_model import PlannedChange


def intent_of(planned: PlannedChange) -> Intent:
    """Return the intent that is on disk before the first file is touched."""
    return Intent(
        command=planned.command,
        summary=planned.summary,
        who=who(),
        directories=planned.directories,
        undoes=planned.undoes,
        restart=planned.restart.name,
    )


def edits_of(planned: PlannedChange, manifest: Path) -> tuple[FileEdit, ...]:
    """Return the writes in their order: the files beside the manifest first, then the manifest."""
    edit = FileEdit(role=Role.MANIFEST, path=manifest, before=planned.snapshot, after=planned.new_text)
    return (*planned.edits, edit)
