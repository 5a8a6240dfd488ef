"""Which kubeconfig is read, and which client reads it.

The official client reads it where it is installed: contexts, credential plugins and proxies are then what they are for
kubectl. The single file and the executable do not carry it; there `plain_connection` does the simple cases.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from auditctl.cluster.connection import LIBRARY, ApiConnection, KubeconfigChoice
from auditctl.errors import RefusedError

ADMIN_KUBECONFIG = "/etc/kubernetes/admin.conf"
_ON_THE_NODE = (ADMIN_KUBECONFIG, "/etc/kubernetes/super-admin.conf")


def kubeconfig_of(given: Path | None, context: str, home: Path, environment: Mapping[str, str]) -> KubeconfigChoice:
    """Return which files are read: ``given``, else those of ``$KUBECONFIG``, else ``~/.kube/config``, else the node's own.

    Raises:
        RefusedError: there is none.
    """
    named = [Path(part) for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part]
    usual = [home / ".kube/config", *map(Path, _ON_THE_NODE)]
    paths = [given] if given is not None else [path for path in named if path.exists()]
    if not paths:
        paths = [path for path in usual if path.exists()][:1]
    if not paths:
        raise RefusedError(
            f"there is no kubeconfig: neither --kubeconfig, nor $KUBECONFIG, nor {usual[0]}",
            check="kubeconfig",
            fix="specify one with --kubeconfig PATH",
        )
    return KubeconfigChoice(tuple(paths), context)


def connection_to(chosen: KubeconfigChoice) -> ApiConnection:
    """Return the connection; nothing is sent yet, but a credential plugin runs.

    Raises:
        RefusedError: the kubeconfig cannot be used, or needs the official client where that is not installed.
        UsageError: it has no such context.
    """
    if importlib.util.find_spec(LIBRARY) is not None:
        from auditctl.cluster.official_client import OfficialClient

        return OfficialClient.of(chosen)
    from auditctl.cluster.plain_connection import PlainConnection

    return PlainConnection.of(chosen)
