"""``history`` and ``recover``: what was changed on this node, by whom, and how it ended."""

from __future__ import annotations

from typing import Any

from auditctl.findings import Verification
from auditctl.node.change.journal import BY_THE_WATCHDOG, EFFECTIVE, Journal, Role
from auditctl.operations.change.session import session
from auditctl.operations.change_records import damaged
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report


def history(plane: ControlPlane) -> Report:
    """Every change, oldest first."""
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


def recover(plane: ControlPlane) -> Report:
    """Finish or undo an interrupted change, and nothing else."""
    with session(plane, "recover") as opened:
        told = opened.recovered
    changed = any(finding.check == "interrupted-change" for finding in told)
    return Report(
        "recover",
        Outcome.CHANGED if changed else Outcome.UNCHANGED,
        told[-1].message if told else "no change was interrupted",
        ManifestChange(str(plane.manifest_path)),
        changed=changed,
        findings=told,
        verification=Verification(),
    )


def _line(journal: Journal, undone_by: str | None) -> str:
    outcome = "taken back" if undone_by else _outcome(journal)
    by = f"  ({BY_THE_WATCHDOG})" if journal.ended_by_the_watchdog else ""
    return f"{journal.id}  {journal.command:8}  {outcome:10}  {_person(journal):16}  {journal.summary}{by}"


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


def _person(journal: Journal) -> str:
    who = journal.who
    return str(who.get("login") or who.get("sudo") or who.get("user") or "?")
