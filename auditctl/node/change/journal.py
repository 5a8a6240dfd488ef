"""The journal of a change: its states as a table, its record as lines of JSON. Opens no file.

Two laws. Everything that decides what a state may become stands in `TRANSITIONS`; everything that decides what to do
about an interrupted change stands in `recovery`. An entry is written (and fsynced) *before* the act that it names, so
a journal that ends in `REPLACING` says: the rename may or may not have happened; look at the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any

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
    """Which file of the node it is."""

    MANIFEST = "manifest"
    POLICY = "policy"
    WEBHOOK = "webhook"
    STRAY = "stray"  # another manifest of the same Pod, moved out of the kubelet's sight


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """One file of a change: SHA-256 before and after (None: absent), and its node path.

    ``removed_last`` marks a file that goes only after the change is proved (``disable --purge``). ``ending`` are the SHA-256
    of texts that stand in between, while a Pod ends; none where there are none.
    """

    role: Role
    path: str
    before: str | None
    after: str | None
    removed_last: bool = False
    ending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The record of one change. ``restart`` names how the server was to read it, empty if unknown.

    ``turn`` is the holder of the cluster's Lease that the change has, empty if it has none.
    """

    id: str
    command: str
    started: str
    who: dict[str, str | None]
    files: tuple[FileRecord, ...]
    made_directories: tuple[str, ...] = ()
    summary: str = ""
    undoes: tuple[str, ...] = ()
    restart: str = ""
    turn: str = ""
    step: Step = Step.PLANNED
    steps: tuple[tuple[str, str, str], ...] = ()

    def to(self, step: Step, at: str, note: str = "") -> Journal:
        """Return the journal after one more entry.

        Raises:
            BugError: the state table has no such transition.
        """
        if step not in TRANSITIONS[self.step]:
            raise BugError(f"journal {self.id}: no way from {self.step.value} to {step.value}")
        return replace(self, step=step, steps=(*self.steps, (step.value, at, note)))

    @property
    def manifest(self) -> FileRecord:
        """Return the manifest's record; every change has one."""
        return next(file for file in self.files if file.role is Role.MANIFEST)

    @property
    def finished(self) -> bool:
        return self.step in FINAL

    @property
    def ended_by_the_watchdog(self) -> bool:
        """Tell whether the watchdog finished it, because its own run had ended."""
        return self.finished and bool(self.steps) and self.steps[-1][2].endswith(BY_THE_WATCHDOG)


class OnDisk(Enum):
    """Which of a change's texts is on disk now. ENDING has the settings of BEFORE, and ends its Pod."""

    BEFORE = "before"
    ENDING = "ending"
    AFTER = "after"
    SAME = "same"
    OTHER = "other"


def standing(record: FileRecord, digest: str | None) -> OnDisk:
    """Compare a file's SHA-256 (None if absent) with the change's two states of that file."""
    if record.before == record.after == digest:
        return OnDisk.SAME
    if digest == record.before:
        return OnDisk.BEFORE
    if digest in record.ending:
        return OnDisk.ENDING
    return OnDisk.AFTER if digest == record.after else OnDisk.OTHER


class Recovery(Enum):
    """The next act for an interrupted change."""

    NOTHING = "nothing"
    PUT_BACK = "put back"
    FINISH = "finish"  # the manifest is the new one: see whether it serves, finish or undo
    REMOVE = "remove"  # proved already: only the removals are left
    LEAVE = "leave"  # a stranger's edit: hands off


def recovery(journal: Journal, manifest: OnDisk) -> Recovery:
    """Decide from the last entry and from the manifest on disk; the disk has the last word."""
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
    """Return the changes whose effect is on the node, oldest first: finished, and not rolled back later."""
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
    """Return the first line of a journal file: everything but the steps."""
    fields = asdict(journal) | {"files": [asdict(file) | {"role": file.role.value} for file in journal.files]}
    del fields["step"], fields["steps"]
    return json.dumps(fields, sort_keys=True) + "\n"


def encode_step(step: Step, at: str, note: str) -> str:
    """Return one further line."""
    return json.dumps({"step": step.value, "at": at, "note": note}, sort_keys=True) + "\n"


def decode(text: str) -> Journal | None:
    """Return the journal of a file's text; None where it is damaged, or has an unknown step.

    A torn last line (power failure in the middle of an append) is as if it had not been written; header keys of a newer
    version are passed over. A value of another type, or a path that does not lead straight down from the root, makes
    the record unreadable: what it says is written to by root.
    """
    try:
        return _decoded(text)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _decoded(text: str) -> Journal | None:
    lines = [parsed for line in text.split("\n") if (parsed := _parse(line)) is not None]
    if not lines or "id" not in lines[0]:
        return None
    header = lines[0]
    steps = tuple((_text(line["step"]), _text(line["at"]), _text(line["note"])) for line in lines[1:])
    journal = Journal(
        id=_text(header["id"]),
        command=_text(header["command"]),
        started=_text(header["started"]),
        who={_text(key): _text_or_none(value) for key, value in header["who"].items()},
        files=tuple(_file_record(row) for row in _rows(header["files"])),
        made_directories=tuple(_node_path(path) for path in _rows(header.get("made_directories", []))),
        summary=_text(header.get("summary", "")),
        undoes=tuple(_text(change) for change in _rows(header.get("undoes", []))),
        restart=_text(header.get("restart", "")),
        turn=_text(header.get("turn", "")),
        step=Step(steps[-1][0]) if steps else Step.PLANNED,
        steps=steps,
    )
    if sum(file.role is Role.MANIFEST for file in journal.files) != 1:
        raise ValueError("a change has one manifest")
    return journal


def _file_record(row: dict[str, Any]) -> FileRecord:
    removed_last = row.get("removed_last", False)
    if not isinstance(removed_last, bool):
        raise TypeError("removed_last")
    before, after = _text_or_none(row["before"]), _text_or_none(row["after"])
    ending = row.get("ending") or ()  # one text alone, as earlier versions had it
    ending = (ending,) if isinstance(ending, str) else ending
    return FileRecord(
        role=Role(row["role"]),
        path=_node_path(row["path"]),
        before=before,
        after=after,
        removed_last=removed_last,
        ending=tuple(_text(digest) for digest in ending),
    )


def _node_path(value: object) -> str:
    """Return an absolute path of the node without ``..``: no record leads out of ``--rootfs``."""
    path = _text(value)
    if not path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ValueError(path)
    return path


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _rows(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _parse(line: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):  # deeper than the parser goes: nothing of ours
        return None
    return parsed if isinstance(parsed, dict) else None
