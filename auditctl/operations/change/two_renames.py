"""Replace a static Pod in two renames, which takes the kubelet about 5 s where one rename takes about 15.

The kubelet lets the new Pod wait until the old one of the same name is terminated, and looks again only 10 to 15 s after
the new manifest came (pkg/kubelet/pod_workers.go, backOffPeriod with its jitter). So the first rename brings a text that
only ends the old Pod: the old settings and one annotation more, and a run that dies here leaves the old configuration.
The second one brings the new text once the kubelet has finished with the old Pod: that Pod starts at once.
"""

from __future__ import annotations

from typing import NamedTuple

from auditctl.errors import InterruptionError, ManifestError, RefusedError
from auditctl.manifest.plan import plan_ending
from auditctl.node.apiserver.process import Process
from auditctl.node.change.change import replace_manifest
from auditctl.node.change.journal import Step
from auditctl.node.kubelet.pod_end import PodRemains
from auditctl.node.kubelet.restart import OutgoingProcess, RestartWaiter
from auditctl.operations.change_model import ChangeOptions, Deadline, GuardedRun, PlannedChange, Restart
from auditctl.operations.controlplane import ControlPlane

_POLL_SECONDS = 0.05
# A Pod that waits is looked at again after 10 s at the earliest: were the old Pod terminated by then without the new text
# in place, the Pod of the first text would start, and would have to be ended in its turn.
_LONGEST_DRAIN_SECONDS = 6.0
LONGEST_WAIT_SECONDS = 20.0


class TwoRenames(NamedTuple):
    """The text of the first rename, and what the host shows of the old Pod."""

    text: bytes
    remains: PodRemains

    @classmethod
    def of(
        cls, plane: ControlPlane, planned: PlannedChange, options: ChangeOptions, before: Process | None, drain: float
    ) -> TwoRenames | None:
        """Return how the Pod is replaced in two renames; None where one rename must do.

        One must do where nobody waits, where no server runs that would be ended, where it gets the kubelet's whole grace
        period, and where its end cannot be told.
        """
        replaces = planned.restart is Restart.REPLACE_POD and planned.plan.changes
        moves_another = any(edit.role.name == "STRAY" for edit in planned.edits)
        if not (options.wait and replaces and before and 0 < drain <= _LONGEST_DRAIN_SECONDS) or moves_another:
            return None
        remains = PodRemains.of(plane.root, before)
        if remains is None:
            return None
        try:
            plan = plan_ending(planned.before, plane.clock.utc().strftime("%Y%m%dT%H%M%S.%fZ"))
        except ManifestError:
            return None
        return cls(plan.after.encode(), remains) if plan.changes else None

    def await_end(
        self,
        watch: RestartWaiter,
        outgoing: OutgoingProcess,
        drain: float,
        port: int,
        deadline: Deadline,
        seconds: float,
    ) -> bool:
        """Wait up to ``seconds`` until the kubelet has finished with the old Pod; tell whether it has.

        Raises:
            InterruptionError: the user asked to stop; the first text is in place.
        """
        clock, began = watch.clock, watch.clock.monotonic()
        while (passed := clock.monotonic() - began) < seconds:
            if deadline.interrupted():
                raise InterruptionError("interrupted while waiting for the old API server to end")
            watch.count_listener(port)
            outgoing.drain(port, drain, clock.monotonic())
            if not outgoing.process.alive() and self.remains.finished(clock.monotonic()):
                return True
            watch.tell("waiting for the kubelet to end the old API server", passed)
            clock.sleep(_POLL_SECONDS)
        return False


def bring_new_text(run: GuardedRun, renames: TwoRenames | None, watch: RestartWaiter) -> str:
    """Go on after the first of two renames; return why the second failed, empty if it is done or there is none."""
    if run.change.journal.step is not Step.ENDING:
        return ""
    if renames is not None and run.outgoing is not None and (reason := _await_end(run, run.outgoing, renames, watch)):
        return reason
    try:
        run.renamed_at = replace_manifest(run.change)
    except (OSError, RefusedError) as error:
        reason = error.message if isinstance(error, RefusedError) else str(error)
        return f"the new manifest could not be put in place: {reason}"
    return ""


def _await_end(run: GuardedRun, outgoing: OutgoingProcess, renames: TwoRenames, watch: RestartWaiter) -> str:
    """Wait for the end of the old Pod, not longer than one rename would take; return why to give up, empty if not to."""
    began, patience = watch.clock.monotonic(), run.patience()
    port, seconds = run.planned.before.secure_port, min(LONGEST_WAIT_SECONDS, patience)
    renames.await_end(watch, outgoing, run.drain, port, run.session.deadline, seconds)
    watch.waited_before = watch.clock.monotonic() - began
    if patience > seconds or not outgoing.process.alive():
        return ""
    return (
        f"the API server was not ready within {run.options.timeout_seconds:.0f} s: the kubelet has not acted on the manifest"
        f" (process {outgoing.process.pid} runs with another command line)"
    )
