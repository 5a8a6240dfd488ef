"""Examine the node before an edit: places, files, other manifests, the API server itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest import pod_validity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, listener, untrusted_listener
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.node.kubelet import config as kubelet_config
from auditctl.node.kubelet import running_kubelet
from auditctl.node.preflight import disk, log_deletion, mounts, node_checks, other_managers, selinux, strict_modes
from auditctl.node.preflight.log_deletion import LogSettings
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations.change_model import ChangeOptions, Deadline, PlannedChange, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_source import SelectedPolicy
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG


@dataclass(frozen=True, slots=True, kw_only=True)
class EditSubject:
    """The manifest before and after a change, its audit files, and the edits of other files by role.

    ``directories`` are created by the change; ``restarts`` is whether the API server restarts for it.
    """

    before: Manifest
    after: Manifest
    paths: HostPaths
    written: Mapping[Role, FileEdit] = field(default_factory=dict)
    directories: Collection[Path] = ()
    restarts: bool = True

    @classmethod
    def of(cls, planned: PlannedChange) -> EditSubject:
        """Return what a planned change is about."""
        written = {edit.role: edit for edit in planned.edits if edit.after is not None}
        return cls(
            before=planned.before,
            after=planned.after,
            paths=planned.paths,
            written=written,
            directories=planned.directories,
            restarts=planned.restart is not Restart.NONE,
        )


def check_places(plane: ControlPlane) -> None:
    """Refuse a run that may not write, and a state directory where the kubelet would read it.

    Raises:
        RefusedError: with every such finding.
    """
    for path in (plane.manifest_path, plane.state.path):
        node_checks.inside(plane.root, path)
    # Its absence is reported first: a wrong --rootfs is likelier than a wrong user.
    files.read(plane.manifest_path, "manifest")
    findings = [
        *node_checks.misplaced_state(plane.root, plane.manifest_path, plane.state.path),
        *node_checks.unwritable(plane.manifest_path, plane.state.path),
        *strict_modes.manifest_path(plane.root, plane.manifest_path),
        *strict_modes.state_directory(plane.root, plane.state.path),
    ]
    findings = [finding for finding in findings if finding.severity is Severity.ERROR]
    if findings:
        first = findings[0]
        raise RefusedError(f"{first.message}", check=first.check, fix=first.fix, findings=findings)


def is_live(plane: ControlPlane, manifest: Manifest, options: ChangeOptions) -> bool:
    """Return whether a running node can be asked. Under --rootfs a run that does not wait asks none.

    A dry run under --rootfs asks where a process runs with the command line of ``manifest``: such a folder is a node, any
    other one may be just files.
    """
    if plane.root.is_host or not options.wait or not options.dry_run:
        return plane.root.is_host or options.wait
    process = listener(manifest.secure_port, manifest)
    return process is not None and process.runs(manifest.command)


def before_edit(
    plane: ControlPlane, subject: EditSubject, process: Process | None, options: ChangeOptions
) -> Iterator[Finding]:
    """Yield every finding about the node. What cannot be read is a warning and refuses nothing.

    ``process`` is the running API server, None where it is not known.
    """
    live = is_live(plane, subject.before, options)
    before = node_checks.host_paths(plane.root, subject.before)
    yield from node_checks.placement(plane.root, plane.manifest_path, subject.paths, before)
    yield from node_checks.kinds(
        plane.root,
        subject.paths,
        policy_is_written=Role.POLICY in subject.written,
        webhook_is_written=Role.WEBHOOK in subject.written,
    )
    yield from node_checks.stray_manifests(plane.root, plane.manifest_path, subject.before, process)
    try:
        yield from _of_files(plane, subject, every_volume=live)
        if plane.root.is_host:
            yield from _of_the_machine(plane, subject)
    except OSError as error:
        text = f"{error.filename}: cannot be examined: {(error.strerror or str(error)).lower()}"
        yield Finding.warning("unreadable", text, "run it as root (sudo)")
    if live and subject.restarts:
        severity = Severity.ERROR if options.wait else Severity.WARNING  # --no-wait awaits nobody
        yield from (replace(finding, severity=severity) for finding in running_kubelet.findings(plane.root))
    if live:
        yield from _of_the_server(plane, subject, process, options)


def trial_start(
    plane: ControlPlane,
    planned: PlannedChange,
    chosen: SelectedPolicy,
    process: Process | None,
    deadline: Deadline,
) -> Iterator[Finding]:
    """Yield what the node's own API server says of the new settings, started aside with them."""
    from auditctl.operations.evidence.trial_start import rehearsed  # subprocess comes with it

    yield from rehearsed(plane, planned, chosen, process, deadline)


def _of_files(plane: ControlPlane, subject: EditSubject, *, every_volume: bool) -> Iterator[Finding]:
    """Yield findings about the Pod, its mounts, the disk and other writers of the manifest."""
    after, paths = subject.after, subject.paths
    yield from pod_validity.findings(after.document, after.version)
    flags = {Role.POLICY: POLICY_FLAG, Role.WEBHOOK: WEBHOOK_FLAG}
    new = {flag: subject.written[role] for role, flag in flags.items() if role in subject.written}
    yield from mounts.audit_paths(plane.root, after, new)
    to_be = [*(edit.path for edit in new.values()), *subject.directories]
    yield from mounts.volume_types(plane.root, after, all_of_them=every_volume, to_be=to_be)
    yield from strict_modes.manifest_path(plane.root, plane.manifest_path)
    yield from strict_modes.audit_paths(plane.root, after)
    policy = new.get(POLICY_FLAG)
    yield from mounts.unchangeable(plane.manifest_path, policy.path if policy is not None else None)
    if paths.log is not None:
        eviction = kubelet_config.eviction_threshold() if plane.root.is_host else None
        yield from disk.budget(plane.root, after, paths.log, eviction)
        yield from _of_rotated_files(plane, subject)
    yield from other_managers.owners(plane.root, after)


def _of_rotated_files(plane: ControlPlane, subject: EditSubject) -> Iterator[Finding]:
    """Yield an error where recorded events would be lost with rotated files."""
    if subject.before is not subject.after:
        before = LogSettings(subject.before, node_checks.host_of(plane.root, subject.before, LOG_FLAG))
        after = LogSettings(subject.after, subject.paths.log)
        yield from log_deletion.findings(before, after, plane.clock.utc())


def _of_the_machine(plane: ControlPlane, subject: EditSubject) -> Iterator[Finding]:
    """Yield findings about kubelet, kubeadm and SELinux; a folder under --rootfs has none of them."""
    yield from kubelet_config.static_pods(plane.manifest_path)
    yield from kubelet_config.running_kubeadm(plane.root, plane.clock.utc().timestamp())
    if subject.paths.log is not None:
        yield from selinux.log_label(plane.root, subject.after, subject.paths.log)


def _of_the_server(
    plane: ControlPlane, subject: EditSubject, process: Process | None, options: ChangeOptions
) -> Iterator[Finding]:
    """Yield what is wrong with the API server *before* the edit: it must not be taken for our fault."""
    manifest = subject.before
    stranger = untrusted_listener(manifest.secure_port, manifest) if process is None else None
    if stranger is not None:  # nothing that it answers is asked for
        fix = f"{stranger.fix} (or use --allow untrusted-listener: the change then waits for the API server itself)"
        yield Finding.error("untrusted-listener", stranger.on(manifest.secure_port), fix)
        return
    from auditctl.node.apiserver import client, other_control_planes
    from auditctl.operations.change.cluster import Cluster

    endpoint, credentials = plane.endpoint(manifest), plane.credentials()
    readiness = endpoint.readiness(credentials)
    if plane.kubeconfig is None and credentials.source.endswith("super-admin.conf"):
        text = f"{credentials.source} is used, because there is no admin.conf"
        yield Finding.note("kubeconfig", text)
    if readiness is client.Readiness.UNKNOWN:
        yield _not_ready(f"{endpoint}/readyz answers neither us nor the kubelet's anonymous probe (401 or 403)")
    elif process is None and (text := _brought(plane, subject)):
        yield Finding.note("apiserver-ready", text)
    elif readiness is not client.Readiness.READY:
        yield _not_ready(f"{endpoint}/readyz: {readiness.value}")
    elif process is None:
        yield _not_ready(f"no kube-apiserver process of this machine owns port {manifest.secure_port}")
    elif not process.runs(manifest.command):
        yield Finding.warning(
            "drift", f"process {process.pid} was not started with the manifest's command line", "auditctl doctor"
        )
    if readiness is client.Readiness.READY:
        if text := other_control_planes.storage_problem(endpoint, credentials):
            yield _not_ready(f"{endpoint}: {text}")
        elif subject.restarts:
            yield from Cluster.of(plane, manifest).findings(options, plane.clock.utc())


def _brought(plane: ControlPlane, subject: EditSubject) -> str:
    """Return what the change installs where that is all that keeps the API server from starting; else empty."""
    return node_checks.brought(plane.root, subject.before, [edit.path for edit in subject.written.values()])


def _not_ready(reason: str) -> Finding:
    return Finding.error(
        "apiserver-ready",
        f"the API server is not ready: {reason}",
        "auditctl doctor names the cause; or continue with --allow apiserver-ready",
    )
