"""``doctor``: name what is broken or will break, its cause and the next step; ``--fix`` repairs it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Settled, Severity
from auditctl.node.change import files
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.operations import restart
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.report import settled
from auditctl.operations.change_model import ChangeDecision, ChangeOptions, ChangeResult, Recovered
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.collect import Observations, look
from auditctl.operations.doctor.repair import Repair, repair
from auditctl.operations.evidence.auditing import weighty
from auditctl.report import ManifestChange, Outcome, Report

_PROOFS = frozenset(["receipt", "policy-loaded", "log-open", "delivery"])
_GUESSED = "probably: "


def doctor(plane: ControlPlane, options: ChangeOptions, *, fix: bool) -> Report:
    """Examine the node; with ``fix``, perform the first safe repair; return the report.

    Raises:
        RefusedError: ``fix`` cannot be done on this node; nothing was changed.
        StrandedError: a repair could not be undone.
    """
    if not fix:
        return _report(plane, look(plane, options), options)
    return run_change(plane, options, "doctor", lambda recovered: _decide(plane, options, recovered))


def _decide(plane: ControlPlane, options: ChangeOptions, recovered: Recovered) -> ChangeDecision | Report:
    """Decide the first repair, or return the report where there is none.

    Raises:
        RefusedError: something is in the way of a repair.
    """
    observations = look(plane, options, proving=False)
    chosen_repair = repair(plane, observations, options)
    if chosen_repair is None:
        if options.dry_run:
            return _report(plane, observations, options)
        return _nothing(plane, look(plane, options), recovered.findings, options)
    purpose = chosen_repair.purpose

    def conclude(report: Report) -> Report:
        if options.dry_run:
            return replace(report, command="doctor", summary=f"Dry run, nothing changed. The repair would {purpose}")
        return _repaired(plane, replace(report, command="doctor"), purpose, options)

    if chosen_repair.planned is None:
        return replace(restart.decide(plane, options, recovered), conclude=conclude)
    return ChangeDecision(
        planned=chosen_repair.planned,
        findings=chosen_repair.findings,
        finish=lambda result: _keep_rejected(chosen_repair, result),
        conclude=conclude,
        follow_up=(lambda later: _decide(plane, options, later)) if chosen_repair.more else None,
    )


def _repaired(plane: ControlPlane, report: Report, purpose: str, options: ChangeOptions) -> Report:
    """Add to the report what was repaired, and what is left to be done."""
    if report.outcome is not Outcome.CHANGED:
        return report
    left = look(plane, options, proving=False).findings
    wrong = [finding for finding in left if finding.severity is Severity.ERROR]
    steps = (*report.next_steps, *(("auditctl doctor --fix",) if wrong else ()))
    more = f"; {_count(wrong, 'error')} left" if wrong else ""
    return replace(
        report,
        summary=f"repaired: {purpose}; {report.summary}{more}",
        findings=(*report.findings, *wrong),
        next_steps=steps,
    )


def _keep_rejected(applied: Repair, result: ChangeResult) -> ChangeResult:
    """Keep the user's own policy beside the one that replaced it; return the result with the next step."""
    edit = applied.rejected
    if edit is None or edit.before is None or result.change is None or result.outcome is not Outcome.CHANGED:
        return result
    beside = edit.path.with_name(f"{edit.path.name}.rejected-{result.change.id}")
    with suppress(OSError, RefusedError):
        files.replace_file(beside, edit.before.content, edit.before)
        step = f"repair {beside}, then: auditctl enable --policy {beside}"
        return replace(result, next_steps=(*result.next_steps, step))
    return result


def _nothing(
    plane: ControlPlane, looked: Observations, recovered: tuple[Finding, ...], options: ChangeOptions
) -> Report:
    """Return the report where no repair is needed, or none is safe."""
    others = tuple(finding for finding in looked.findings if finding.check != "running-change")  # it is this very run
    looked = replace(looked, findings=others)
    report = _report(plane, looked, options)
    wrong = [finding for finding in looked.findings if finding.severity is Severity.ERROR]
    text = f"{report.summary}; none has one safe repair: nothing was changed" if wrong else report.summary
    changed = any(finding.check == "interrupted-change" for finding in recovered)  # what a watchdog did is old news
    return replace(report, summary=text, findings=(*recovered, *report.findings), changed=changed)


def _report(plane: ControlPlane, looked: Observations, options: ChangeOptions) -> Report:
    """Return the report: exit code 0 if nothing is wrong, else 1.

    A warning counts if it means that events are missing or misplaced; an opinion about cost or secrecy only under ``--strict``.
    """
    wrong = sorted(weighty(looked.findings), key=_rank)
    if options.strict:
        wrong = [finding for finding in looked.findings if finding.severity is not Severity.INFO]
    digest = looked.snapshot.sha256 if looked.snapshot is not None else None
    return Report(
        command="doctor",
        outcome=Outcome.NEGATIVE if wrong else Outcome.UNCHANGED,
        summary=_summary(looked, wrong),
        manifest=ManifestChange(path=str(plane.manifest_path), before=digest, after=digest),
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
    """Return what the manifest sets; None where its mounts cannot be resolved."""
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
    """Return whether the first finding is the diagnosis of the node's state."""
    return looked.diagnosis.certain and any(finding.check == looked.diagnosis.check for finding in looked.findings)


def _count(findings: list[Finding], noun: str) -> str:
    return f"{len(findings)} {noun}{'' if len(findings) == 1 else 's'}"


def _details(looked: Observations) -> dict[str, Any]:
    """Return the diagnosis for programs: state, certainty, cause, and the log that says so."""
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
