"""Who asks, and may they: client certificates and anonymous, and the bootstrap roles of RBAC in a few lines.

Sources: pkg/controlplane authentication (x509 CommonName and Organization),
plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from auditctl.facts import Version
from auditctl.policy.types import Attributes, User

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
CREDENTIAL_ID_SINCE: Version = (1, 32, 0)
_PUBLIC = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = ("/api", "/apis", "/openapi", "/healthz", "/livez", "/readyz", "/version")


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user, with what its events show beside name and groups."""

    user: User
    extra: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuthenticationVerdict:
    """``reason`` is what the audit annotation says."""

    allowed: bool
    reason: str = ""


def of_certificate(subject: object, encoded: bytes, version: Version) -> Caller | None:
    """Return the user of a verified certificate: ``subject`` as ssl gives it, ``encoded`` is DER."""
    pairs = [pair for part in (subject or ()) for pair in part] if isinstance(subject, tuple) else []
    name = next((value for key, value in pairs if key == "commonName"), "")
    groups = [value for key, value in pairs if key == "organizationName"]
    if not name:
        return None
    digest = hashlib.sha256(encoded).hexdigest()
    extra = {"authentication.kubernetes.io/credential-id": [f"X509SHA256={digest}"]}
    return Caller(User(name, (*groups, "system:authenticated")), extra if version >= CREDENTIAL_ID_SINCE else {})


def authorize(user: User, request: Attributes) -> AuthenticationVerdict:
    """Return what kubeadm's RBAC says of a request; there are two users."""
    if "system:masters" in user.groups:
        return AuthenticationVerdict(allowed=True)
    if "kubeadm:cluster-admins" in user.groups:
        return _by("kubeadm:cluster-admins", "cluster-admin", "kubeadm:cluster-admins")
    if request.is_resource_request or request.verb != "get":
        return AuthenticationVerdict(allowed=False)
    known = "system:authenticated" in user.groups
    group = "system:authenticated" if known else "system:unauthenticated"
    if request.path in _PUBLIC:
        return _by("system:public-info-viewer", "system:public-info-viewer", group)
    if known and any(request.path == path or request.path.startswith(f"{path}/") for path in _DISCOVERY[:3]):
        return _by("system:discovery", "system:discovery", group)
    return AuthenticationVerdict(allowed=False)


def forbidden(user: User, request: Attributes) -> str:
    """Return the message of a 403 (pkg/endpoints/handlers/responsewriters/errors.go forbiddenMessage)."""
    if not request.is_resource_request:
        return f'forbidden: User "{user.name}" cannot {request.verb} path "{request.path}"'
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    named = f'{request.resource} "{request.name}"' if request.name else request.resource
    group = f"{request.resource}.{request.api_group}" if request.api_group else request.resource
    named = named.replace(request.resource, group, 1)
    where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    action = f'cannot {request.verb} resource "{resource}" in API group "{request.api_group}" {where}'
    return f'{named} is forbidden: User "{user.name}" {action}'


def _by(binding: str, role: str, group: str) -> AuthenticationVerdict:
    words = f'RBAC: allowed by ClusterRoleBinding "{binding}" of ClusterRole "{role}" to Group "{group}"'
    return AuthenticationVerdict(allowed=True, reason=words)
