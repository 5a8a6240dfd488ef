"""Find out who else writes the manifest, and where each such tool sets audit flags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root


class _Owner(NamedTuple):
    """``marks`` are paths that must all be there; ``severity`` says how surely an edit is lost."""

    name: str
    marks: tuple[str, ...]
    severity: Severity
    when: str
    knob: str


# An error where a process of the node writes the file of its own accord, or at each boot. A warning where somebody has
# to run the installer. Kind alone is for the record: nothing ever writes there again.
_OWNERS = (
    _Owner(
        "kops",
        ("/etc/systemd/system/kops-configuration.service",),
        Severity.ERROR,
        "nodeup writes the manifest anew at each boot",
        "set spec.kubeAPIServer.auditPolicyFile, auditLogPath and fileAssets in the kops cluster",
    ),
    _Owner(
        "kops",
        ("/lib/systemd/system/kops-configuration.service",),
        Severity.ERROR,
        "nodeup writes the manifest anew at each boot",
        "set spec.kubeAPIServer.auditPolicyFile, auditLogPath and fileAssets in the kops cluster",
    ),
    _Owner(
        "OpenShift",
        ("/etc/kubernetes/static-pod-resources",),
        Severity.ERROR,
        "its operator writes the manifest anew",
        "set spec.audit.profile of the APIServer resource named cluster",
    ),
    _Owner(
        "RKE2",
        ("/var/lib/rancher/rke2/agent/pod-manifests/kube-apiserver.yaml",),
        Severity.ERROR,
        "rke2-server writes the manifest anew at each start",
        "set audit-policy-file and kube-apiserver-arg in /etc/rancher/rke2/config.yaml",
    ),
    _Owner(
        "kubespray",
        ("/etc/kubernetes/kubeadm-config.yaml", "/etc/kubernetes/kubelet.env"),
        Severity.WARNING,
        "its upgrade-cluster.yml writes the manifest anew",
        "set kubernetes_audit: true and the audit_* variables in group_vars, and run cluster.yml with "
        "-e upgrade_cluster_setup=true: without it a running cluster is not changed",
    ),
    _Owner(
        "Cluster API",
        ("/run/cluster-api/bootstrap-success.complete",),
        Severity.WARNING,
        "the next rollout replaces this machine",
        "set apiServer.extraArgs and extraVolumes in the KubeadmControlPlane",
    ),
    _Owner(
        "minikube",
        ("/var/lib/minikube/certs",),
        Severity.WARNING,
        "minikube start may write the manifest anew",
        "give minikube start --extra-config=apiserver.audit-policy-file=... and its like",
    ),
    _Owner(
        "kind",
        ("/kind/kubeadm.conf",),
        Severity.INFO,
        "the edit lasts as long as this cluster",
        "for the next one: kubeadmConfigPatches and extraMounts in the kind configuration",
    ),
)
_TOOLS = {
    "ansible": "the template of its role or playbook",
    "puppet": "the manifest or template of its module",
    "chef": "the template of its cookbook",
    "salt": "the file of its state",
}
_CLAIMS = ("managed", "generated", "do not edit")


def owners(root: Root, manifest: Manifest) -> Iterator[Finding]:
    """Yield one finding for each, with the place where it sets audit flags."""
    reported: set[str] = set()
    for owner in _OWNERS:
        if owner.name not in reported and all(root.host(mark).exists() for mark in owner.marks):
            reported.add(owner.name)
            text = f"{owner.name} manages this node: {owner.when}"
            yield Finding(check="foreign-manager", severity=owner.severity, message=text, fix=owner.knob)
    yield from _headers(manifest)


def _headers(manifest: Manifest) -> Iterator[Finding]:
    """Yield an error for a comment by which a tool claims the file."""
    text = manifest.document.text
    if "#" not in text:  # kubeadm writes none
        return
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip().lower()
        if not words.startswith("#") or not any(claim in words for claim in _CLAIMS):
            continue
        for tool, where in _TOOLS.items():
            if tool in words:
                name = tool.capitalize()
                message = f"{name} claims the manifest ({line.strip()!r}) and will write it anew at its next run"
                place = manifest.document.place(("kind",))
                fix = f"set the audit flags in {where}"
                yield Finding.error("foreign-manager", message, fix, path="", file=place.file, line=number, column=1)
                return
