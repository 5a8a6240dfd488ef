"""Manifests for the tests: one small text and its variants; and the tool's verbs on texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.plan import Plan, plan_annotation, plan_disable, plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.settings import Settings

CORPUS = Path(__file__).parents[3] / "shared/corpus"  # beside the clone, never in it
GOLDEN = Path(__file__).parent.parent / "golden" / "kubeadm"

SMALL = """\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: kube-apiserver
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --allow-privileged=true
    - --secure-port=6443
    image: registry.k8s.io/kube-apiserver:v1.31.14
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
"""


def manifest(text: str) -> Manifest:
    """Read a text as the tool does."""
    return Manifest.of(Document.parse(text.encode(), "kube-apiserver.yaml"))


def enabling(text: str, settings: Settings | None = None, sha256: str | None = None) -> Plan:
    return plan_enable(manifest(text), settings or Settings(), policy_sha256=sha256)


def enabled(text: str, settings: Settings | None = None, sha256: str | None = None) -> str:
    return enabling(text, settings, sha256).after


def disabled(text: str) -> str:
    return plan_disable(manifest(text)).after


def annotated(text: str, sha256: str) -> str:
    return plan_annotation(manifest(text), sha256).after


def small(*replacements: tuple[str, str]) -> str:
    """SMALL with pieces replaced; each must be there."""
    text = SMALL
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def with_flags(*flags: str) -> str:
    """SMALL with items added to its command."""
    last = "    - --secure-port=6443\n"
    return small((last, last + "".join(f"    - {flag}\n" for flag in flags)))


def with_mount(path: str, name: str, *, host: str = "", kind: str = "", more: str = "", mount_more: str = "") -> str:
    """SMALL with one more hostPath volume and its mount, written as people write them."""
    mount = f"    - name: {name}\n      mountPath: {path}\n{mount_more}"
    volume = f"  - name: {name}\n    hostPath:\n      path: {host or path}\n" + (
        f"      type: {kind}\n" if kind else ""
    )
    return small(("  hostNetwork", mount + "  hostNetwork"), ("status: {}", volume + more + "status: {}"))


POLICY = "--audit-policy-file=/etc/kubernetes/audit/policy.yaml"
LOG = "--audit-log-path=/var/log/kubernetes/audit/audit.log"
ROTATION = ("--audit-log-maxage=30", "--audit-log-maxbackup=10", "--audit-log-maxsize=100")
ENABLED = (*ROTATION, LOG, POLICY)


def audit_flags(text: str) -> dict[str, str]:
    return manifest(text).audit_flags


def refusal(text: str, asked: Settings | None = None) -> RefusedError:
    """What enable refuses the text, or the settings, with."""
    with pytest.raises(RefusedError) as caught:
        enabling(text, asked)
    return caught.value
