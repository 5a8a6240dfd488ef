"""``doctor``: name what is broken or will break, with its cause and the one next step; ``--fix`` for what has one safe repair."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Settled, Severity
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.operations.change import preflight
from auditctl.operations.change.report import dry_run_report, performed_report, settled
from auditctl.operations.change_model import ChangeOptions, ChangeResult, PlannedChange
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.collect import Observations, look
from auditctl.operations.doctor.repair import Repair, repair
from auditctl.operations.evidence.auditing import weighty
from auditctl.report import ManifestChange, Outcome, Report

if TYPE_CHECKING:
    from auditctl.operations.change.session import Session

_PROOFS = frozenset(["receipt", "policy-loaded", "log-open", "delivery"])
_GUESSED = "probably: "


def doctor(plane: ControlPlane, how: ChangeOptions, *, fix: bool) -> Report:
    """Look at everything; with ``fix``, repair the first thing that has one safe repair.

    Raises:
        RefusedError: ``fix`` cannot be done on this node; nothing was changed.
        StrandedError: a repair could not be undone.
    """
    if not fix:
        return _report(plane, look(plane, how), how)
    if how.dry_run:
        looked = look(plane, how, proving=False)
        found = repair(plane, looked, how)
        return _report(plane, looked, how) if found is None else _planned(plane, found, how)
    from auditctl.operations.change.session import session

    with session(plane, "doctor") as opened:
        found = repair(plane, look(plane, how, proving=False), how)
        if found is not None and found.work is not None:
            return _perform(plane, opened, found, found.work, how)
        if found is None:
            return _nothing(plane, look(plane, how), opened.recovered, how)
    from auditctl.operations.restart import restart

    return _repaired(plane, restart(plane, how)._replace(command="doctor"), found, how)


def _perform(plane: ControlPlane, opened: Session, found: Repair, work: PlannedChange, how: ChangeOptions) -> Report:
    """Do it; of several of its kind each, until one does not go well, and wait for the last."""
    from auditctl.operations.change.run import perform

    performed = perform(opened, work, how._replace(wait=how.wait and not found.more))
    if found.more and performed.outcome is Outcome.CHANGED:
        again = repair(plane, look(plane, how, proving=False), how)
        if again is not None and again.work is not None:
            # one is moved: to stop here would leave a restart that nobody has waited for
            return _perform(plane, opened._replace(interrupted=_never), again, again.work, how)
    performed = _keep_rejected(found, performed)
    told = (*opened.recovered, *found.findings)
    return _repaired(plane, performed_report(plane, work, told, performed), found, how)


def _never() -> bool:
    return False


def _planned(plane: ControlPlane, found: Repair, how: ChangeOptions) -> Report:
    preflight.check_places(plane)
    if found.work is not None:
        report = dry_run_report(plane, found.work, found.findings, nothing=False)
    else:
        from auditctl.operations.restart import restart

        report = restart(plane, how)
    return report._replace(command="doctor", summary=f"dry run: would {found.what}; nothing was touched")


def _repaired(plane: ControlPlane, report: Report, found: Repair, how: ChangeOptions) -> Report:
    """What was repaired, and what is left to be done."""
    if report.outcome is not Outcome.CHANGED:
        return report
    left = look(plane, how, proving=False).findings
    wrong = [finding for finding in left if finding.severity is Severity.ERROR]
    steps = (*report.next_steps, *(("auditctl doctor --fix",) if wrong else ()))
    more = f"; {_count(wrong, 'error')} left" if wrong else ""
    return report._replace(
        summary=f"repaired: {found.what}; {report.summary}{more}",
        findings=(*report.findings, *wrong),
        next_steps=steps,
    )


def _keep_rejected(found: Repair, performed: ChangeResult) -> ChangeResult:
    """The user's own policy stays beside the one that replaced it."""
    edit: FileEdit | None = found.rejected
    if edit is None or edit.before is None or performed.change is None or performed.outcome is not Outcome.CHANGED:
        return performed
    beside = edit.path.with_name(f"{edit.path.name}.rejected-{performed.change.id}")
    with suppress(OSError, RefusedError):
        files.replace(beside, edit.before.content, edit.before)
        step = f"repair {beside}, then: auditctl enable --policy {beside}"
        return performed._replace(next_steps=(*performed.next_steps, step))
    return performed


def _nothing(plane: ControlPlane, looked: Observations, recovered: tuple[Finding, ...], how: ChangeOptions) -> Report:
    """No repair was needed, or none is safe."""
    others = tuple(finding for finding in looked.findings if finding.check != "running-change")  # it is this very run
    looked = replace(looked, findings=others)
    report = _report(plane, looked, how)
    wrong = [finding for finding in looked.findings if finding.severity is Severity.ERROR]
    text = f"{report.summary}; none has one safe repair: nothing was changed" if wrong else report.summary
    changed = any(finding.check == "interrupted-change" for finding in recovered)  # what a watchdog did is old news
    return report._replace(summary=text, findings=(*recovered, *report.findings), changed=changed)


def _report(plane: ControlPlane, looked: Observations, how: ChangeOptions) -> Report:
    """Exit 0 where nothing is wrong, 1 where something is.

    A warning counts if it means that events are missing or misplaced; an opinion about cost or secrecy only under ``--strict``.
    """
    wrong = sorted(weighty(looked.findings), key=_rank)
    if how.strict:
        wrong = [finding for finding in looked.findings if finding.severity is not Severity.INFO]
    digest = looked.snapshot.sha256 if looked.snapshot is not None else None
    return Report(
        "doctor",
        Outcome.NEGATIVE if wrong else Outcome.UNCHANGED,
        _summary(looked, wrong),
        ManifestChange(str(plane.manifest_path), digest, digest),
        settings=_settled(plane, looked),
        findings=looked.findings,
        verification=looked.verification,
        receipt=looked.receipt,
        next_steps=tuple(finding.fix for finding in wrong if finding.fix)[:1],
        details={"doctor": _details(looked)},
    )


def _rank(finding: Finding) -> int:
    """Order causes before what follows from them: a proof that failed comes last."""
    return 2 if finding.check in _PROOFS else int(finding.severity is not Severity.ERROR)


def _settled(plane: ControlPlane, looked: Observations) -> Settled | None:
    """What the manifest sets; None where its mounts lead nowhere."""
    with suppress(RefusedError):
        return settled(plane, looked.manifest) if looked.manifest is not None else None
    return None


def _summary(looked: Observations, wrong: list[Finding]) -> str:
    if wrong:
        first = wrong[0]
        place = ":".join(str(part) for part in (first.file, first.line, first.column) if part)
        where = f"{place}: " if place else ""
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return (
            f"{looked.diagnosis.state.value}: {where}{first.message}{more}"
            if _is_diagnosis(looked)
            else (f"{_count(wrong, 'finding')}: {where}{first.message}{more}")
        )
    mild = [finding for finding in looked.findings if finding.severity is Severity.WARNING]
    warned = f"; {_count(mild, 'warning')}" if mild else ""
    judged = looked.diagnosis
    if judged.state is not ServerState.SERVING:
        return f"{judged.state.value}: {judged.message}{warned}"
    return f"No problem found{warned}: {judged.message}"


def _is_diagnosis(looked: Observations) -> bool:
    """Does the first finding tell of the state that the node is in?"""
    return looked.diagnosis.certain and any(finding.check == looked.diagnosis.check for finding in looked.findings)


def _count(findings: list[Finding], what: str) -> str:
    return f"{len(findings)} {what}{'' if len(findings) == 1 else 's'}"


def _details(looked: Observations) -> dict[str, Any]:
    """For programs: where the way to a serving API server ends, how sure that is, and whose words say so."""
    crash = looked.diagnosis.crash
    return {
        "state": looked.diagnosis.state.name.lower().replace("_", "-"),
        "certain": looked.diagnosis.certain,
        "cause": looked.diagnosis.message,
        "words": crash.words if crash is not None else None,
        "said": {"by": crash.says, "at": crash.at or None} if crash is not None else None,
        "kubeletLog": looked.evidence.kubelet_log or None,
        "guessed": [finding.check for finding in looked.findings if finding.message.startswith(_GUESSED)],
    }
