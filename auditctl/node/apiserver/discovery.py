"""Ask a cluster what it serves: its API server for aggregated discovery, or kubectl where this machine is no node.

Aggregated discovery is one answer to ``/api`` for the core group and one to ``/apis`` for all the others, CRDs and
aggregated servers included (`staging/src/k8s.io/apiserver/pkg/endpoints/discovery/aggregated`), from Kubernetes 1.27 on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import Credentials
from auditctl.node.programs import program
from auditctl.system import IS_LINUX

_LIST = "as=APIGroupDiscoveryList"
_ACCEPT = ",".join(f"application/json;g=apidiscovery.k8s.io;v={version};{_LIST}" for version in ("v2", "v2beta1"))
_KIND = b"APIGroupDiscoveryList"
_LIMIT_BYTES = 64 << 20  # a thousand CRDs take some megabytes
_SECONDS = 30.0
_FIX = "give its discovery as a file: kubectl api-resources -o wide > FILE"


def from_server(endpoint: Endpoint, credentials: Credentials) -> tuple[bytes, ...]:
    """Return the answers of an API server to ``/api`` and ``/apis``.

    Raises:
        RefusedError: it does not answer, refuses, or is older than aggregated discovery.
    """
    bodies = []
    for path in ("/api", "/apis"):
        answer = endpoint.request(
            "GET",
            path,
            credentials=credentials,
            headers={"Accept": _ACCEPT},
            timeout=_SECONDS,
            limit_bytes=_LIMIT_BYTES,
        )
        if answer.status != 200 or _KIND not in answer.body:
            reason = f"HTTP {answer.status}" if answer.status else answer.body.decode(errors="replace")
            text = f"{endpoint}{path}: the API server gives no aggregated discovery ({reason})"
            raise RefusedError(text, check="discovery", fix=_FIX)
        bodies.append(answer.body)
    return tuple(bodies)


def from_kubectl(kubeconfig: Path | None) -> bytes:
    """Return the table of ``kubectl api-resources -o wide``, of the cluster that kubectl is set to.

    Raises:
        RefusedError: there is no kubectl, or it says no.
    """
    kubectl = _kubectl()
    if kubectl is None:
        text = "this machine has no API server's manifest and no kubectl, so no cluster can be asked"
        raise RefusedError(text, check="discovery", fix=_FIX)
    command = [kubectl, "api-resources", "-o", "wide", *(("--kubeconfig", str(kubeconfig)) if kubeconfig else ())]
    try:
        ran = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{kubectl}: {error}", check="discovery", fix=_FIX) from error
    if ran.returncode:
        reason = (ran.stderr.decode(errors="replace").strip().splitlines() or ["no reason was given"])[-1]
        raise RefusedError(f"kubectl api-resources: {reason}", check="discovery", fix=_FIX)
    return ran.stdout


def _kubectl() -> str | None:
    """Return kubectl's path; root runs one of the system's directories only (`node/programs`)."""
    if IS_LINUX and os.geteuid() == 0:
        return program("kubectl")
    return shutil.which("kubectl")
