"""Change the node under its lock: recover an interrupted change, decide, ask, perform, report."""

from __future__ import annotations

from dataclasses import replace

from auditctl.errors import InterruptionError, RefusedError
from auditctl.node.change import files
from auditctl.node.change.signals import while_asking
from auditctl.operations.change.kubeadm_record import recording
from auditctl.operations.change.report import performed_report, plan_lines, unchanged_report
from auditctl.operations.change.run import perform
from auditctl.operations.change.session import session
from auditctl.operations.change.standby import settle_standby
from auditctl.operations.change.turn import turn
from auditctl.operations.change_model import (
    ChangeDecision,
    ChangeOptions,
    ChangeResult,
    Deadline,
    Decide,
    Recovered,
    Restart,
    Session,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Outcome, Report


def change_node(plane: ControlPlane, options: ChangeOptions, command: str, decide: Decide) -> Report:
    """Decide and perform under the node's lock; return the report.

    Raises:
        RefusedError: nothing was changed.
        StrandedError: a change could not be put back.
    """
    with session(plane, command) as opened:
        decision = decide(Recovered(opened.deadline, opened.recovered))
        if isinstance(decision, Report):
            return decision
        record = recording(plane, decision.planned.after, options)
        if decision.nothing:
            result = decision.finish(ChangeResult(outcome=Outcome.UNCHANGED))
            findings = (*opened.recovered, *decision.findings, *result.findings)
            report = unchanged_report(plane, decision.planned, findings, options, opened.deadline)
            return record(decision.conclude(report))
        decision, options = settle_standby(plane, decision, options)
        _review(opened, decision, options)
        with turn(opened, decision.planned, options) as own:
            decision, result = _perform(opened._replace(turn=own), decision, options)
        findings = (*opened.recovered, *decision.findings, *own.findings)
        report = performed_report(plane, decision.planned, findings, decision.finish(result))
        return record(decision.conclude(report))


def _review(opened: Session, decision: ChangeDecision, options: ChangeOptions) -> None:
    """Show the plan; before a restart of the machine's own API server, ask whether to go on.

    The lock is held meanwhile. What somebody edits in the time that the answer takes is respected all the same: the
    digests of manifest and files are compared again right before each rename.

    Raises:
        InterruptionError: the answer is no; nothing was changed.
        RefusedError: a file that was examined was changed meanwhile; nothing was changed by us.
    """
    plane = opened.plane
    can_ask = plane.root.is_host and not options.assume_yes and decision.planned.restart is not Restart.NONE
    try:
        with while_asking():
            is_accepted = plane.reviewer.accepts(plan_lines(plane, decision), "Proceed?" if can_ask else "")
    except KeyboardInterrupt:
        is_accepted = False
    if not is_accepted:
        raise InterruptionError("cancelled; nothing was changed", check="cancelled")
    for path, digest in decision.examined:
        if files.digest(path) != digest:
            text = f"{path}: somebody else changed it a moment ago"
            raise RefusedError(text, check="changed-meanwhile", fix="run the command again")


def _perform(opened: Session, decision: ChangeDecision, options: ChangeOptions) -> tuple[ChangeDecision, ChangeResult]:
    """Perform the change and each that follows it, until one fails; return the last with its result."""
    is_last = decision.follow_up is None
    result = perform(opened, decision.planned, options if is_last else replace(options, wait=False))
    if decision.follow_up is None or result.outcome is not Outcome.CHANGED:
        return decision, result
    # One is done and was not waited for: an interruption between the two would leave a restart that nobody has proved.
    opened = opened._replace(deadline=Deadline())
    following = decision.follow_up(Recovered(opened.deadline, opened.recovered))
    return _perform(opened, following, options) if isinstance(following, ChangeDecision) else (decision, result)
