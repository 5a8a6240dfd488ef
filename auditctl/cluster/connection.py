"""What a connection to the API of a cluster is, whoever makes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from auditctl.transport import HttpAnswer

SERVER_NAME = "kubernetes"
"""In every serving certificate that kubeadm makes (util/pkiutil/pki_helpers.go, GetAPIServerAltNames)."""
LIBRARY = "kubernetes"


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
