"""Bring one file of a change to its state before or after it, from memory or from the backup."""

from __future__ import annotations

from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.change import backup, files
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import FileRecord, Role
from auditctl.node.change.open_change import Change


def put(change: Change, record: FileRecord, when: str) -> None:
    """Bring one file to its state ``when`` (before, after), if it is in the other one, or in the one that ends the old Pod.

    Raises:
        RefusedError: on the way there, somebody else has changed it; on the way back a stranger's file is left alone.
    """
    target, other = (record.before, record.after) if when == "before" else (record.after, record.before)
    path = change.root.host(record.path)
    current = files.digest(path)
    if current == target:
        return
    if current in record.ending:
        other = current
    if current != other:
        if when == "before":
            return
        raise RefusedError(
            f"{path}: somebody else changed it a moment ago", check="changed-meanwhile", fix="run the command again"
        )
    if target is None:
        files.remove(path)
        return
    if record.role is Role.WEBHOOK and when == "before":
        _put_webhook_back(change, record, path)
        return
    like = files.read_if_there(path, record.role.value) or _saved_attributes(change, record)
    files.replace_file(path, _content(change, record, when), like, expected=other or files.ABSENT)


def _content(change: Change, record: FileRecord, when: str) -> bytes:
    """Return a file's bytes from memory; from the state directory if another run made the change.

    Raises:
        RefusedError: the backup is gone, or is not what was saved.
    """
    remembered = change.memory.get(record.path)
    if remembered is None:
        return backup.saved_bytes(change.state, change.journal, record, when)
    before = remembered.before.content if remembered.before is not None else None
    content = before if when == "before" else remembered.after
    if content is None:
        raise RefusedError(f"{record.path}: there is nothing to put there", check="backup-damaged")
    return content


def _put_webhook_back(change: Change, record: FileRecord, path: Path) -> None:
    """Rename the old inode over the new one; where its second name is gone, write its bytes anew."""
    remembered = change.memory.get(record.path)
    try:
        backup.put_back(path, change.journal.id, record)
    except RefusedError:
        if remembered is None or remembered.before is None:
            raise
        before = remembered.before
        files.replace_file(path, before.content, before, expected=record.after or files.ABSENT)


def _saved_attributes(change: Change, record: FileRecord) -> Snapshot | None:
    """Return mode and owner that the file had, from memory or from a saved copy.

    A file that a rollback brings back was not there before that change: its copy of the new bytes has them.
    """
    remembered = change.memory.get(record.path)
    attributes = (remembered.before or remembered.like) if remembered is not None else None
    if attributes is not None:
        return attributes
    copies = (change.state.saved(change.journal, record.role, when) for when in ("before", "after"))
    return next((copy for path in copies if (copy := files.read_if_there(path, "backup")) is not None), None)
