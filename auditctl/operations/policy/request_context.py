"""Find what requests are resolved against: the version of the server, its resources, and the node's administrator."""

from __future__ import annotations

from contextlib import suppress

from auditctl.errors import RefusedError
from auditctl.node.apiserver import credentials
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.discovered import known_for
from auditctl.operations.policy_files import Version, server_version
from auditctl.policy.request_context import RequestContext, administrator
from auditctl.policy.types import User

_ADMIN_CONF = "/etc/kubernetes/admin.conf"


def request_context(
    plane: ControlPlane,
    kubernetes: str | None,
    *,
    takes_unknown: bool = False,
    discovery: str = "",
    version: Version | None = None,
) -> RequestContext:
    """Return the context of the requests of one command.

    The administrator is the user of the node's ``admin.conf``; with ``--kubernetes``, and where there is no such file,
    the one that kubeadm of that version makes.

    Raises:
        UsageError: ``kubernetes`` is no version; PolicyError, RefusedError: ``discovery`` cannot be had.
    """
    known_version = version or server_version(plane, kubernetes)
    admin = None if kubernetes is not None else admin_of_node(plane)
    return RequestContext(
        known_for(plane, discovery, known_version), known_version, admin or administrator(known_version), takes_unknown
    )


def admin_of_node(plane: ControlPlane) -> User | None:
    """Return the user of the node's ``admin.conf``; None where there is none that can be read."""
    with suppress(RefusedError):
        return credentials.read(plane.root.followed(_ADMIN_CONF)).user
    return None
