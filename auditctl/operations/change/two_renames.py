"""Replace a static Pod in two renames, which takes the kubelet about 5 s where one rename takes about 15.

The kubelet lets the new Pod wait until the old one of the same name is terminated, and looks again only 10 to 15 s after
the new manifest came (pkg/kubelet/pod_workers.go, backOffPeriod with its jitter). So the first rename brings a text that
only ends the old Pod: the old settings and one annotation more, and a run that dies here leaves the old configuration.
The second one brings the new text once the kubelet has finished with the old Pod: that Pod starts at once.

The Pod of the first text must not start itself. It would at the kubelet's next look, so while the old process lingers the
text is replaced by one with another annotation, whose Pod has its first look later. An undo goes the same way back.
"""

from __future__ import annotations

from typing import NamedTuple

from auditctl.errors import InterruptionError, ManifestError, RefusedError
from auditctl.manifest.plan import plan_ending
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.change import Change, end_pod, replace_manifest
from auditctl.node.change.journal import OnDisk, Step
from auditctl.node.kubelet.pod_end import PodRemains
from auditctl.node.kubelet.pod_logs import container_logs
from auditctl.node.kubelet.restart import OutgoingProcess, RestartWaiter, any_other
from auditctl.operations.change.restart_strategy import serving
from auditctl.operations.change_model import ChangeOptions, Deadline, GuardedRun, PlannedChange, Restart
from auditctl.operations.controlplane import ControlPlane

LONGEST_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05
_FIRST_LOOK_SECONDS = 10.0  # of the kubelet at a Pod that waits, at the earliest
_RENEW_SECONDS = 6.0  # before the first look, with time for the end of a process and of its Pod
_FINISH_SECONDS = 14.0  # from the end of the process to that of its Pod, on a busy node
_GRACE_SECONDS = 30  # terminationGracePeriodSeconds where a Pod names none
_FORWARD, _BACK = (0, 1), 2  # which of the texts end the old Pod, one after the other, and which ends the new one
_PURPOSE = "waiting for the kubelet to end the {} API server"


class TwoRenames(NamedTuple):
    """The texts that end a Pod, what the host shows of the old one, and how long its end may take."""

    texts: tuple[bytes, ...]
    remains: PodRemains
    longest: float

    @classmethod
    def of(
        cls, plane: ControlPlane, planned: PlannedChange, options: ChangeOptions, before: Process | None, drain: float
    ) -> TwoRenames | None:
        """Return how the Pod is replaced in two renames; None where one must do.

        One must do where nobody waits, where no Pod is replaced or no server runs, and where its end cannot be told.
        """
        remains = PodRemains.of(plane.root, before) if before is not None else None
        texts = _ending_texts(plane, planned, options) if remains is not None else ()
        if remains is None or not texts:
            return None
        grace = planned.before.document.value["spec"].get("terminationGracePeriodSeconds", _GRACE_SECONDS)
        lingers = min(drain, float(grace)) if drain > 0 else float(grace)
        return cls(texts, remains, min(lingers + _FINISH_SECONDS, LONGEST_WAIT_SECONDS))


def _ending_texts(plane: ControlPlane, planned: PlannedChange, options: ChangeOptions) -> tuple[bytes, ...]:
    """Return the texts that end a Pod of this change; none where another manifest of the same Pod is moved away, too."""
    moves_another = any(edit.role.name == "STRAY" for edit in planned.edits)
    if not (options.wait and planned.restart is Restart.REPLACE_POD and planned.plan.changes) or moves_another:
        return ()
    mark = plane.clock.utc().strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        plan = plan_ending(planned.before, mark)
    except ManifestError:
        return ()
    if not plan.changes or plan.after.count(mark) != 1:
        return ()
    return tuple(plan.after.replace(mark, f"{mark}-{number}").encode() for number in (*_FORWARD, _BACK))


def bring_new_text(run: GuardedRun, renames: TwoRenames | None, watch: RestartWaiter) -> str:
    """Go on after the first of two renames; return why the second failed, empty if it is done or there is none."""
    if run.change.journal.step is not Step.ENDING:
        return ""
    try:
        if (
            renames is not None
            and run.outgoing is not None
            and (reason := _await_first_end(run, run.outgoing, renames, watch))
        ):
            return reason
        run.renamed_at = replace_manifest(run.change)
    except (OSError, RefusedError) as error:
        reason = error.message if isinstance(error, RefusedError) else str(error)
        return f"the new manifest could not be put in place: {reason}"
    return ""


def _await_first_end(run: GuardedRun, outgoing: OutgoingProcess, renames: TwoRenames, watch: RestartWaiter) -> str:
    """Wait for the end of the old Pod, not longer than one rename would take; return why to give up, empty if not to."""
    began, patience = watch.clock.monotonic(), run.patience()
    end = PodEnd(run.change, renames.remains, outgoing, run.drain, run.planned.before.secure_port)
    seconds = min(renames.longest, patience)
    end.wait(watch, run.session.deadline, seconds, _PURPOSE.format("old"))
    watch.waited_before = watch.clock.monotonic() - began
    if patience > seconds or not outgoing.process.alive():
        return ""
    return (
        f"the API server was not ready within {run.options.timeout_seconds:.0f} s: the kubelet has not acted on the manifest"
        f" (process {outgoing.process.pid} runs with another command line)"
    )


def end_new_pod(run: GuardedRun, renames: TwoRenames | None, watch: RestartWaiter) -> None:
    """Make the first of the two renames of an undo, and wait until the kubelet has finished with the Pod that failed.

    Nothing is done where one rename does: nothing of the new Pod is visible, the old one still ends, its process would
    linger beyond the kubelet's first look, or a standby server serves meanwhile. Raises nothing.
    """
    change, record = run.change, run.change.journal.manifest
    is_ending_still = run.outgoing is not None and run.outgoing.process.alive()
    is_standby_there = run.standby is not None and run.standby.is_left
    if renames is None or is_ending_still or is_standby_there or change.standing(record) is not OnDisk.AFTER:
        return
    port = run.planned.after.secure_port
    process = serving(run.planned.after) or any_other(run.planned.after, port)
    remains = _remains_of_new(run, renames, process)
    ending = OutgoingProcess.hold(process)
    try:
        if remains is not None and (process is None or (ending is not None and 0 < run.drain <= _RENEW_SECONDS)):
            end_pod(change, _BACK, record.after)
            end = PodEnd(change, remains, ending, run.drain, port)
            end.wait(watch, Deadline(), _FIRST_LOOK_SECONDS, _PURPOSE.format("new"))
    except (OSError, RefusedError):
        pass  # the old text comes next, whatever stands there
    finally:
        if ending is not None:
            ending.release()


def _remains_of_new(run: GuardedRun, renames: TwoRenames, process: Process | None) -> PodRemains | None:
    """Return what is on the host of the Pod that failed; without a process its container's logs have its UID."""
    root = run.session.plane.root
    if process is not None:
        return PodRemains.of(root, process)
    logs = container_logs(root, run.planned.after)
    return renames.remains.of_sibling(logs[-1].uid) if logs else None


class PodEnd(NamedTuple):
    """The end of one Pod, which a text of the change has begun. ``process`` None: none of it runs."""

    change: Change
    remains: PodRemains
    process: OutgoingProcess | None
    drain: float
    port: int

    def wait(self, watch: RestartWaiter, deadline: Deadline, seconds: float, purpose: str) -> None:
        """Wait up to ``seconds`` until the kubelet has finished with the Pod.

        Raises:
            InterruptionError: the user asked to stop; a text that ends the Pod is in place.
            OSError, RefusedError: the text could not be renewed.
        """
        clock, began = watch.clock, watch.clock.monotonic()
        renewed_at = began
        while (now := clock.monotonic()) - began < seconds:
            if deadline.interrupted():
                raise InterruptionError("interrupted while waiting for the old API server to end")
            watch.count_listener(self.port)
            if self.process is not None:
                self.process.drain(self.port, self.drain, now)
            lingers = self.process is not None and self.process.process.alive()
            if not lingers and self.remains.finished(now):
                return
            if lingers and now - renewed_at >= _RENEW_SECONDS:
                self._renew()
                renewed_at = now
            watch.tell(purpose, now - began)
            clock.sleep(_POLL_SECONDS)

    def _renew(self) -> None:
        """Rename the other one of the texts into place that end the old Pod."""
        record = self.change.journal.manifest
        digest = files.digest(self.change.root.host(record.path))
        for number, other in (_FORWARD, _FORWARD[::-1]):
            if digest == record.ending[number]:
                end_pod(self.change, other, digest)
                return
