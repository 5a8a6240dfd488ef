"""Perform one change of the node's files: begin (intent and backups), install, put back.

policy and webhook file -> dot-named temporary manifest -> fsync -> one rename -> fsync of the directory. Going back:
files that were there get their old bytes first (the old Pod needs them), then the manifest, then what we made goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import AuditctlError, InterruptionError, RefusedError, StrandedError
from auditctl.node.change import backup, files, rejected_files
from auditctl.node.change.change_id import new_id
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Root
from auditctl.node.change.journal import FileRecord, Journal, OnDisk, Role, Step
from auditctl.node.change.open_change import Change, timestamp
from auditctl.node.change.placement import put
from auditctl.node.change.state import StateDirectory, cannot_write
from auditctl.node.clock import Clock

__all__ = ["Change", "Intent", "begin", "end_pod", "install", "put_back", "remove_directories", "replace_manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What the journal says of a change. ``directories`` are made by it (the log's).

    ``turn`` is the holder of the cluster's Lease that it has, ``change_id`` the id that this Lease names; both empty
    where there is none.
    """

    command: str
    summary: str
    who: dict[str, str | None]
    directories: Sequence[Path] = ()
    undoes: tuple[str, ...] = ()
    restart: str = ""
    turn: str = ""
    change_id: str = ""


def begin(
    state: StateDirectory,
    root: Root,
    clock: Clock,
    edits: Sequence[FileEdit],
    intent: Intent,
    ending_texts: Sequence[bytes] = (),
) -> Change:
    """Write the intent and the backups, and return the change; nothing of the node is touched yet.

    ``ending_texts`` are texts of the manifest that only end the Pod.

    Raises:
        RefusedError: the state directory cannot take it (full, read-only).
    """
    missing = _missing_directories(edits, intent)
    journal = Journal(
        id=_id(state, clock, intent),
        command=intent.command,
        started=timestamp(clock),
        who=intent.who,
        files=tuple(_record(root, edit, ending_texts) for edit in edits),
        made_directories=tuple(root.node(path) for path in sorted(missing)),
        summary=intent.summary,
        undoes=intent.undoes,
        restart=intent.restart,
        turn=intent.turn,
    )
    try:
        state.write_header(journal)
        for edit, record in zip(edits, journal.files, strict=True):
            backup.save(state, journal, edit, record)
        journal = state.append(journal, Step.BACKED_UP, timestamp(clock))
        memory = {root.node(edit.path): edit for edit in edits}
        return Change(state=state, root=root, clock=clock, journal=journal, memory=memory, ending_texts=ending_texts)
    except (OSError, RefusedError) as error:
        backup.discard(state, root, journal)
        if isinstance(error, RefusedError):
            raise
        raise cannot_write(state.path, "the backup", error) from error


def _id(state: StateDirectory, clock: Clock, intent: Intent) -> str:
    """Return the id that the Lease of the cluster names, else a new one; each sorts behind the changes that are there."""
    last = max((folder.name for folder in state.folders()), default="")
    return intent.change_id if intent.change_id > last else new_id(clock, last)


def _missing_directories(edits: Sequence[FileEdit], intent: Intent) -> set[Path]:
    needed = [*intent.directories, *(edit.path.parent for edit in edits if edit.after is not None)]
    return {parent for directory in needed for parent in (directory, *directory.parents) if not parent.exists()}


def _record(root: Root, edit: FileEdit, ending_texts: Sequence[bytes]) -> FileRecord:
    before = edit.before.sha256 if edit.before else None
    after = files.sha256(edit.after) if edit.after is not None else None
    ending = tuple(files.sha256(text) for text in ending_texts) if edit.role is Role.MANIFEST else ()
    return FileRecord(
        role=edit.role,
        path=root.node(edit.path),
        before=before,
        after=after,
        removed_last=edit.removed_last,
        ending=ending,
    )


def install(change: Change, before_manifest: Callable[[], None] = lambda: None, *, two_renames: bool = False) -> float:
    """Put the files in place, the manifest last; return the boot-clock time right before its rename.

    ``before_manifest`` is called when the other files are in place; if it raises, they are taken back. With
    ``two_renames`` the first ending text is put in the manifest's place, and the caller goes on with `replace_manifest`.

    Raises:
        InterruptionError: from ``before_manifest``; everything was put back, nothing is changed.
        RefusedError: the file system or a stranger was in the way; everything was put back, nothing is changed.
        StrandedError: that failed, too.
    """
    try:
        change.mark(Step.INSTALLING)
        for directory in change.journal.made_directories:
            files.make_directories(change.root.host(directory))
        for record in change.journal.files:
            if record.role is not Role.MANIFEST and not record.removed_last:
                put(change, record, "after")
        before_manifest()
        return _begin_end(change) if two_renames else replace_manifest(change)
    except (OSError, RefusedError, InterruptionError) as error:
        _take_back_or_strand(change, error)
        verb = "interrupted" if isinstance(error, InterruptionError) else "refused"
        change.try_mark(Step.UNDONE, f"{verb} before the manifest was replaced")
        if isinstance(error, OSError):
            manifest = change.root.host(change.journal.manifest.path)
            raise cannot_write(manifest, "the change", error) from error
        raise


def _begin_end(change: Change) -> float:
    """Make the first of two renames; return the boot-clock time right before."""
    renamed_at = change.clock.boot()
    change.mark(Step.ENDING, f"{change.clock.boot_id()} {renamed_at:.3f}")
    end_pod(change, 0, change.journal.manifest.before)
    return renamed_at


def end_pod(change: Change, number: int, expected: str | None) -> None:
    """Rename the text of that number into place, which only ends the Pod; the file has the SHA-256 ``expected``.

    Raises:
        OSError: the file system was in the way.
        RefusedError: somebody else has changed the manifest meanwhile.
    """
    path = change.root.host(change.journal.manifest.path)
    files.replace_file(path, change.ending_texts[number], files.read(path, "manifest"), expected=expected)


def replace_manifest(change: Change) -> float:
    """Rename the new manifest into place; return the boot-clock time right before.

    Raises:
        OSError: the file system was in the way.
        RefusedError: somebody else has changed the manifest meanwhile.
    """
    renamed_at = change.clock.boot()
    change.mark(Step.REPLACING, f"{change.clock.boot_id()} {renamed_at:.3f}")
    put(change, change.journal.manifest, "after")
    if any(record.role is Role.STRAY for record in change.journal.files):
        _announce(change)
    change.try_mark(Step.WAITING)
    return renamed_at


def _announce(change: Change) -> None:
    """Rename the manifest over itself, so that the kubelet sees it again after the other file went.

    (pkg/kubelet/config/file_linux.go: both names led to one key of its store.)
    """
    path = change.root.host(change.journal.manifest.path)
    standing_now = files.read(path, "manifest")
    files.replace_file(path, standing_now.content, standing_now, expected=change.journal.manifest.after)


def _take_back_or_strand(change: Change, reason: OSError | AuditctlError) -> None:
    """Undo a failed install.

    Raises:
        StrandedError: that failed, too: "nothing was changed" would not be true.
    """
    try:
        _take_back(change)
    except (OSError, RefusedError) as error:
        text = error.message if isinstance(error, RefusedError) else str(error)
        first = reason.message if isinstance(reason, AuditctlError) else str(reason)
        change.try_mark(Step.STRANDED, text)
        raise _stranded(change, f"{first}, and what had been installed could not be taken back: {text}") from error


def _take_back(change: Change) -> None:
    """Put the other files back, and the manifest only if its rename had happened after all."""
    if change.standing(change.journal.manifest) is not OnDisk.OTHER:
        put_back(change)
        return
    change.try_mark(Step.UNDOING)
    for record in change.journal.files:
        if record.role is not Role.MANIFEST:
            put(change, record, "before")
    remove_directories(change, change.journal.made_directories)


def put_back(change: Change, before_manifest: Callable[[], None] = lambda: None) -> None:
    """Restore every file that nobody else has changed; the caller writes the last journal entry.

    ``before_manifest`` is called when the files are back that the old Pod needs.

    Raises:
        StrandedError: the manifest is neither of our two texts, or the file system refused; the message names the
            backup and the exact command.
    """
    change.try_mark(Step.UNDOING)
    manifest = change.journal.manifest
    if change.standing(manifest) is OnDisk.OTHER:
        change.try_mark(Step.ABANDONED, "the manifest was changed by somebody else")
        raise _stranded(change, "somebody else changed the manifest during the change, so it was left alone")
    others = [record for record in change.journal.files if record.role is not Role.MANIFEST]
    rejected_files.keep(change.root, change.journal)
    try:
        for record in others:
            if record.before is not None:
                put(change, record, "before")
        before_manifest()
        put(change, manifest, "before")
        for record in others:
            if record.before is None:
                put(change, record, "before")
        remove_directories(change, change.journal.made_directories)
    except (OSError, RefusedError) as error:
        reason = error.message if isinstance(error, RefusedError) else str(error)  # its text says "nothing was changed"
        change.try_mark(Step.STRANDED, reason)
        raise _stranded(change, f"the old configuration could not be put back: {reason}") from error


def remove_directories(change: Change, made: Collection[str]) -> None:
    """Remove the directories of ours that are empty now; raise nothing."""
    for directory in sorted(made, key=len, reverse=True):
        with suppress(OSError):  # not empty (the log is kept), or gone
            files.remove_directory(change.root.host(directory))


def _stranded(change: Change, why: str) -> StrandedError:
    manifest = change.root.host(change.journal.manifest.path)
    if files.digest(change.backup) != change.journal.manifest.before:
        return StrandedError(
            f"{manifest}: {why}; the saved original {change.backup} is gone or damaged",
            check="not-put-back",
            fix="restore the manifest from a backup of your own, or take the audit flags out: auditctl disable",
        )
    hidden = files.temporary_of(manifest)
    return StrandedError(
        f"{manifest}: {why}; the saved original is {change.backup}",
        check="not-put-back",
        # through a dot-named copy: a plain cp would let the kubelet read half a file
        fix=f"cp -p {change.backup} {hidden} && mv {hidden} {manifest}",
    )
