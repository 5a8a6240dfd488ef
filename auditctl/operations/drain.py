"""The process that goes: which one it is, and how long it may linger once it has stopped listening."""

from __future__ import annotations

from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.process import Process, listener
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.work import How
from auditctl.settings import WEBHOOK_FLAG

_DRAIN_SECONDS = 5.0
_BATCH_FLAG = "audit-log-mode"


def serving(manifest: Manifest) -> Process | None:
    """The process that serves with the manifest's command line.

    Another one on the same port is not this node's (a folder under --rootfs on a machine that is a control plane itself):
    it is neither waited for, drained nor ended.
    """
    process = listener(manifest.secure_port, manifest)
    return process if process is not None and process.runs(manifest.command) else None


def drain_seconds(
    plane: ControlPlane, manifest: Manifest, how: How, before: Process | None
) -> tuple[float, tuple[Finding, ...]]:
    """The default of 5 s, or 0 where ending the old process early could lose audit records or traffic; said so."""
    if how.drain_seconds is not None:
        return how.drain_seconds, ()
    if before is None:
        return 0.0, ()
    reason = ""
    words = " ".join(before.flags).replace("_", "-")
    if f"--{WEBHOOK_FLAG}" in words or f"--{_BATCH_FLAG}=batch" in words or f"--{_BATCH_FLAG} batch" in words:
        reason = "the running API server still holds audit records for a webhook or a batch"
    elif not how.dry_run and _has_peers(plane, manifest):
        reason = "another control plane serves meanwhile"
    if not reason:
        return _DRAIN_SECONDS, ()
    text = f"{reason}, so the old process gets the kubelet's whole grace period (--drain 0)"
    return 0.0, (Finding("drain", Severity.INFO, text),)


def _has_peers(plane: ControlPlane, manifest: Manifest) -> bool:
    from auditctl.node.apiserver import peers

    return peers(plane.endpoint(manifest), plane.credentials()) > 1
