"""One change of the node's files: begin (intent and backups), install, put back. Order is everything here.

policy and webhook file -> dot-named temporary manifest -> fsync -> one rename -> fsync of the directory. Going back:
files that were there get their old bytes first (the old Pod needs them), then the manifest, then what we made goes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import InterruptionError, RefusedError, StrandedError
from auditctl.node.change import backup, files, rejected_files
from auditctl.node.change.change_id import new_id
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Root, Snapshot
from auditctl.node.change.journal import TRANSITIONS, FileRecord, Journal, OnDisk, Role, Step, standing
from auditctl.node.change.state import StateDirectory, cannot_write
from auditctl.node.clock import Clock


@dataclass(slots=True)
class Change:
    """A change in progress. ``journal`` is replaced as entries are written; everything else is fixed.

    ``by`` is who writes them, where it is not the run that began it; ``unsaved`` are new contents that hold secrets, by
    node path: they are in memory until they are installed, which is never left to a later run. ``ending_text`` is the
    manifest's text that only ends the old Pod; None where the new text does that.
    """

    state: StateDirectory
    root: Root
    clock: Clock
    journal: Journal
    by: str = ""
    unsaved: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ending_text: bytes | None = None

    @property
    def backup(self) -> Path:
        """The saved manifest."""
        return self.state.saved(self.journal, Role.MANIFEST, "before")

    def mark(self, step: Step, note: str = "") -> None:
        """Write one more journal entry, durably."""
        note = ", ".join(part for part in (note, self.by) if part)
        self.journal = self.state.append(self.journal, step, _now(self.clock), note)

    def try_mark(self, step: Step, note: str = "") -> None:
        """As `mark`, where going on matters more than the entry (after the rename, and on the way back).

        On a disk too full for it the journal keeps its last word, and the next run looks at the files themselves.
        """
        if step in TRANSITIONS[self.journal.step]:
            with suppress(OSError):
                self.mark(step, note)

    def standing(self, record: FileRecord) -> OnDisk:
        """Which of its two texts stands on disk now."""
        return standing(record, files.digest(self.root.host(record.path)))


class Intent(NamedTuple):
    """What a change is for the journal. ``directories`` are to be there afterwards (the log's)."""

    command: str
    summary: str
    who: dict[str, str | None]
    directories: Sequence[Path] = ()
    undoes: tuple[str, ...] = ()
    restart: str = ""


def begin(
    state: StateDirectory,
    root: Root,
    clock: Clock,
    edits: Sequence[FileEdit],
    intent: Intent,
    ending_text: bytes | None = None,
) -> Change:
    """Write the intent and the backups; nothing of the node is touched yet. Directories that are missing are noted as ours.

    Raises:
        RefusedError: the state directory cannot take it (full, read-only).
    """
    records = tuple(_record(root, edit, ending_text) for edit in edits)
    wanted = [*intent.directories, *(edit.path.parent for edit in edits if edit.after is not None)]
    missing = {parent for directory in wanted for parent in (directory, *directory.parents) if not parent.exists()}
    journal = Journal(
        id=new_id(clock, max((folder.name for folder in state.folders()), default="")),
        command=intent.command,
        started=_now(clock),
        who=intent.who,
        files=records,
        made_directories=tuple(root.node(path) for path in sorted(missing)),
        summary=intent.summary,
        undoes=intent.undoes,
        restart=intent.restart,
    )
    try:
        state.write_header(journal)
        for edit, record in zip(edits, records, strict=True):
            backup.save(state, journal, edit, record)
        journal = state.append(journal, Step.BACKED_UP, _now(clock))
        return Change(state, root, clock, journal, unsaved=backup.unsaved(root, edits), ending_text=ending_text)
    except (OSError, RefusedError) as error:
        backup.discard(state, root, journal)
        if isinstance(error, RefusedError):
            raise
        raise cannot_write(state.path, "the backup", error) from error


def _record(root: Root, edit: FileEdit, ending_text: bytes | None) -> FileRecord:
    before = edit.before.sha256 if edit.before else None
    after = files.sha256(edit.after) if edit.after is not None else None
    ending = files.sha256(ending_text) if ending_text is not None and edit.role is Role.MANIFEST else None
    return FileRecord(edit.role, root.node(edit.path), before, after, edit.removed_last, ending)


def install(change: Change, before_manifest: Callable[[], None] = lambda: None) -> float:
    """Put the files in place, the manifest last; return the boot-clock time right before its rename.

    ``before_manifest`` is called when the other files are in place: what it raises takes them back.

    Of a change with an ``ending_text`` that text is put in place: the caller goes on with `replace_manifest`.

    Raises:
        RefusedError: the file system or a stranger was in the way; everything was put back, nothing is changed.
    """
    try:
        change.mark(Step.INSTALLING)
        for directory in change.journal.made_directories:
            files.make_directories(change.root.host(directory))
        for record in change.journal.files:
            if record.role is not Role.MANIFEST and not record.removed_last:
                _put(change, record, "after")
        before_manifest()
        return replace_manifest(change) if change.ending_text is None else _end_pod(change, change.ending_text)
    except InterruptionError:
        _take_back(change)
        change.try_mark(Step.UNDONE, "interrupted before the manifest was replaced")
        raise
    except (OSError, RefusedError) as error:
        _take_back(change)
        change.try_mark(Step.UNDONE, "refused before the manifest was replaced")
        if isinstance(error, RefusedError):
            raise
        raise cannot_write(change.root.host(change.journal.manifest.path), "the change", error) from error


def _end_pod(change: Change, text: bytes) -> float:
    renamed_at = change.clock.boot()
    change.mark(Step.ENDING, f"{change.clock.boot_id()} {renamed_at:.3f}")
    record = change.journal.manifest
    path = change.root.host(record.path)
    files.replace(path, text, files.read(path, "manifest"), expected=record.before)
    return renamed_at


def replace_manifest(change: Change) -> float:
    """Rename the new manifest into place; return the boot-clock time right before.

    Raises:
        OSError: the file system was in the way.
        RefusedError: somebody else has changed the manifest meanwhile.
    """
    renamed_at = change.clock.boot()
    change.mark(Step.REPLACING, f"{change.clock.boot_id()} {renamed_at:.3f}")
    _put(change, change.journal.manifest, "after")
    if any(record.role is Role.STRAY for record in change.journal.files):
        _announce(change)
    change.try_mark(Step.WAITING)
    return renamed_at


def _announce(change: Change) -> None:
    """Rename the manifest over itself: its event brings back the Pod that the kubelet removed with the other file.

    (pkg/kubelet/config/file_linux.go: both names led to one key of its store.)
    """
    path = change.root.host(change.journal.manifest.path)
    standing_now = files.read(path, "manifest")
    files.replace(path, standing_now.content, standing_now, expected=change.journal.manifest.after)


def _take_back(change: Change) -> None:
    """After a failed install: the other files, and the manifest only if its rename had happened after all."""
    if change.standing(change.journal.manifest) is not OnDisk.OTHER:
        put_back(change)
        return
    change.try_mark(Step.UNDOING)
    for record in change.journal.files:
        if record.role is not Role.MANIFEST:
            _put(change, record, "before")
    remove_directories(change, change.journal.made_directories)


def put_back(change: Change) -> None:
    """Restore every file of the change that is still ours; the journal says UNDOING until the caller has proof.

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
                _put(change, record, "before")
        _put(change, manifest, "before")
        for record in others:
            if record.before is None:
                _put(change, record, "before")
        remove_directories(change, change.journal.made_directories)
    except (OSError, RefusedError) as error:
        change.try_mark(Step.STRANDED, str(error))
        raise _stranded(change, f"the old configuration could not be put back: {error}") from error


def _put(change: Change, record: FileRecord, when: str) -> None:
    """Bring one file to its state ``when`` (before, after), if it is in the other one.

    Raises:
        RefusedError: on the way there, somebody else has changed it; on the way back a stranger's file is left alone.
    """
    wanted, other = (record.before, record.after) if when == "before" else (record.after, record.before)
    path = change.root.host(record.path)
    found = files.digest(path)
    if found == wanted:
        return
    if found is not None and found == record.ending:
        other = found
    if found != other:
        if when == "before":
            return
        raise RefusedError(
            f"{path}: somebody else changed it a moment ago", check="changed-meanwhile", fix="run the command again"
        )
    if wanted is None:
        files.remove(path)
        return
    if record.role is Role.WEBHOOK and when == "before":
        backup.put_back(path, change.journal.id, record)
        return
    content = change.unsaved.get(record.path) or backup.saved_bytes(change.state, change.journal, record, when)
    like = files.read_if_there(path, record.role.value) or _saved_attributes(change, record)
    files.replace(path, content, like, expected=other)


def _saved_attributes(change: Change, record: FileRecord) -> Snapshot | None:
    """Return a saved copy with mode and owner that the file had; one that a rollback brings back has only the new copy."""
    copies = (change.state.saved(change.journal, record.role, when) for when in ("before", "after"))
    return next((copy for path in copies if (copy := files.read_if_there(path, "backup")) is not None), None)


def remove_directories(change: Change, made: Collection[str]) -> None:
    for directory in sorted(made, key=len, reverse=True):
        with suppress(OSError):  # not empty (the log is kept), or gone
            change.root.host(directory).rmdir()


def _stranded(change: Change, why: str) -> StrandedError:
    manifest = change.root.host(change.journal.manifest.path)
    hidden = files.temporary_of(manifest)
    return StrandedError(
        f"{manifest}: {why}; the saved original is {change.backup}",
        check="not-put-back",
        # through a dot-named copy: a plain cp would let the kubelet read half a file
        fix=f"cp -p {change.backup} {hidden} && mv {hidden} {manifest}",
    )


def _now(clock: Clock) -> str:
    return clock.utc().isoformat(timespec="milliseconds").replace("+00:00", "Z")
