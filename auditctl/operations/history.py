"""``history``: what was changed on this node, by whom, and how it ended."""

from __future__ import annotations

from typing import Any

from auditctl.node.change.journal import BY_THE_WATCHDOG, EFFECTIVE, Journal, Role
from auditctl.operations.change_records import damaged
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report


def history(plane: ControlPlane) -> Report:
    """Return the report of every change, oldest first."""
    journals = plane.state.journals()
    undone = {change: journal.id for journal in journals if journal.step in EFFECTIVE for change in journal.undoes}
    lines = tuple(_line(journal, undone.get(journal.id)) for journal in journals)
    summary = f"{len(journals)} change{'' if len(journals) == 1 else 's'} on this node"
    return Report(
        "history",
        Outcome.UNCHANGED,
        summary,
        ManifestChange(str(plane.manifest_path)),
        findings=tuple(damaged(plane)),
        lines=lines,
        details={"history": [_row(plane, journal, undone.get(journal.id)) for journal in journals]},
    )


def _line(journal: Journal, undone_by: str | None) -> str:
    outcome = "taken back" if undone_by else _outcome(journal)
    by = f"  ({BY_THE_WATCHDOG})" if journal.ended_by_the_watchdog else ""
    return f"{journal.id}  {journal.command:8}  {outcome:10}  {person(journal):16}  {journal.summary}{by}"


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
        "backup": str(plane.state.saved(journal, Role.MANIFEST, "before")),
        "steps": [{"step": step, "at": at, "note": note or None} for step, at, note in journal.steps],
    }


def _outcome(journal: Journal) -> str:
    return journal.step.value if journal.finished else f"interrupted at {journal.step.value}"


def person(journal: Journal) -> str:
    """Return who made the change: the login, else who called sudo, else the user."""
    who = journal.who
    return str(who.get("login") or who.get("sudo") or who.get("user") or "?")
