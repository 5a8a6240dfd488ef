"""Replace a static Pod in two renames, which takes the kubelet about 5 s where one rename takes about 15.

The kubelet lets the new Pod wait until the old one of the same name is terminated, and looks again only 10 to 15 s after
the new manifest came (pkg/kubelet/pod_workers.go, backOffPeriod with its jitter). So the first rename brings a text that
only ends the old Pod: the old settings and one annotation more, and a run that dies here leaves the old configuration.
The second one brings the new text once the kubelet has finished with the old Pod: that Pod starts at once.
"""

from __future__ import annotations

from typing import NamedTuple

from auditctl.errors import InterruptionError, ManifestError
from auditctl.manifest.plan import plan_ending
from auditctl.node.apiserver.process import Process
from auditctl.node.kubelet.pod_end import PodRemains
from auditctl.node.kubelet.restart import OutgoingProcess, RestartWaiter
from auditctl.operations.change_model import ChangeOptions, Deadline, PlannedChange, Restart
from auditctl.operations.controlplane import ControlPlane

_POLL_SECONDS = 0.05
# A Pod that waits is looked at again after 10 s at the earliest: were the old Pod terminated by then without the new text
# in place, the Pod of the first text would start, and would have to be ended in its turn.
_LONGEST_DRAIN_SECONDS = 6.0
LONGEST_END_OF_POD_SECONDS = 20.0


class TwoRenames(NamedTuple):
    """The text of the first rename, what the host shows of the old Pod, and its port."""

    text: bytes
    remains: PodRemains
    port: int

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
        return cls(plan.after.encode(), remains, planned.before.secure_port) if plan.changes else None

    def await_end(self, watch: RestartWaiter, old: OutgoingProcess, drain: float, deadline: Deadline) -> bool:
        """Wait until the kubelet has finished with the old Pod; tell whether it has. Not longer than one rename would take.

        Raises:
            InterruptionError: the user asked to stop; the first text is in place.
        """
        clock, began = watch.clock, watch.clock.monotonic()
        while (passed := clock.monotonic() - began) < LONGEST_END_OF_POD_SECONDS:
            if deadline.interrupted():
                raise InterruptionError("interrupted while waiting for the old API server to end")
            watch.count_listener(self.port)
            old.drain(self.port, drain, clock.monotonic())
            if not old.process.alive() and self.remains.finished(clock.monotonic()):
                return True
            watch.tell("waiting for the kubelet to end the old API server", passed)
            clock.sleep(_POLL_SECONDS)
        return False
