"""What is looked at before an edit: places, kinds, strays, and whether the API server serves at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, port_is_taken
from auditctl.node.change import files
from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG


def check_places(plane: ControlPlane) -> None:
    """Refuse a run that may not write, and a state directory where the kubelet would read it.

    Raises:
        RefusedError: with every such finding.
    """
    for path in (plane.manifest_path, plane.state.path):
        node_checks.inside(plane.root, path)
    files.read(
        plane.manifest_path, "manifest"
    )  # its absence is told first: the wrong --rootfs is likelier than the wrong user
    found = [
        *node_checks.misplaced_state(plane.root, plane.manifest_path, plane.state.path),
        *node_checks.unwritable(plane.manifest_path, plane.state.path),
    ]
    if found:
        first = found[0]
        raise RefusedError(f"{first.message}", check=first.check, fix=first.fix, findings=found)


def is_live(plane: ControlPlane, how: ChangeOptions) -> bool:
    """Is there a live node to ask? With --rootfs, a run that does not wait knows nothing of one."""
    return plane.root.is_host or (how.wait and not how.dry_run)


def before_edit(
    plane: ControlPlane,
    before: Manifest,
    after: Manifest,
    written: Collection[Role],
    process: Process | None,
    how: ChangeOptions,
    *,
    directories: Collection[Path] = (),
) -> Iterator[Finding]:
    """Everything that is decidable beforehand, for a change from ``before`` to ``after`` that writes those files.

    ``directories`` are made by the change. What may not be looked at is said, and refuses nothing.
    """
    yield from node_checks.placement(plane.root, plane.manifest_path, after, before)
    yield from node_checks.kinds(
        plane.root, after, policy_is_written=Role.POLICY in written, webhook_is_written=Role.WEBHOOK in written
    )
    yield from node_checks.stray_manifests(plane.manifest_path, before, process)
    try:
        yield from _of_files(plane, after, written, directories, every_volume=is_live(plane, how))
        if plane.root.is_host:
            yield from _of_the_machine(plane, after)
    except OSError as error:
        text = f"{error.filename}: could not be looked at: {(error.strerror or str(error)).lower()}"
        yield Finding("unreadable", Severity.WARNING, text, "run it as root (sudo)")
    if is_live(plane, how):
        yield from live(plane, before, process, how)


def _of_files(
    plane: ControlPlane,
    after: Manifest,
    written: Collection[Role],
    directories: Collection[Path],
    *,
    every_volume: bool,
) -> Iterator[Finding]:
    """The Pod, its mounts, the disk and who else writes the manifest: all of it lies in files."""
    from auditctl.manifest import pod_validity
    from auditctl.node.preflight import disk, mounts, other_managers

    yield from pod_validity.findings(after.document, after.version)
    flags = {Role.POLICY: POLICY_FLAG, Role.WEBHOOK: WEBHOOK_FLAG}
    new = {flag: node_checks.host_of(plane.root, after, flag) for role, flag in flags.items() if role in written}
    yield from mounts.audit_paths(plane.root, after, new)
    to_be = [*(path for path in new.values() if path is not None), *directories]
    yield from mounts.volume_types(plane.root, after, all_of_them=every_volume, to_be=to_be)
    yield from mounts.unchangeable(plane.manifest_path, new.get(POLICY_FLAG))
    log = node_checks.host_of(plane.root, after, LOG_FLAG)
    if log is not None:
        eviction = None
        if plane.root.is_host:
            from auditctl.node.kubelet.config import eviction_threshold

            eviction = eviction_threshold()
        yield from disk.budget(plane.root, after, log, eviction)
    yield from other_managers.owners(plane.root, after)


def _of_the_machine(plane: ControlPlane, after: Manifest) -> Iterator[Finding]:
    """The kubelet, a kubeadm at work, SELinux: of this machine, so that a folder under --rootfs has none of them."""
    from auditctl.node.kubelet import config as kubelet_config
    from auditctl.node.preflight import selinux

    yield from kubelet_config.static_pods(plane.manifest_path)
    yield from kubelet_config.kubeadm_at_work(plane.root, plane.clock.utc().timestamp())
    log = node_checks.host_of(plane.root, after, LOG_FLAG)
    if log is not None:
        yield from selinux.log_label(plane.root, after, log)


def live(plane: ControlPlane, manifest: Manifest, process: Process | None, how: ChangeOptions) -> Iterator[Finding]:
    """The API server must serve *before* the edit: its own troubles must not be blamed on us."""
    if how.dry_run:  # without TLS: that would double the time of a dry run
        if not port_is_taken(manifest.secure_port):
            yield _not_ready(f"nothing listens on port {manifest.secure_port}")
        return
    from auditctl.node.apiserver.client import Readiness

    endpoint, credentials = plane.endpoint(manifest), plane.credentials()
    readiness = endpoint.readiness(credentials)
    if plane.kubeconfig is None and credentials.source.endswith("super-admin.conf"):
        text = f"{credentials.source} is used, because there is no admin.conf"
        yield Finding("kubeconfig", Severity.INFO, text)
    if readiness is Readiness.UNKNOWN:
        yield _not_ready(f"{endpoint}/readyz answers neither us nor the kubelet's anonymous probe (401 or 403)")
    elif readiness is not Readiness.READY:
        yield _not_ready(f"{endpoint}/readyz: {readiness.value}")
    elif process is None:
        yield _not_ready(f"no kube-apiserver process of this machine owns port {manifest.secure_port}")
    elif not process.runs(manifest.command):
        yield Finding(
            "drift",
            Severity.WARNING,
            f"process {process.pid} was not started with the manifest's command line",
            "auditctl doctor",
        )
    if readiness is Readiness.READY:
        from auditctl.node.apiserver import other_control_planes

        yield from other_control_planes.findings(endpoint, credentials)


def _not_ready(what: str) -> Finding:
    return Finding(
        "apiserver-ready",
        Severity.ERROR,
        f"the API server is not ready: {what}",
        "auditctl doctor names the cause; or continue with --allow apiserver-ready",
    )
