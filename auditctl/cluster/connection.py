"""A connection to the API of a cluster, from any machine with a kubeconfig.

The official client reads the kubeconfig where it is installed: contexts, credential plugins and proxies are then what
they are for kubectl. The single file and the executable do not carry it; there `plain_client` does the simple cases.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from auditctl.errors import RefusedError
from auditctl.transport import HttpAnswer

SERVER_NAME = "kubernetes"
"""In every serving certificate that kubeadm makes (util/pkiutil/pki_helpers.go, GetAPIServerAltNames)."""
LIBRARY = "kubernetes"
_ON_THE_NODE = ("/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf")


class ServerAddress(NamedTuple):
    """Where one API server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"https://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class KubeconfigChoice(NamedTuple):
    """The files of a kubeconfig (several are merged, as ``$KUBECONFIG`` may name them) and a context; "" is the current one."""

    paths: tuple[Path, ...]
    context: str = ""

    def __str__(self) -> str:
        return os.pathsep.join(map(str, self.paths))


class ApiConnection(Protocol):
    """One cluster: the server that the kubeconfig names, and each API server by its own address."""

    server: str
    context: str

    def get(
        self,
        path: str,
        at: ServerAddress | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = 5.0,
        limit_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Return the answer to a GET, of the server at ``at`` or of the kubeconfig's; status 0 where there is none."""


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
