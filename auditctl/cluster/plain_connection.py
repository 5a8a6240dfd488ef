"""The connection with the standard library alone: for the single file and the executable, and for nodes.

It knows client certificates and tokens. A kubeconfig that needs more (a credential plugin, a proxy, several files) is
refused, with what is missing.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from auditctl.cluster.connection import LIBRARY, SERVER_NAME, KubeconfigChoice, ServerAddress
from auditctl.errors import RefusedError, UsageError
from auditctl.manifest.document import load
from auditctl.node.apiserver import credentials
from auditctl.node.apiserver.client import USER_AGENT
from auditctl.node.apiserver.credentials import Credentials
from auditctl.node.change import files
from auditctl.system import IS_LINUX
from auditctl.transport import ExchangeDeadline, HttpAnswer, connect, exchange, secured

_NEEDS_LIBRARY = {
    "exec": "runs a credential plugin",
    "auth-provider": "uses an auth provider",
    "username": "uses a password",
    "as": "acts as another user",
}
INSTALL = "pip install auditctl (the Python package has it), and run the command from there"


class ClusterEntry(NamedTuple):
    """What a kubeconfig says of a cluster."""

    server: str
    server_name: str
    is_verified: bool


class PlainConnection:
    """An `ApiConnection`; every request has a connection of its own."""

    def __init__(self, entry: ClusterEntry, person: Credentials, context: str) -> None:
        self.server = entry.server
        self.context = context
        self._entry = entry
        self._person = person
        self._tls = _tls(entry, person)

    @classmethod
    def of(cls, chosen: KubeconfigChoice) -> PlainConnection:
        """Return the connection of a context.

        Raises:
            UsageError: there is no such context; RefusedError: the kubeconfig cannot be used, or only by the library.
        """
        if len(chosen.paths) > 1:
            raise _without_library(str(chosen), "has several files")
        (path,) = chosen.paths
        document = _document(path)
        name = chosen.context or str(document.get("current-context") or "")
        context = _named(document, "contexts", name, "context")
        if context is None:
            known = sorted(str(one.get("name")) for one in document.get("contexts") or [])
            raise UsageError(f"--context {name}: {path} has no such context; it has {', '.join(known) or 'none'}")
        user = _named(document, "users", context.get("user"), "user") or {}
        cluster = _named(document, "clusters", context.get("cluster"), "cluster") or {}
        reason = next((text for key, text in _NEEDS_LIBRARY.items() if user.get(key)), "")
        reason = "reaches the cluster through a proxy" if not reason and cluster.get("proxy-url") else reason
        if reason:
            raise _without_library(str(path), reason)
        server = str(cluster.get("server") or "")
        if urlsplit(server).scheme != "https":
            raise RefusedError(f"{path}: the cluster of context {name} has no https server", check="kubeconfig")
        is_verified = cluster.get("insecure-skip-tls-verify") is not True
        person = credentials.read(path, name)
        if person.certificate and not IS_LINUX:  # OpenSSL reads it from a file, and only Linux has files in memory
            raise _without_library(str(path), "has a client certificate")
        entry = ClusterEntry(server, str(cluster.get("tls-server-name") or ""), is_verified)
        return cls(entry, person, name)

    def get(
        self,
        path: str,
        at: ServerAddress | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = 5.0,
        limit_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Send one request and return its answer; status 0 where there is none."""
        parts = urlsplit(str(at) if at is not None else self.server)
        host, port = parts.hostname or "", parts.port or 443
        name = SERVER_NAME if at is not None else self._entry.server_name or host
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", "Connection": "close", **(headers or {})}
        if self._person.token:
            sent["Authorization"] = f"Bearer {self._person.token}"
        deadline = ExchangeDeadline.within(seconds)
        try:
            with connect(host, port, deadline) as plain, secured(plain, self._tls, name, deadline) as stream:
                target = f"{parts.path.rstrip('/')}{path}"
                return exchange(stream, ("GET", target), sent, deadline, host=parts.netloc, limit_bytes=limit_bytes)
        except OSError as error:
            return HttpAnswer(0, (error.strerror or str(error) or type(error).__name__).lower())
        except ValueError:  # its text would quote a header, and with it a token
            return HttpAnswer(0, "the request cannot be written as HTTP")


def _tls(entry: ClusterEntry, person: Credentials) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not entry.is_verified:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    elif person.authority:
        tls.load_verify_locations(cadata=person.authority.decode("ascii", "ignore"))
    else:
        tls.load_default_certs()
    person.load_into(tls)
    return tls


def _document(path: Path) -> Mapping[str, Any]:
    try:
        value = load(files.read_following(path, "kubeconfig").decode())
    except (ValueError, RefusedError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError(f"{path}: not a usable kubeconfig", check="kubeconfig") from error
    if not isinstance(value, dict):
        raise RefusedError(f"{path}: not a usable kubeconfig", check="kubeconfig")
    return value


def _named(document: Mapping[str, Any], section: str, name: object, key: str) -> Mapping[str, Any] | None:
    rows = document.get(section)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("name") == name:
            return dict(row.get(key) or {})
    return None


def _without_library(path: str, reason: str) -> RefusedError:
    text = f"{path} {reason}; that needs the Python package {LIBRARY}, which this auditctl does not have"
    return RefusedError(text, check="kubernetes-package", fix=INSTALL)
