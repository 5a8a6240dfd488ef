"""Run a changing command: decide, then report a dry run, or perform the change and report it."""

from __future__ import annotations

from dataclasses import replace

from auditctl.operations.change.kubeadm_record import recording
from auditctl.operations.change.preflight import check_places, is_live
from auditctl.operations.change.report import dry_run_report
from auditctl.operations.change_model import ChangeOptions, Decide, NoDowntime, Recovered
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report


def run_change(plane: ControlPlane, options: ChangeOptions, command: str, decide: Decide) -> Report:
    """Decide a change and perform it, or only say what it would do (``--dry-run``); return the report.

    A dry run asks `decide` the same questions as a real one, takes no lock and imports nothing that only a real run needs.

    Raises:
        RefusedError: nothing was changed.
        StrandedError: a change could not be put back.
    """
    if not options.dry_run:
        from auditctl.operations.change.live_run import change_node  # ssl and the HTTP client come with it

        return change_node(plane, options, command, decide)
    check_places(plane)
    decision = decide(Recovered())
    if isinstance(decision, Report):
        return decision
    if options.no_downtime is not NoDowntime.OFF:
        from auditctl.operations.change.standby import settle_standby  # as above

        decision, options = settle_standby(plane, decision, options)
    record = recording(plane, decision.planned.after, options)
    report = dry_run_report(plane, decision)
    if options.wait and not is_live(plane, decision.planned.before, options):
        text = "not checked: what a running API server shows; none runs with the command line of this manifest"
        report = replace(report, lines=(*report.lines, text))
    return record(decision.conclude(report))
