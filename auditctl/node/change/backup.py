"""Keep the old bytes of a change's files: copies in the state directory, but for the webhook's file.

That holds secrets, so its bytes are copied nowhere: its old inode stays, by a second name beside it. ``.webhook.yaml.before-ID`` comes by link(2) before change ID replaces the file: nothing is written anew, and mode and
owner stay. Putting back is one rename. It lasts as long as ``rollback ID`` may ask for it; ``disable --purge`` takes all.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Root
from auditctl.node.change.journal import FileRecord, Journal, Role, Step, standing_changes
from auditctl.node.change.state import StateDirectory


def save(state: StateDirectory, journal: Journal, edit: FileEdit, record: FileRecord) -> None:
    """Save both states of a file, before anything is touched.

    Raises:
        RefusedError: the webhook's file cannot be kept, or was changed a moment ago. OSError: the state directory
            cannot take it.
    """
    if edit.role is Role.WEBHOOK:
        if is_kept(record):
            keep(edit.path, journal.id, record.before)
        return
    for when, content in (("before", edit.before.content if edit.before else None), ("after", edit.after)):
        if content is not None:
            path = state.saved(journal, edit.role, when)
            # attributes go with the backup, so that a human's `cp -p` puts back the whole file
            like = edit.before or edit.like
            like = replace(like, xattrs={}) if like is not None else None
            files.replace_file(path, content, like)
            if files.digest(path) != files.sha256(content):
                raise OSError(0, "the saved bytes read back differ")


def saved_bytes(state: StateDirectory, journal: Journal, record: FileRecord, when: str) -> bytes:
    """Return the saved bytes of one file (never the webhook's), compared with the journal's digest.

    Raises:
        RefusedError: the backup is gone, or is not what was saved.
    """
    path = state.saved(journal, record.role, when)
    content = files.read(path, "backup").content
    if files.sha256(content) != (record.before if when == "before" else record.after):
        raise RefusedError(f"{path}: the saved bytes are not those of the journal", check="backup-damaged")
    return content


def kept_name(path: Path, change_id: str) -> Path:
    """Return the second name of the file that was at ``path`` before that change."""
    return path.with_name(f".{path.name}.before-{change_id}")


def is_kept(record: FileRecord) -> bool:
    """Tell whether an undo needs a second name: a file that goes last is in place until no undo can come."""
    return record.role is Role.WEBHOOK and record.before is not None and not record.removed_last


def keep(path: Path, change_id: str, digest: str | None) -> None:
    """Give the file its second name.

    Raises:
        RefusedError: the file system has no hard links, or somebody else has changed the file since it was read.
    """
    kept = kept_name(path, change_id)
    try:
        kept.hardlink_to(path)
        files.sync_directory(path.parent)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(
            f"{path}: cannot be kept as {kept.name} beside it, by a hard link: {reason}; it holds secrets, so it is copied "
            "nowhere else, and without that it could not be put back",
            check="webhook-not-kept",
            fix="move it to a file system with hard links, or take it out first: auditctl enable --no-webhook",
        ) from error
    if files.digest(kept) != digest:
        raise RefusedError(
            f"{path}: somebody else changed it a moment ago", check="changed-meanwhile", fix="run the command again"
        )


def kept_bytes(path: Path, change_id: str, digest: str | None) -> bytes:
    """Return the bytes of the file that was at ``path`` before that change.

    Raises:
        RefusedError: they are gone (a purge), or are not those of the journal.
    """
    kept = kept_name(path, change_id)
    if not os.path.lexists(kept):
        raise RefusedError(
            f"{path}: as it was before change {change_id} it is gone: a webhook file holds secrets, so auditctl keeps no "
            "copy of it, and a purge removes the old ones",
            check="webhook-gone",
            fix="install it again: auditctl enable --webhook-config FILE",
        )
    content = files.read(kept, "backup").content
    if files.sha256(content) != digest:
        raise RefusedError(f"{kept}: its bytes are not those of the journal", check="backup-damaged")
    return content


def put_back(path: Path, change_id: str, record: FileRecord) -> None:
    """Rename the old file over the new one, if nobody has changed the new one.

    Raises:
        RefusedError: the old one is gone or damaged, or somebody else has changed the new one. OSError as `os.rename`.
    """
    kept_bytes(path, change_id, record.before)
    if files.digest(path) != record.after:
        raise RefusedError(f"{path}: somebody else changed it a moment ago", check="changed-meanwhile")
    kept_name(path, change_id).rename(path)
    files.sync_directory(path.parent)


def discard(state: StateDirectory, root: Root, journal: Journal) -> None:
    """Remove the record of a change that touched nothing; the next run removes what is left."""
    if forget(root, journal):
        state.discard(journal)


def forget(root: Root, journal: Journal) -> bool:
    """Remove the second names that this change has made; return whether all are gone."""
    gone = True
    for record in journal.files:
        if is_kept(record):
            kept = kept_name(root.host(record.path), journal.id)
            if os.path.lexists(kept):
                try:
                    files.remove(kept)
                except OSError:  # the next run tries again
                    gone = False
    return gone


def forget_removed(state: StateDirectory, root: Root, journal: Journal) -> None:
    """Remove old webhook files: after a purge all of them, after a rollback those of the undone changes."""
    ids: Collection[str] = (journal.id, *journal.undoes)
    for other in state.journals():
        if journal.command == "disable" or other.id in ids:
            forget(root, other)


def settle(state: StateDirectory, root: Root) -> None:
    """Remove the old webhook files that no `rollback` can need; call it under the lock."""
    with suppress(RefusedError):
        journals = state.journals()
        needed = {journal.id for journal in standing_changes(journals)}
        for journal in journals:
            if journal.finished and journal.id not in needed and journal.step is not Step.ABANDONED:
                forget(root, journal)
