"""Decide how the API server loads a policy that changes alone, and how long the old process may drain.

A restart of the container in its Pod is quicker than a new Pod (one restart, no second listing of the kubelet), but not when the kubelet's crash back-off adds to it
(pkg/kubelet/kuberuntime/kuberuntime_manager.go doBackOff: counted by Pod and container, forgotten after ten quiet minutes).
"""

from __future__ import annotations

from typing import NamedTuple

from auditctl.findings import Finding
from auditctl.manifest.plan import Plan, plan_annotation
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver import metrics
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.kubelet import pod_logs
from auditctl.operations.change_model import ChangeOptions, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import POLICY_ANNOTATION, WEBHOOK_FLAG

_DRAIN_SECONDS = 5.0
# Where nearly every request is answered within a second, no more is lost in one second than in five, and each second of
# waiting is one in which every new connection is refused.
_QUICK_DRAIN_SECONDS = 1.0
_LEAST_ANSWERED = 100
_QUICK_SHARE = 0.95  # a request that is cut is worse than one that is refused; not twenty times
_BATCH_FLAG = "audit-log-mode"
_BACKOFF_SECONDS = 600.0  # client-go flowcontrol.Backoff forgets after twice its longest wait, the kubelet's 5 minutes


class ReloadDecision(NamedTuple):
    """How the policy is loaded: the plan (no changes: in place), and the reason as a finding."""

    plan: Plan
    restart: Restart
    reason: Finding


def reload(
    plane: ControlPlane,
    unchanged: Plan,
    manifest: Manifest,
    digest: str,
    process: Process | None,
    options: ChangeOptions,
) -> ReloadDecision:
    """Return how a policy of this SHA-256 is loaded; ``process`` is the running server, None if not known.

    ``unchanged`` is the plan that leaves the manifest as it is.

    An annotation that names this very policy leaves only the way in place; one that names another is never left to lie.
    """
    plan = plan_annotation(manifest, digest)
    if not plan.changes:
        return ReloadDecision(
            unchanged, Restart.IN_PLACE, _said("in its Pod: the manifest's annotation names this policy already")
        )
    reason = _against_in_place(plane, manifest, process, options)
    if reason:
        return ReloadDecision(plan, Restart.REPLACE_POD, _said(f"by replacing its Pod ({POLICY_ANNOTATION}): {reason}"))
    text = "in its Pod, the shortest way: no container of it has ended within the last ten minutes"
    return ReloadDecision(unchanged, Restart.IN_PLACE, _said(text))


def _said(way_and_reason: str) -> Finding:
    return Finding.note("policy-reload", f"the API server is restarted {way_and_reason}")


def _against_in_place(plane: ControlPlane, manifest: Manifest, process: Process | None, options: ChangeOptions) -> str:
    """Return why the container must not be restarted in its Pod; empty if it may."""
    if POLICY_ANNOTATION in manifest.annotations:
        return "the annotation there names another policy"
    if process is None or not process.runs(manifest.command):
        return "what runs now is not known"
    if not options.wait:
        return "with --no-wait no process that lingers is ended"
    is_drained = (
        options.drain_seconds > 0 if options.drain_seconds is not None else not _held_back(plane, manifest, process)
    )
    if not is_drained:
        return "without a drain no process that lingers is ended"
    ended = pod_logs.last_ended(plane.root, manifest)
    passed = plane.clock.utc().timestamp() - ended if ended is not None else _BACKOFF_SECONDS
    if passed < _BACKOFF_SECONDS:
        return f"a container of this Pod ended {passed / 60:.0f} min ago, so the kubelet would delay a restart in place (crash back-off)"
    return ""


def serving(manifest: Manifest) -> Process | None:
    """Return the process that listens with the manifest's command line, None if there is none.

    Another one on the same port is not this node's (a folder under --rootfs on a machine that is a control plane itself):
    it is neither waited for, drained nor ended.
    """
    process = listener(manifest.secure_port, manifest)
    return process if process is not None and process.runs(manifest.command) else None


def drain_seconds(
    plane: ControlPlane, manifest: Manifest, options: ChangeOptions, before: Process | None
) -> tuple[float, tuple[Finding, ...]]:
    """Return the drain, and a finding where the default is 0: ending the process early could lose records.

    The default is 5 s, and 1 s where the server's own figures show that its requests are quick.
    """
    if options.drain_seconds is not None:
        return options.drain_seconds, ()
    if before is None:
        return 0.0, ()
    reason = _held_back(plane, manifest, before)
    if not reason:
        return _usual_drain(plane, manifest), ()
    text = f"{reason}, so the old process gets the kubelet's whole grace period (--drain 0)"
    return 0.0, (Finding.note("drain", text),)


def _held_back(plane: ControlPlane, manifest: Manifest, process: Process) -> str:
    """Return why the process gets the kubelet's whole grace period; empty if it need not."""
    words = " ".join(process.flags).replace("_", "-")
    if f"--{WEBHOOK_FLAG}" in words or f"--{_BATCH_FLAG}=batch" in words or f"--{_BATCH_FLAG} batch" in words:
        return "the running API server still holds audit records for a webhook or a batch"
    return "another control plane serves meanwhile" if _has_peers(plane, manifest) else ""


def _usual_drain(plane: ControlPlane, manifest: Manifest) -> float:
    """Return the drain of a server from which nothing is held back."""
    durations = metrics.read_durations(plane.endpoint(manifest), plane.credentials())
    seconds = drain_for(durations.answered, durations.within_a_second) if durations is not None else _DRAIN_SECONDS
    if durations is not None and durations.answered:
        share = durations.within_a_second / durations.answered
        plane.progress.step(
            f"{share:.1%} of {durations.answered} requests took less than a second: drain {seconds:.0f}s"
        )
    return seconds


def drain_for(answered: int, within_a_second: int) -> float:
    """Return the drain for a server that has answered so many requests, and so many of them within a second."""
    is_quick = answered >= _LEAST_ANSWERED and within_a_second >= _QUICK_SHARE * answered
    return _QUICK_DRAIN_SECONDS if is_quick else _DRAIN_SECONDS


def _has_peers(plane: ControlPlane, manifest: Manifest) -> bool:
    from auditctl.node.apiserver.client import peers

    return peers(plane.endpoint(manifest), plane.credentials()) > 1
