"""Tell which audit files a manifest names that are not on the node, as after a join of a control plane without them.

`kubeadm join` writes the manifest from the cluster's ConfigMap, flags and volumes included; the files behind them it does
not bring. The kubelet then never starts the Pod (pkg/volume/host_path: a volume of type File must be there).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root
from auditctl.node.preflight import node_checks
from auditctl.settings import POLICY_FLAG, WEBHOOK_FLAG

_OPTIONS = {POLICY_FLAG: "--policy", WEBHOOK_FLAG: "--webhook-config"}


def missing(root: Root, manifest: Manifest) -> Iterator[tuple[Path, str]]:
    """Yield the policy and the webhook's file that are not there, each with the option of ``enable`` that installs it."""
    for flag, option in _OPTIONS.items():
        host = node_checks.host_of(root, manifest, flag)
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
