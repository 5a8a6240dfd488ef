"""The journal of a change: its states as a table, and its record as lines of JSON. Pure: no file is touched here.

Two laws. Everything that decides what a state may become stands in `TRANSITIONS`; everything that decides what to do
about an interrupted change stands in `recovery`. An entry is written (and fsynced) *before* the act that it names, so
a journal that ends in `REPLACING` says: the rename may or may not have happened; look at the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from auditctl.compatibility import assert_never
from auditctl.errors import BugError


class Step(Enum):
    """A state of a change, in the order in which a good one passes through them."""

    PLANNED = "planned"  # intent on disk; nothing touched
    BACKED_UP = "backed-up"  # the saved bytes were read back and compared
    INSTALLING = "installing"  # policy and webhook files are being put in place
    STANDBY = "standby"  # a standby server is being started; it serves until the change has ended
    ENDING = "ending"  # a text is being renamed in that only ends the old Pod: the old settings, an annotation more
    REPLACING = "replacing"  # the manifest is being renamed in
    WAITING = "waiting"  # renamed and fsynced; the kubelet is at work
    REMOVING = "removing"  # proved; files that `--purge` named are being removed
    DONE = "done"
    UNPROVED = "unproved"  # written with --no-wait: finished, and nothing proved
    UNDOING = "undoing"
    UNDONE = "undone"
    UNCONFIRMED = "unconfirmed"  # put back; the old configuration was not seen serving
    STRANDED = "stranded"  # not put back
    ABANDONED = "abandoned"  # somebody else changed the manifest since: left alone


FINAL = frozenset({Step.DONE, Step.UNPROVED, Step.UNDONE, Step.UNCONFIRMED, Step.STRANDED, Step.ABANDONED})

BY_THE_WATCHDOG = "by the watchdog"  # how the note ends of an entry that a watchdog wrote

_GIVE_UP = frozenset({Step.UNDOING, Step.ABANDONED})
TRANSITIONS: dict[Step, frozenset[Step]] = {
    Step.PLANNED: _GIVE_UP | {Step.BACKED_UP},
    Step.BACKED_UP: _GIVE_UP | {Step.INSTALLING},
    Step.INSTALLING: _GIVE_UP | {Step.STANDBY, Step.ENDING, Step.REPLACING},
    Step.STANDBY: _GIVE_UP | {Step.ENDING, Step.REPLACING},
    Step.ENDING: _GIVE_UP | {Step.REPLACING},
    # a full disk may keep WAITING from being written: what follows is right all the same
    Step.REPLACING: _GIVE_UP | {Step.WAITING, Step.REMOVING, Step.DONE, Step.UNPROVED},
    Step.WAITING: _GIVE_UP | {Step.REMOVING, Step.DONE, Step.UNPROVED},
    Step.REMOVING: frozenset({Step.DONE, Step.UNPROVED}),
    Step.UNDOING: frozenset({Step.UNDONE, Step.UNCONFIRMED, Step.STRANDED, Step.ABANDONED}),
    **{final: frozenset() for final in FINAL},
}


class Role(Enum):
    """What a file is to a change."""

    MANIFEST = "manifest"
    POLICY = "policy"
    WEBHOOK = "webhook"
    STRAY = "stray"  # another manifest of the same Pod, moved out of the kubelet's sight


class FileRecord(NamedTuple):
    """One file of a change: SHA-256 before and after (None: absent), and its node path.

    ``removed_last`` marks a file that goes only after the change is proved (``disable --purge``). ``ending`` is the SHA-256
    of the text that stands in between, while the old Pod ends; None where there is none.
    """

    role: Role
    path: str
    before: str | None
    after: str | None
    removed_last: bool = False
    ending: str | None = None


class Journal(NamedTuple):
    """The record of one change. ``restart`` names how the server was to read it, empty where that was not noted."""

    id: str
    command: str
    started: str
    who: dict[str, str | None]
    files: tuple[FileRecord, ...]
    made_directories: tuple[str, ...] = ()
    summary: str = ""
    undoes: tuple[str, ...] = ()
    restart: str = ""
    step: Step = Step.PLANNED
    steps: tuple[tuple[str, str, str], ...] = ()

    def to(self, step: Step, at: str, note: str = "") -> Journal:
        """The journal after one more entry.

        Raises:
            BugError: the state table has no such transition.
        """
        if step not in TRANSITIONS[self.step]:
            raise BugError(f"journal {self.id}: no way from {self.step.value} to {step.value}")
        return self._replace(step=step, steps=(*self.steps, (step.value, at, note)))

    @property
    def manifest(self) -> FileRecord:
        """The manifest's record; every change has one."""
        return next(file for file in self.files if file.role is Role.MANIFEST)

    @property
    def finished(self) -> bool:
        return self.step in FINAL

    @property
    def ended_by_the_watchdog(self) -> bool:
        """Was it finished after its own run had died?"""
        return self.finished and bool(self.steps) and self.steps[-1][2].endswith(BY_THE_WATCHDOG)


class OnDisk(Enum):
    """Which of a change's texts stands on disk now. ENDING has the settings of BEFORE, and ends its Pod."""

    BEFORE = "before"
    ENDING = "ending"
    AFTER = "after"
    SAME = "same"
    OTHER = "other"


def standing(record: FileRecord, digest: str | None) -> OnDisk:
    """Compare what stands on disk (its SHA-256, None if absent) with a change's two states of that file."""
    if record.before == record.after == digest:
        return OnDisk.SAME
    if digest == record.before:
        return OnDisk.BEFORE
    if digest is not None and digest == record.ending:
        return OnDisk.ENDING
    return OnDisk.AFTER if digest == record.after else OnDisk.OTHER


class Recovery(Enum):
    """What to do about an interrupted change."""

    NOTHING = "nothing"
    PUT_BACK = "put back"
    FINISH = "finish"  # the manifest is the new one: see whether it serves, finish or undo
    REMOVE = "remove"  # proved already: only the removals are left
    LEAVE = "leave"  # a stranger's edit: hands off


def recovery(journal: Journal, manifest: OnDisk) -> Recovery:
    """Decide from the last entry and from what stands at the manifest's path; the disk has the last word."""
    match journal.step:
        case Step.DONE | Step.UNPROVED | Step.UNDONE | Step.UNCONFIRMED | Step.STRANDED | Step.ABANDONED:
            return Recovery.NOTHING
        case Step.REMOVING:
            return Recovery.REMOVE
        case Step.PLANNED | Step.BACKED_UP | Step.INSTALLING | Step.STANDBY | Step.UNDOING:
            return Recovery.LEAVE if manifest is OnDisk.OTHER else Recovery.PUT_BACK
        case Step.ENDING | Step.REPLACING | Step.WAITING:
            if manifest is OnDisk.OTHER:
                return Recovery.LEAVE
            return Recovery.PUT_BACK if manifest in (OnDisk.BEFORE, OnDisk.ENDING) else Recovery.FINISH
        case _:
            assert_never(journal.step)


EFFECTIVE = frozenset({Step.DONE, Step.UNPROVED, Step.STRANDED})


def standing_changes(journals: Sequence[Journal]) -> list[Journal]:
    """Those whose effect is on the node still, oldest first: finished, and not taken back by a later rollback."""
    stack: list[Journal] = []
    for journal in journals:
        if journal.step not in EFFECTIVE:
            continue
        if journal.undoes:
            stack = [change for change in stack if change.id not in journal.undoes]
        else:
            stack.append(journal)
    return stack


def encode_header(journal: Journal) -> str:
    """The first line of a journal file: everything but the steps."""
    fields = journal._asdict() | {"files": [file._asdict() | {"role": file.role.value} for file in journal.files]}
    del fields["step"], fields["steps"]
    return json.dumps(fields, sort_keys=True) + "\n"


def encode_step(step: Step, at: str, note: str) -> str:
    """One further line."""
    return json.dumps({"step": step.value, "at": at, "note": note}, sort_keys=True) + "\n"


def decode(text: str) -> Journal | None:
    """Read a journal file; None where it cannot be read (damaged, or an unknown step of a newer version).

    A torn last line (power failure in the middle of an append) is as if it had not been written; header keys of a newer
    version are passed over.
    """
    try:
        return _decoded(text)
    except (KeyError, TypeError, ValueError):
        return None


def _decoded(text: str) -> Journal | None:
    lines = [parsed for line in text.split("\n") if (parsed := _parse(line)) is not None]
    if not lines or "id" not in lines[0]:
        return None
    header = {key: value for key, value in lines[0].items() if key in Journal._fields}
    files = tuple(FileRecord(**{**file, "role": Role(file["role"])}) for file in header.pop("files"))
    for name in ("made_directories", "undoes"):
        header[name] = tuple(header.get(name, ()))
    steps = tuple((line["step"], line["at"], line["note"]) for line in lines[1:])
    step = Step(steps[-1][0]) if steps else Step.PLANNED
    return Journal(**header, files=files, step=step, steps=steps)


def _parse(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
