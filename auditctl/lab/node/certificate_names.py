"""Names, validity and key pairs of the practice node's certificates, as kubeadm gives them."""

from __future__ import annotations

from dataclasses import dataclass

from auditctl.lab.node.layout import ADDRESS, NODE_NAME

AUTHORITY = "kubernetes"
DNS_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    NODE_NAME,
    "localhost",
)
ADDRESSES = ("10.96.0.1", ADDRESS)
USER, GROUP = "kubernetes-admin", "kubeadm:cluster-admins"  # kubeadm's admin.conf from 1.29 on
DAYS = 365


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate (or public key) and its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a node needs: its authority, serving and client certificates, and the service-account key pair."""

    authority: KeyPair
    server: KeyPair
    client: KeyPair
    signing: KeyPair
