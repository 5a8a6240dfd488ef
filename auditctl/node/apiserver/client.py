"""The API server of this node over HTTPS: ready or not, and one request with an Audit-ID. Standard library only.

The address is this node's own, never a load balancer's: another instance would answer for this one.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import ssl
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from auditctl import __version__
from auditctl.errors import RefusedError
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.credentials import NOBODY, Credentials
from auditctl.transport import ExchangeDeadline, HttpAnswer, connect, exchange, secured

USER_AGENT = f"auditctl/{__version__}"
# in every serving certificate that kubeadm makes (util/pkiutil/pki_helpers.go GetAPIServerAltNames); 127.0.0.1 is not
_SERVER_NAME = "kubernetes"
# Connections with this mark pass the redirect of a standby server (`node.standby.redirect`): ours ask one server, not
# whoever serves. Its bits are outside of those that kube-proxy (0x4000, 0x8000), Calico (upper half) and Cilium use.
PAST_REDIRECT_MARK = 0xAD
_UNSPECIFIED = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, not bound)


class Readiness(Enum):
    """What ``/readyz`` says. Unknown is never ready."""

    READY = "ready"
    NOT_READY = "not ready"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Health(NamedTuple):
    """What ``/readyz`` says, and which of its checks fail (``etcd``, ``poststarthook/rbac/bootstrap-roles``)."""

    readiness: Readiness
    failing: tuple[str, ...] = ()


class Endpoint(NamedTuple):
    """Where this node's API server serves, and what its certificate must be signed by."""

    address: str
    port: int
    authorities: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"https://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"

    def request(
        self,
        method: str,
        path: str,
        *,
        credentials: Credentials = NOBODY,
        headers: dict[str, str] | None = None,
        timeout: float = 5.0,
        limit_bytes: int = 1 << 20,
        body: bytes | None = None,
    ) -> HttpAnswer:
        """Send one request and return its answer; one that cannot be had is an answer with status 0.

        ``timeout`` is in seconds and for all of it, from connecting to the last byte; a longer body than
        ``limit_bytes`` is cut there.
        """
        deadline = ExchangeDeadline.within(timeout)
        try:
            with connect(self.address, self.port, deadline, mark=PAST_REDIRECT_MARK) as plain:
                context = self._context(credentials)
                with secured(plain, context, _SERVER_NAME, deadline) as stream:
                    of_caller = _headers(credentials, headers)
                    host = str(self).removeprefix("https://")
                    request = (method, path)
                    return exchange(stream, request, of_caller, deadline, host=host, body=body, limit_bytes=limit_bytes)
        except OSError as error:
            return HttpAnswer(0, str(error) or type(error).__name__)
        except ValueError:  # its text would quote a header, and with it a token
            return HttpAnswer(0, "the request cannot be written as HTTP")

    def readiness(self, credentials: Credentials) -> Readiness:
        """Ask ``/readyz``, anonymously first as the kubelet's probes do, then with credentials."""
        return self.health(credentials).readiness

    def health(self, credentials: Credentials) -> Health:
        """Return `readiness`, and the names of the checks that fail (a refusing ``/readyz`` lists them)."""
        answer = self.request("GET", "/readyz")
        if answer.status in (401, 403) and not credentials.anonymous:
            answer = self.request("GET", "/readyz", credentials=credentials)
        if answer.status == 200:
            return Health(Readiness.READY)
        if answer.status == 0:
            return Health(Readiness.UNREACHABLE)
        if answer.status in (401, 403):
            return Health(Readiness.UNKNOWN)
        return Health(Readiness.NOT_READY, failing_checks(answer.body))

    def version(self) -> tuple[int, int] | None:
        """Return (major, minor) of the running server; None where anonymous clients are not told."""
        try:
            answer = json.loads(self.request("GET", "/version").body)
            return int(answer["major"]), int(re.sub(r"\D.*", "", answer["minor"]))
        except (ValueError, KeyError, TypeError):
            return None

    def _context(self, credentials: Credentials) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = True
        for authority in self.authorities:
            with suppress(OSError, ssl.SSLError):
                context.load_verify_locations(authority)
        if credentials.authority:
            with suppress(ssl.SSLError, ValueError):
                context.load_verify_locations(cadata=credentials.authority.decode("ascii", "ignore"))
        credentials.load_into(context)
        return context


def endpoint(manifest: Manifest, authorities: tuple[Path, ...]) -> Endpoint:
    """Return this node's own address: the liveness probe's host, else a specific ``--bind-address``, else
    ``--advertise-address``, else loopback.

    Raises:
        RefusedError: it is not an address of this machine.
    """
    candidates = (manifest.liveness_host, manifest.flag("bind-address"), manifest.flag("advertise-address"))
    address = next((text for text in candidates if text and text not in _UNSPECIFIED), "127.0.0.1")
    if address == "localhost":
        address = "127.0.0.1"
    if not is_ours(address):
        raise RefusedError(
            f"{address}, where the manifest says that this API server listens, is not an address of this machine",
            check="apiserver-address",
            fix="run auditctl on the control-plane node whose manifest this is",
        )
    return Endpoint(address, manifest.secure_port, authorities)


def is_ours(address: str) -> bool:
    """Tell whether it is an address of this machine: the kernel lets us bind only those."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _headers(credentials: Credentials, extra: dict[str, str] | None) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Connection": "close", **(extra or {})}
    if credentials.token:
        headers["Authorization"] = f"Bearer {credentials.token}"
    return headers


def failing_checks(body: bytes) -> tuple[str, ...]:
    """Return the names behind ``[-]`` in a refusing ``/readyz`` (apiserver pkg/server/healthz)."""
    return tuple(re.findall(r"(?m)^\[-\](\S+) ", body.decode(errors="replace")))


def peers(where: Endpoint, credentials: Credentials) -> int:
    """Return how many API servers the cluster's ``kubernetes`` Service knows; 0: not known."""
    if credentials.anonymous:
        return 0
    answer = where.request("GET", "/api/v1/namespaces/default/endpoints/kubernetes", credentials=credentials)
    try:
        subsets = json.loads(answer.body)["subsets"]
        return sum(len(subset.get("addresses") or ()) for subset in subsets)
    except (ValueError, KeyError, TypeError):
        return 0
