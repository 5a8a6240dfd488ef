"""Say what a control plane needs before it joins a cluster whose record has audit settings."""

from __future__ import annotations

from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane


def of_a_join(plane: ControlPlane, manifest: Manifest) -> tuple[Finding, ...]:
    """Return the finding about the files that a control plane needs before it joins; nothing where auditing is off.

    kubeadm writes the flags and the volumes of the record into its manifest, and brings none of the files.
    """
    paths = node_checks.host_paths(plane.root, manifest)
    needed = [plane.root.node(path) for path in (paths.policy, paths.webhook) if path is not None]
    if not needed:
        return ()
    text = f"a control plane that joins later needs {' and '.join(needed)} before `kubeadm join`: without it its API server never starts"
    fix = "bring it there from this node, with playbooks/prepare-control-plane.yml or by hand; see `auditctl help clusters`"
    return (Finding.note("join-files", text, fix),)
