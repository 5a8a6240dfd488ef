"""The lab's own certificate authority, made on the spot: by `cryptography` (extra `lab`), else by `openssl`.

Names as kubeadm gives them (cmd/kubeadm/app/util/pkiutil/pki_helpers.go GetAPIServerAltNames), plus 127.0.0.1.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass

from auditctl.errors import RefusedError
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
class Pair:
    """A certificate (or public key) and its private key, both PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """All that a node needs: its authority, serving and client certificates, and the service-account key pair."""

    authority: Pair
    server: Pair
    client: Pair
    signing: Pair


def issue() -> Bundle:
    """Raises RefusedError where neither `cryptography` nor `openssl` is there."""
    if importlib.util.find_spec("cryptography"):
        from auditctl.lab.node import certificates_cryptography

        return certificates_cryptography.issue()
    if shutil.which("openssl"):
        from auditctl.lab.node import certificates_openssl

        return certificates_openssl.issue()
    raise RefusedError(
        "the lab needs certificates, and neither the Python package `cryptography` nor the command `openssl` is here",
        check="lab-certificates",
        fix="pip install 'auditctl[lab]', or install openssl",
    )
