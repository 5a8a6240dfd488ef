"""What can be decided about the node before anything is touched. Findings, never exceptions: all of them at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import ManifestError, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.settings import LOG_FLAG, LOG_PATH, POLICY_FLAG, POLICY_PATH, STANDARD_OUTPUT, WEBHOOK_FLAG


def strays(root: Root, manifest_path: Path, manifest: Manifest) -> list[Path]:
    """Return other files in the manifest directory that define the same Pod; the last in byte order wins.

    (pkg/kubelet/config/file.go extractFromDir; a copy named ``kube-apiserver.yaml.bak`` silently rules.)
    """
    others = []
    for path in sorted(manifest_path.parent.glob("[!.]*")):
        if path.name == manifest_path.name or not root.holds(path) or not path.is_file():
            continue
        with suppress(RefusedError):
            raw = files.read_regular(path, "manifest")
            if manifest.pod_name.encode() in raw and _same_pod(raw, path, manifest):
                others.append(path)
    return others


def _same_pod(raw: bytes, path: Path, manifest: Manifest) -> bool:
    try:
        value = Document.parse(raw, str(path)).value
    except ManifestError:
        return False
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return False
    return (metadata.get("name"), metadata.get("namespace", "default")) == (manifest.pod_name, manifest.namespace)


SHIPPED_POLICY = "auditctl enable --policy baseline"
_MOVES = {
    POLICY_FLAG: f"auditctl enable --policy baseline --policy-path {POLICY_PATH}",
    LOG_FLAG: f"auditctl enable --log-path {LOG_PATH}",
}


def _is_within(path: Path, directory: Path) -> bool:
    """Tell whether a path is in, above or equal to the directory, symbolic links resolved."""
    one, other = path.resolve(), directory.resolve()
    return one == other or other in one.parents or one in other.parents


class HostPaths(NamedTuple):
    """The host paths of one manifest's audit files. None: the flag is not set, names no file, or no mount covers it."""

    policy: Path | None = None
    log: Path | None = None
    webhook: Path | None = None

    @property
    def log_directories(self) -> tuple[Path, ...]:
        """Return the log's directory, as a change creates it where it is missing."""
        return (self.log.parent,) if self.log is not None else ()

    def of_flag(self, flag: str) -> Path | None:
        """Return the path of the file that this flag names."""
        return {POLICY_FLAG: self.policy, LOG_FLAG: self.log, WEBHOOK_FLAG: self.webhook}[flag]


def host_paths(root: Root, manifest: Manifest) -> HostPaths:
    """Return where the audit files of ``manifest`` are on this machine.

    Raises:
        RefusedError: a symbolic link on the way leads out of ``--rootfs``.
        ManifestError: the mounts of the manifest cannot be read.
    """
    return HostPaths(*(host_of(root, manifest, flag) for flag in (POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG)))


def misplaced_state(root: Root, manifest_path: Path, state_path: Path) -> Iterator[Finding]:
    """Yield an error for a state directory where the kubelet reads."""
    yield from _misplaced(root, manifest_path, state_path, "the state directory", "state-directory")


def placement(root: Root, manifest_path: Path, paths: HostPaths, before: HostPaths) -> Iterator[Finding]:
    """Yield each audit path in, above or equal to the manifest directory, or in the pki directory.

    A file in pki that the manifest names ``before`` the change too already works, and is a warning.
    """
    for flag in (POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG):
        host = paths.of_flag(flag)
        if host is None:
            continue
        is_same = before.of_flag(flag) == host
        for finding in _misplaced(root, manifest_path, host, f"--{flag}", "audit-path"):
            mild = is_same and not _is_within(host, manifest_path.parent)
            yield replace(
                finding, severity=Severity.WARNING if mild else finding.severity, fix=_MOVES.get(flag, finding.fix)
            )


def kinds(root: Root, paths: HostPaths, *, policy_is_written: bool, webhook_is_written: bool) -> Iterator[Finding]:
    """Yield an error for an audit path of the wrong kind, as the mount types and the server demand it."""
    for flag, written in ((POLICY_FLAG, policy_is_written), (WEBHOOK_FLAG, webhook_is_written)):
        host = paths.of_flag(flag)
        if host is None:
            continue
        if host.is_dir():
            yield Finding.error(
                "audit-path",
                f"{host}, for --{flag}, is a directory; the API server would not start",
                f"rmdir {host}  # if it is empty; else use another path",
            )
        elif host.exists() and not host.is_file():
            yield _no_regular_file(host, flag)
        elif not written and not host.is_file():
            yield Finding.error(
                "audit-path",
                f"{host}, for --{flag}, is not there; the Pod would not start",
                SHIPPED_POLICY if flag == POLICY_FLAG else "put the file there, or: auditctl enable --no-webhook",
            )
    log = paths.log
    if log is not None:
        if log.is_dir():
            yield Finding.error(
                "audit-path",
                f"{log}, for --{LOG_FLAG}, is a directory; the API server would not start",
                f"auditctl enable --log-path {root.node(log)}/audit.log",
            )
        elif log.exists() and not log.is_file():
            yield _no_regular_file(log, LOG_FLAG)
        obstacle = next((parent for parent in log.parents if parent.exists()), None)
        if obstacle is not None and not obstacle.is_dir():
            yield Finding.error(
                "audit-path",
                f"{obstacle} is not a directory, so {log} cannot be written",
                f"auditctl enable --log-path {LOG_PATH}",
            )


def _no_regular_file(path: Path, flag: str) -> Finding:
    """Return the error for a device, a pipe, a socket, or a link to one."""
    text = f"{path}, for --{flag}, is not a regular file: the API server would hang, or what it writes be lost"
    return Finding.error("audit-path", text, f"ls -l {path}; then move it away, or use another path")


def stray_manifests(
    root: Root, manifest_path: Path, manifest: Manifest, process: Process | None = None
) -> Iterator[Finding]:
    """Yield an error for each copy of the manifest beside it: the kubelet runs whichever sorts last."""
    for path in strays(root, manifest_path, manifest):
        last = max(path, manifest_path, key=lambda one: one.name.encode())
        runs = f"{last} wins"
        if process is not None:
            runs += ", and runs now" if process.runs(manifest.command) == (last == manifest_path) else " the next time"
        yield Finding.error(
            "stray-manifests",
            f"{path} defines the same Pod: the kubelet reads every file there whose name does not begin with a dot, "
            f"and the last name wins ({runs})",
            f"auditctl doctor --fix  # moves it out of {manifest_path.parent}; auditctl doctor names the outage",
        )


def unwritable(manifest_path: Path, state_path: Path) -> Iterator[Finding]:
    """Yield an error where the run may not write, before it could do half of its changes."""
    state = next(path for path in (state_path, *state_path.parents) if path.exists())
    for directory in (manifest_path.parent, state):
        if not files.writable_directory(directory):
            fix = "run it as root (sudo)" if os.geteuid() else "is the file system mounted read-only?"
            yield Finding.error("not-root" if os.geteuid() else "not-writable", f"{directory}: not writable", fix)


def host_of(root: Root, manifest: Manifest, flag: str) -> Path | None:
    """Return where the file of a flag is on this machine; None if not set, standard output, or not mounted."""
    value = manifest.flag(flag)
    if not value or value == STANDARD_OUTPUT:
        return None
    place = manifest.host_path(value)
    return inside(root, root.host(place.path)) if place is not None else None


def inside(root: Root, path: Path) -> Path:
    """Return the path itself, if no symbolic link leads out of ``--rootfs``: `Root.host` does not follow the last name.

    Raises:
        RefusedError: one does: on the node itself it leads elsewhere, and here into the machine.
    """
    if not root.holds(path):
        raise RefusedError(
            f"{path} leads out of --rootfs by a symbolic link", check="rootfs", fix="make the link relative"
        )
    return path


def _misplaced(root: Root, manifest_path: Path, path: Path, subject: str, check: str) -> Iterator[Finding]:
    directory = manifest_path.parent.resolve()
    resolved = path.resolve()
    pki = root.host("/etc/kubernetes/pki").resolve()
    if _is_within(path, manifest_path.parent):
        yield Finding.error(
            check,
            f"{subject} ({path}) is in, above or equal to the manifest directory {directory}, where the kubelet reads every file",
            "use another path",
        )
    elif resolved == pki or pki in resolved.parents:
        yield Finding.error(
            check, f"{subject} ({path}) is in {pki}, which holds the cluster's keys", "use another path"
        )


_OPTIONS = {POLICY_FLAG: "--policy", WEBHOOK_FLAG: "--webhook-config"}


def missing(root: Root, manifest: Manifest) -> Iterator[tuple[Path, str]]:
    """Yield the policy and the webhook's file that are not there, each with the option of ``enable`` that installs it."""
    for flag, option in _OPTIONS.items():
        host = host_of(root, manifest, flag)
        if host is not None and not host.exists():
            yield host, option


def command_for(root: Root, manifest: Manifest, complaint: str, proved: Path | None = None) -> str:
    """Return the command that installs the missing file which a complaint of the kubelet names; empty if it names none.

    ``proved`` is the last policy that was proved on this node.
    """
    if "hostPath type check failed" not in complaint:
        return ""
    options = (option for path, option in missing(root, manifest) if root.node(path) in complaint)
    option = next(options, "")
    if option == _OPTIONS[POLICY_FLAG] and proved is not None:
        return last_policy_again(proved)
    return f"auditctl enable {option} FILE  # with the file of another control plane of this cluster" if option else ""


def last_policy_again(proved: Path) -> str:
    """Return the command that installs the last policy that was proved on this node."""
    return f"auditctl enable {_OPTIONS[POLICY_FLAG]} {proved}  # the last policy that was proved on this node"


def brought(root: Root, manifest: Manifest, written: Collection[Path]) -> str:
    """Return what a change brings of the files whose absence keeps the API server from starting; empty if not all."""
    absent = [path for path, _ in missing(root, manifest)]
    if not absent or any(path not in written for path in absent):
        return ""
    names = " and ".join(map(str, absent))
    verb = "is" if len(absent) == 1 else "are"
    return f"the API server does not run: {names}, which its manifest names, {verb} not there; this change installs it"
