"""Write the settings of a proved change to the ConfigMap kubeadm-config too (``--persist``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Outcome, Report

if TYPE_CHECKING:
    from auditctl.operations.kubeadm.config import PreparedRecord


def recording(plane: ControlPlane, after: Manifest, options: ChangeOptions) -> Callable[[Report], Report]:
    """Plan the update of kubeadm-config before the edit; return what performs it behind the report.

    Without ``--persist`` that returns the report as it is. Nothing is written unless the report says that the node is well.

    Raises:
        RefusedError: the record cannot be read or edited, or other control planes differ.
    """
    if not options.persist:
        return _as_it_is
    from auditctl.operations.kubeadm import config, join  # ssl comes with it

    prepared = config.prepare(plane, after, options)

    def record(report: Report) -> Report:
        findings = (*report.findings, *prepared.findings, *join.of_a_join(plane, after))
        row = {"source": config.WHERE, "changes": prepared.plan.changes, "written": False}
        if options.dry_run:
            return _of_a_dry_run(replace(report, findings=findings), prepared, row)
        report = replace(report, findings=findings)
        if report.outcome not in (Outcome.CHANGED, Outcome.UNCHANGED) or report.verification.holds is False:
            return report
        try:
            written = config.write_anew(plane, after)
        except RefusedError as error:
            return replace(_not_recorded(report, error), details={**report.details, "kubeadmConfig": row})
        return replace(
            _recorded(report, written=written), details={**report.details, "kubeadmConfig": {**row, "written": written}}
        )

    return record


def _of_a_dry_run(report: Report, prepared: PreparedRecord, row: dict[str, Any]) -> Report:
    """Return the report with the difference that a real run would make of the record."""
    diff = prepared.plan.diff("kubeadm-config/ClusterConfiguration") if prepared.plan.changes else ""
    lines = tuple(diff.splitlines()) or (f"{row['source']}: no change needed",)
    details = {**report.details, "kubeadmConfig": {**row, "diff": diff}}
    return replace(report, lines=(*report.lines, *lines), details=details)


def _recorded(report: Report, *, written: bool) -> Report:
    """Return the report of a node whose settings are in kubeadm-config; ``written``: by this run."""
    state = "kubeadm-config was written" if written else "kubeadm-config has these settings already"
    return replace(
        report,
        changed=report.changed or written,
        outcome=Outcome.CHANGED if written else report.outcome,
        summary=f"{report.summary}; {state}",
        next_steps=tuple(step for step in report.next_steps if "kubeadm-config" not in step),
    )


def _as_it_is(report: Report) -> Report:
    return report


def _not_recorded(report: Report, error: RefusedError) -> Report:
    """Return the report of a node that is well, but whose settings the next upgrade would undo."""
    finding = Finding.error(error.check, error.message, error.fix)
    return replace(
        report,
        outcome=Outcome.NEGATIVE,
        summary=f"{report.summary}; but kubeadm-config was not written: {error.message}",
        findings=(*report.findings, finding),
        next_steps=("auditctl kubeadm persist",),
    )
