"""Undo a failed change: keep the turn in the cluster, and wait until the old configuration is ready again."""

from __future__ import annotations

from auditctl.node.kubelet import restart
from auditctl.node.kubelet.restart import Failed, OutgoingProcess, Restarted, RestartTarget, RestartWaiter
from auditctl.operations.change.restart_strategy import serving
from auditctl.operations.change_model import GuardedRun, Restart

# The way back must not fail of a --timeout that was short on purpose: the kubelet alone takes up to 30 s of grace to
# stop a Pod and 20 s to its next listing.
LEAST_UNDO_SECONDS = 60.0


def wait_for_previous_configuration(run: GuardedRun, back_at: float, watch: RestartWaiter) -> Restarted | Failed:
    """Wait until a server runs with the settings that were put back at ``back_at`` (boot clock), and is ready.

    ``watch`` began before they were put back.
    """
    plane, planned = run.session.plane, run.planned
    now = serving(planned.after)
    if planned.restart is Restart.IN_PLACE and now is not None and now != run.before and now.started < back_at:
        restart.end_in_place(now)
    timeout = max(run.options.timeout_seconds, LEAST_UNDO_SECONDS)
    port = plane.endpoint(planned.after).port
    hanging = OutgoingProcess.hold(restart.any_other(planned.after, port))
    expected = RestartTarget(
        command=planned.before.command,
        renamed_at=back_at,
        endpoint=plane.endpoint(planned.before),
        credentials=plane.credentials(),
        or_started_before=run.first_renamed_at,
    )
    try:
        return watch.wait(expected, timeout=timeout, drain=run.drain, outgoing=hanging or run.outgoing)
    finally:
        if hanging is not None:
            hanging.release()


def keep_turn_for_undo(run: GuardedRun) -> None:
    """Extend the cluster's Lease to the deadline of an undo, which counts anew; it raises nothing."""
    if run.session.turn is not None:
        run.session.turn.renew(max(run.options.timeout_seconds, LEAST_UNDO_SECONDS) + run.drain)
