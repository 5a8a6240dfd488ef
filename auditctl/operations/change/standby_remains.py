"""End a standby server, or what an interrupted run has left of one: its Pod, its redirect, the name of its log."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from auditctl.errors import AuditctlError
from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.kubelet.restart import OutgoingProcess
from auditctl.node.preflight.node_checks import host_paths
from auditctl.node.standby import pod
from auditctl.node.standby.redirect import remove_redirect
from auditctl.operations.controlplane import ControlPlane

LONGEST_END_SECONDS = 60.0  # a grace period of 30 s, and the kubelet's own pace
_DRAIN_SECONDS = 5.0
_POLL_SECONDS = 0.1


def end_remains(plane: ControlPlane, log: Path | None, process: Process | None, port: int) -> Path | None:
    """End a standby whose connections nobody redirects any more, and return its log under its new name; raises nothing."""
    plane.progress.step("ending the standby server")
    pod.remove(plane.manifest_path)
    ending = OutgoingProcess.hold(process)
    if process is not None and ending is not None:
        drain = _drain(process)
        deadline = plane.clock.monotonic() + LONGEST_END_SECONDS
        while process.alive() and plane.clock.monotonic() < deadline:
            ending.drain(port, drain, plane.clock.monotonic())
            plane.clock.sleep(_POLL_SECONDS)
        ending.release()
    remove_redirect(plane.root)
    return pod.settle_log(log, plane.clock) if log is not None else None


def _drain(process: Process) -> float:
    """Return how long the standby may linger; with batches or a webhook, which it flushes last, as long as it likes."""
    words = " ".join(process.flags)
    return 0.0 if "--audit-webhook-config-file" in words or "-mode=batch" in words else _DRAIN_SECONDS


def end_left_standby(plane: ControlPlane) -> tuple[Finding, ...]:
    """End a standby, and a redirect, that an interrupted run has left; say so."""
    if not pod.remains(plane.root, plane.manifest_path):
        return ()
    log, process, port = None, next(iter(pod.processes()), None) if plane.root.is_host else None, 0
    with suppress(AuditctlError, OSError):
        manifest = plane.parse(files.read(pod.path_of(plane.manifest_path), "manifest").content)
        port, process = manifest.secure_port, listener(manifest.secure_port)
        log = host_paths(plane.root, manifest).log
    end_remains(plane, log, process, port)
    text = "a standby server that an interrupted run had left was ended, and its redirect was removed"
    return (Finding("standby", Severity.WARNING, text),)
