"""``history``: what was changed on this node, by whom, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import unified_diff
from typing import Any

from auditctl import durations
from auditctl.compatibility import datetime_of
from auditctl.errors import RefusedError
from auditctl.node.change.backup import saved_bytes
from auditctl.node.change.journal import BY_THE_WATCHDOG, EFFECTIVE, FileRecord, Journal, Role, Step
from auditctl.operations.controlplane import ControlPlane, damaged
from auditctl.report import ManifestChange, Outcome, Report

_HEAD = ("ID", "AGE", "COMMAND", "OUTCOME", "BY", "WHAT")


def history(plane: ControlPlane) -> Report:
    """Return every change of this node, oldest first, each with its age and the reason where it was undone.

    Raises:
        RefusedError: the node's root is not there, so that an empty answer would be about another node.
    """
    plane.require_root()
    journals = plane.state.journals()
    undone = _undone_by(journals)
    rows = [_cells(plane, journal, undone.get(journal.id)) for journal in journals]
    summary = f"{len(journals)} change{'' if len(journals) == 1 else 's'} on this node"
    return Report(
        command="history",
        outcome=Outcome.UNCHANGED,
        summary=summary,
        manifest=ManifestChange(path=str(plane.manifest_path)),
        findings=tuple(damaged(plane)),
        next_steps=(f"auditctl history show {journals[-1].id}",) if journals else (),
        lines=tuple(_table([_HEAD, *rows])) if rows else (),
        details={"history": [_row(plane, journal, undone.get(journal.id)) for journal in journals]},
    )


def show(plane: ControlPlane, change_id: str) -> Report:
    """Return one change: its steps, its files, and the diff of what it wrote; a webhook's kubeconfig holds secrets.

    Raises:
        RefusedError: no change has that ID, or several begin so.
    """
    journals = plane.state.journals()
    matching = [journal for journal in journals if journal.id.startswith(change_id)]
    if len(matching) != 1:
        count = "no change" if not matching else "more than one change"
        raise RefusedError(f"{count} of this node begins with {change_id}", check="no-change", fix="auditctl history")
    (journal,) = matching
    undone_by = _undone_by(journals).get(journal.id)
    _, age, *_ = _cells(plane, journal, undone_by)
    diff = "".join(_diffs(plane, journal))
    lines = (
        f"change   {journal.id}: {journal.command}, {age} ago, by {person(journal)}",
        f"outcome  {_outcome_words(journal)}{f'; rolled back by {undone_by}' if undone_by else ''}",
        *(f"file     {file.role.value}: {file.path} ({_file_words(file)})" for file in journal.files),
        *(f"step     {at}  {step}{f': {note}' if note else ''}" for step, at, note in journal.steps),
        *diff.splitlines(),
    )
    return Report(
        command="history show",
        outcome=Outcome.UNCHANGED,
        summary=f"{journal.command}: {journal.summary}",
        manifest=ManifestChange(path=str(plane.manifest_path)),
        lines=lines,
        details={"history": [_row(plane, journal, undone_by)], "diff": diff},
    )


def _undone_by(journals: Sequence[Journal]) -> dict[str, str]:
    return {change: journal.id for journal in journals if journal.step in EFFECTIVE for change in journal.undoes}


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(plane: ControlPlane, journal: Journal, undone_by: str | None) -> tuple[str, ...]:
    passed = plane.clock.utc() - datetime_of(journal.started)
    outcome = "rolled back" if undone_by else _outcome_words(journal)
    age = durations.age(passed.total_seconds())
    return (journal.id, age, journal.command, outcome, person(journal), journal.summary)


def _outcome_words(journal: Journal) -> str:
    """Return how the change ended, with the reason where it was not simply done."""
    if journal.step in (Step.DONE, Step.UNPROVED):
        words = _OUTCOMES[journal.step]
        return f"{words} ({BY_THE_WATCHDOG})" if journal.ended_by_the_watchdog else words
    reason = _reason(journal)
    return f"{_OUTCOMES.get(journal.step, _outcome(journal))}{f': {reason}' if reason else ''}"


def _reason(journal: Journal) -> str:
    """Return the note of the step at which the change began to fail, else of its last one."""
    notes = {step: note for step, _, note in journal.steps}
    return notes.get(Step.UNDOING.value) or (journal.steps[-1][2] if journal.steps else "")


_OUTCOMES = {
    Step.DONE: "done",
    Step.UNPROVED: "done, not proved",
    Step.UNDONE: "failed and undone",
    Step.UNCONFIRMED: "failed; undone, not confirmed",
    Step.STRANDED: "failed, not undone",
    Step.ABANDONED: "given up: the manifest was changed by somebody else",
}


def _file_words(file: FileRecord) -> str:
    if file.before is None:
        return "installed"
    return "removed" if file.after is None else ("unchanged" if file.before == file.after else "changed")


def _diffs(plane: ControlPlane, journal: Journal) -> Iterator[str]:
    """Yield the unified diff of each file whose bytes were saved."""
    for file in journal.files:
        if file.role in (Role.MANIFEST, Role.POLICY) and file.before != file.after:
            before, after = (_saved_lines(plane, journal, file, when) for when in ("before", "after"))
            if before is None or after is None:
                yield f"# {file.path}: the saved bytes are not there any more\n"
                continue
            for line in unified_diff(before, after, f"a{file.path}", f"b{file.path}"):
                yield line if line.endswith("\n") else f"{line}\n"


def _saved_lines(plane: ControlPlane, journal: Journal, file: FileRecord, when: str) -> list[str] | None:
    """Return the saved text of one file; no lines where the file was absent, None where the backup is gone."""
    if (file.before if when == "before" else file.after) is None:
        return []
    try:
        return saved_bytes(plane.state, journal, file, when).decode(errors="replace").splitlines(keepends=True)
    except RefusedError:
        return None


def _row(plane: ControlPlane, journal: Journal, undone_by: str | None) -> dict[str, Any]:
    return {
        "id": journal.id,
        "time": journal.started,
        "command": journal.command,
        "who": journal.who,
        "outcome": _outcome(journal),
        "summary": journal.summary,
        "undoes": list(journal.undoes),
        "undoneBy": undone_by,
        "reason": _reason(journal) if journal.step not in (Step.DONE, Step.UNPROVED) else None,
        "backup": str(plane.state.saved(journal, Role.MANIFEST, "before")),
        "steps": [{"step": step, "at": at, "note": note or None} for step, at, note in journal.steps],
    }


def _outcome(journal: Journal) -> str:
    return journal.step.value if journal.finished else f"interrupted at {journal.step.value}"


def person(journal: Journal) -> str:
    """Return who made the change: the login, else who called sudo, else the user."""
    who = journal.who
    return str(who.get("login") or who.get("sudo") or who.get("user") or "?")
