"""A manifest that is not there, or that nobody can read: what it probably is, and the one next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import AuditctlError, RefusedError
from auditctl.findings import Finding
from auditctl.node.change import files
from auditctl.node.change.journal import Role, Step
from auditctl.operations.controlplane import ControlPlane
from auditctl.patterns import lazily
from auditctl.report import error_finding


class _Distribution(NamedTuple):
    """A product without kubeadm's manifest: paths that give it away, and where it sets audit flags."""

    name: str
    marks: tuple[str, ...]
    knob: str


_DISTRIBUTIONS = (
    _Distribution(
        "RKE2",
        ("/etc/rancher/rke2", "/var/lib/rancher/rke2"),
        "set audit-policy-file in /etc/rancher/rke2/config.yaml and restart rke2-server; it writes its manifests anew at each start",
    ),
    _Distribution(
        "k3s",
        ("/etc/rancher/k3s", "/var/lib/rancher/k3s"),
        "its API server is not a static Pod: set kube-apiserver-arg in /etc/rancher/k3s/config.yaml and restart k3s",
    ),
    _Distribution(
        "MicroK8s", ("/var/snap/microk8s",), "set the flags in /var/snap/microk8s/current/args/kube-apiserver"
    ),
    _Distribution("k0s", ("/etc/k0s", "/var/lib/k0s"), "set spec.api.extraArgs in /etc/k0s/k0s.yaml"),
    _Distribution(
        "Talos", ("/system/state", "/etc/talos"), "set cluster.apiServer.auditPolicy in the machine's configuration"
    ),
)
_LOOKED_INTO = ("/etc/kubernetes", "/etc/kubernetes/tmp", "/root", "/tmp")  # noqa: S108 (read, never written)
_OF_A_CONTROL_PLANE = "/etc/kubernetes/pki/apiserver.crt"
_STANDS = (Step.DONE, Step.UNPROVED)
_MOST_LOOKED_AT = 200
_POD = lazily(rb"(?m)^kind:[ \t]*[\"']?Pod\b")
_COMMAND = lazily(rb"(?m)^[ \t]*-[ \t]+[\"']?(?:/[\w/.-]*/)?kube-apiserver[\"']?[ \t]*$")  # broken elsewhere it may be


def findings(plane: ControlPlane, error: AuditctlError) -> Iterator[Finding]:
    """Yield what can be said where the manifest could not be read; ``error`` is why."""
    if error.check == "manifest-missing":
        yield from _missing(plane)
    else:
        place = error.place
        text, fix = error.message, error.fix
        if error.check == "yaml":
            text += "; the kubelet stops the API server within 20 s of such an edit, or does not start it"
        if place is not None:
            fix = "; ".join(filter(None, (fix, _ours(plane))))
        yield replace(error_finding(error), message=text, fix=fix)
    with suppress(RefusedError):
        for journal in plane.state.open_changes():
            text = f"change {journal.id} ({journal.command}) was interrupted at {journal.step.value}"
            yield Finding.warning("interrupted-change", text, "auditctl recover")


def _written_last(plane: ControlPlane) -> Path | None:
    """Return the kept text of the last change of ours that stands; None where there is none."""
    with suppress(RefusedError):
        for journal in reversed(plane.state.journals()):
            saved = plane.state.saved(journal, Role.MANIFEST, "after")
            if journal.step in _STANDS and saved.is_file():
                return saved
    return None


def _ours(plane: ControlPlane) -> str:
    """Return the text that our last change left, as the next step."""
    saved = _written_last(plane)
    return f"or compare with {saved}, which auditctl wrote last" if saved is not None else ""


def _restoring(plane: ControlPlane) -> str:
    """Return the command that puts the text of our last change back; empty where there is none."""
    saved = _written_last(plane)
    return f"install -m 0600 {saved} {plane.manifest_path}  # as auditctl wrote it last" if saved is not None else ""


def _missing(plane: ControlPlane) -> Iterator[Finding]:
    path = plane.manifest_path
    candidates = list(_candidates(plane))
    beside = [candidate for candidate in candidates if candidate.parent == path.parent]
    if beside:
        text = (
            f"{path} is not there; {beside[0]}, in the same directory, is a kube-apiserver's, and the kubelet runs it"
        )
        yield _error("manifest-missing", text, f"specify it: --manifest {plane.root.node(beside[0])}")
    elif candidates:
        text = f"{path} is not there, so the kubelet runs no API server; probably it was moved to {candidates[0]}"
        yield _error("manifest-missing", text, f"look at it, then: mv {candidates[0]} {path}")
    elif (product := _distribution(plane)) is not None:
        text = f"{path} is not there: this node runs {product.name}, which auditctl does not edit"
        yield _error("foreign-distribution", text, product.knob)
    elif plane.root.host(_OF_A_CONTROL_PLANE).exists():
        text = f"{path} is not there, and no copy of it was found; this is a control plane, for it has {_OF_A_CONTROL_PLANE}"
        fix = "kubeadm init phase control-plane apiserver  # writes a new one, without what was edited by hand"
        yield _error("manifest-missing", text, _restoring(plane) or fix)
    elif plane.root.host("/etc/kubernetes/kubelet.conf").exists():
        text = f"{path} is not there, and no copy of it was found; probably this is a worker node"
        yield _error("manifest-missing", text, "run auditctl on a control-plane node")
    else:
        text = f"{path} is not there, nor anything else of a kubeadm node: this is not a kubeadm control plane"
        yield _error("manifest-missing", text, "specify the node's root with --rootfs, or the manifest with --manifest")


def why_missing(plane: ControlPlane, error: RefusedError) -> RefusedError:
    """Return the refusal of a command that found no manifest, in doctor's words: what this machine probably is."""
    if not plane.rootfs.is_dir():
        fix = "specify the directory of a node's root with --rootfs"
        return RefusedError(f"{plane.rootfs}: there is no such directory", check=error.check, fix=fix)
    cause = next(_missing(plane))
    return RefusedError(cause.message, check=cause.check, fix=cause.fix, place=error.place)


def _candidates(plane: ControlPlane) -> Iterator[Path]:
    """Yield files with a static Pod of kube-apiserver: beside the usual place first, then where people put them."""
    folders = (plane.manifest_path.parent, *(plane.root.host(name) for name in _LOOKED_INTO))
    for folder in dict.fromkeys(folders):
        try:
            names = sorted(folder.iterdir())[:_MOST_LOOKED_AT]
        except OSError:
            continue
        yield from (path for path in names if plane.root.holds(path) and _is_apiserver(path))


def _is_apiserver(path: Path) -> bool:
    with suppress(RefusedError, OSError):
        if path.name.startswith(".") or not path.is_file():
            return False
        raw = files.read_regular(path, "manifest")
        return _COMMAND.search(raw) is not None and _POD.search(raw) is not None
    return False


def _distribution(plane: ControlPlane) -> _Distribution | None:
    return next((one for one in _DISTRIBUTIONS if any(plane.root.host(mark).exists() for mark in one.marks)), None)


def _error(check: str, message: str, fix: str) -> Finding:
    return Finding.error(check, message, fix)
