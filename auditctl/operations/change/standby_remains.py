"""End a standby server, or what an interrupted run has left of one: its Pod, its redirect, the name of its log."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from auditctl.errors import AuditctlError
from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.manifest.standby import standby_log
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.kubelet.restart import OutgoingProcess
from auditctl.node.preflight.node_checks import host_paths
from auditctl.node.standby import pod
from auditctl.node.standby.redirect import remove_redirect, stop_redirect
from auditctl.operations.controlplane import ControlPlane

READY_SECONDS = 60.0
RECEIPT_SECONDS = 15.0
LONGEST_START_SECONDS = READY_SECONDS + RECEIPT_SECONDS
LONGEST_END_SECONDS = 60.0  # a grace period of 30 s, and the kubelet's own pace
_DRAIN_SECONDS = 5.0
_POLL_SECONDS = 0.1
_START_SECONDS = 4.0
_SETTLE_SECONDS = 2.0
_FOLDER_SETTLE_SECONDS = 0.2  # the clients of a practice node are on this machine


def end_remains(
    plane: ControlPlane, log: Path | None, process: Process | None, manifest: Manifest | None
) -> Path | None:
    """End the redirect and the standby; return its log under its new name. Raises nothing.

    ``manifest`` is the standby's own, None where it is gone already.
    """
    plane.progress.step("ending the standby server")
    stop_redirect(plane.root)
    if process is not None and process.alive():
        settle_connections(plane)
    pod.remove(plane.manifest_path)
    if process is None and manifest is not None:  # the kubelet may be about to start it
        process = pod.process_of(manifest, plane.clock, _START_SECONDS)
    ending = OutgoingProcess.hold(process)
    if process is not None and ending is not None:
        port, drain = _port_of(process), _drain(process)
        deadline = plane.clock.monotonic() + LONGEST_END_SECONDS
        while process.alive() and plane.clock.monotonic() < deadline:
            ending.drain(port, drain, plane.clock.monotonic())
            plane.clock.sleep(_POLL_SECONDS)
        ending.release()
    remove_redirect(plane.root)
    return pod.settle_log(log, plane.clock) if log is not None else None


def settle_connections(plane: ControlPlane) -> None:
    """Let clients send the requests of connections that they opened before the redirect changed; their server ends next.

    A server that ends answers 503 to a request on a connection that it has accepted already
    (staging/src/k8s.io/apiserver/pkg/server/filters/waitgroup.go). A slow client needs a moment from one to the other.
    """
    plane.clock.sleep(_SETTLE_SECONDS if plane.root.is_host else _FOLDER_SETTLE_SECONDS)


def _drain(process: Process) -> float:
    """Return how long the standby may linger; with batches or a webhook, which it flushes last, as long as it likes."""
    words = " ".join(process.flags)
    return 0.0 if "--audit-webhook-config-file" in words or "-mode=batch" in words else _DRAIN_SECONDS


def end_left_standby(plane: ControlPlane) -> tuple[Finding, ...]:
    """End a standby, and a redirect, that an interrupted run has left; return what was done as a finding."""
    process = pod.any_process() if plane.root.is_host else None
    log, manifest = _left_log(plane), None
    if log is None and process is None and not pod.remains(plane.root, plane.manifest_path):
        return ()
    with suppress(AuditctlError, OSError):
        manifest = plane.parse(files.read(pod.path_of(plane.manifest_path), "manifest").content)
        process = process or pod.process_of(manifest, plane.clock)
        log = host_paths(plane.root, manifest).log
    end_remains(plane, log or _left_log(plane), process, manifest)
    text = "a standby server that an interrupted run had left was ended, and its redirect was removed"
    return (Finding.warning("standby", text),)


def _left_log(plane: ControlPlane) -> Path | None:
    """Return the log of a standby beside the log that the manifest names; None where there is none."""
    with suppress(AuditctlError, OSError):
        log = host_paths(plane.root, plane.read_manifest()[1]).log
        if log is not None and (path := log.with_name(standby_log(log.name))).is_file():
            return path
    return None


def _port_of(process: Process) -> int:
    values = [flag.partition("=")[2] for flag in process.flags if flag.startswith("--secure-port=")]
    return int(values[-1]) if values and values[-1].isdecimal() else 0
