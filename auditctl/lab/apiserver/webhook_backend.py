"""Send events to a webhook as kube-apiserver does: read its kubeconfig at the start, then one POST a batch, tried five times.

Sources: plugin/pkg/audit/webhook/webhook.go, pkg/util/webhook/webhook.go WithExponentialBackoff. Not played: client
certificates, basic authentication, proxies, the egress selector.
"""

from __future__ import annotations

import base64
import errno
import http.client
import json
import posixpath
import random
import ssl
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from auditctl.errors import AuditctlError
from auditctl.lab.apiserver.audit_backends import BackendCounters, Fields
from auditctl.lab.apiserver.container_files import FileSystem
from auditctl.lab.node.yaml_reader import YAMLWordsError, read

_EMPTY = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"


class WebhookError(AuditctlError):
    """The server would not start; the message is what follows `initializing audit webhook: `."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events go: ``server`` is a URL without its query, which is dropped; ``authority`` is PEM, or empty."""

    server: str
    authority: str = ""
    insecure: bool = False
    token: str = field(default="", repr=False)


def check(files: FileSystem, path: str) -> Destination:
    """Return where the file leads; raise WebhookError in the server's words.

    An unreachable server, or one of another authority, is not noticed, as in the real one.
    """
    try:
        raw = files.read(path)
    except OSError as error:
        call = "read" if error.errno == errno.EISDIR else "stat"
        raise WebhookError(f"{call} {path}: {(error.strerror or '').lower()}") from error
    try:
        config = read(raw)
    except YAMLWordsError as error:
        raise WebhookError(f'error loading config file "{path}": {error.message}') from error
    if config is not None and not isinstance(config, dict):
        words = "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct"
        raise WebhookError(f'error loading config file "{path}": {words}')
    cluster, user, name = _usable(config or {})
    where = urlsplit(str(cluster["server"]))._replace(query="", fragment="").geturl()
    if "://" not in where:
        where = f"http://{where}"
    authority = _authority(files, cluster, name, posixpath.dirname(path))
    return Destination(where, authority, bool(cluster.get("insecure-skip-tls-verify")), str(user.get("token") or ""))


def _usable(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return cluster and user of the current context, and the cluster's name (tools/clientcmd/validation.go)."""
    current = config.get("current-context")
    if not current:
        raise WebhookError(_EMPTY)
    context = _named(config.get("contexts"), current, "context")
    if context is None:
        words = f"context was not found for specified context: {current}, cluster has no server defined"
        raise WebhookError(f"invalid configuration: [{words}]")
    name = context.get("cluster", "")
    cluster = _named(config.get("clusters"), name, "cluster") or {}
    if not cluster.get("server"):
        raise WebhookError(f'invalid configuration: no server found for cluster "{name}"')
    return cluster, _named(config.get("users"), context.get("user"), "user") or {}, str(name)


def _authority(files: FileSystem, cluster: dict[str, Any], name: str, folder: str) -> str:
    """Return the authority's PEM: data before a file, whose path is relative to the configuration's."""
    if encoded := cluster.get("certificate-authority-data"):
        with suppress(ValueError):
            return base64.b64decode(str(encoded)).decode(errors="replace")
    path = str(cluster.get("certificate-authority") or "")
    if not path:
        return ""
    path = posixpath.join(folder, path)
    try:
        return files.read(path).decode(errors="replace")
    except OSError as error:
        words = f"unable to read certificate-authority {path} for {name} due to open {path}"
        raise WebhookError(f"invalid configuration: {words}: {(error.strerror or '').lower()}") from error


def _named(entries: object, name: object, key: str) -> dict[str, Any] | None:
    for entry in entries if isinstance(entries, Iterable) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            named: dict[str, Any] = entry[key]
            return named
    return None


ATTEMPTS, GROWTH, JITTER = 5, 1.5, 0.2
TIMEOUT_SECONDS = 30


class _RejectedError(Exception):
    """One attempt failed; the text is client-go's."""


@dataclass(slots=True)
class WebhookBackend:
    """Blocking by itself; `backends.Batched` stands before it in batch mode, the default."""

    destination: Destination
    counters: BackendCounters
    initial_backoff_seconds: float
    strict: bool = False

    def process(self, events: Sequence[Fields]) -> bool:
        """Deliver the events, or drop them all and count them."""
        made = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(events)}
        body, pause = json.dumps(made, separators=(",", ":")).encode(), self.initial_backoff_seconds
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._post(body)
            except _RejectedError as error:
                if attempt == ATTEMPTS:
                    self.counters.lost("webhook", events, str(error))
                    return not self.strict
                time.sleep(pause * (1 + random.random() * JITTER))  # noqa: S311 - jitter, no secret
                pause *= GROWTH
            else:
                break
        return True

    def shut_down(self) -> None:
        """Do nothing: nothing is held, who sends waits for the end."""

    def _post(self, body: bytes) -> None:
        url = f"{self.destination.server}?timeout={TIMEOUT_SECONDS}s"
        try:
            status, answer = self._answer(urlsplit(url).hostname or "", urlsplit(url).port, body)
        except ConnectionRefusedError as error:
            raise _RejectedError(
                f'Post "{url}": dial tcp {urlsplit(url).netloc}: connect: connection refused'
            ) from error
        except ssl.SSLCertVerificationError as error:
            words = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
            raise _RejectedError(f'Post "{url}": {words}') from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _RejectedError(f'Post "{url}": {str(error) or type(error).__name__}') from error
        if not 200 <= status <= 206:
            words = f'an error on the server ("{answer}") has prevented the request from being successful'
            raise _RejectedError(words)

    def _answer(self, host: str, port: int | None, body: bytes) -> tuple[int, str]:
        where = urlsplit(self.destination.server)
        connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self._context())
            if where.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        )
        headers = {"Accept": "application/json, */*", "Content-Type": "application/json"}
        headers["User-Agent"] = "Go-http-client/1.1"
        if self.destination.token and where.scheme == "https":
            headers["Authorization"] = f"Bearer {self.destination.token}"
        try:
            connection.request("POST", f"{where.path or '/'}?timeout={TIMEOUT_SECONDS}s", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(1024).decode(errors="replace").strip()
        finally:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.destination.authority or None)
        if self.destination.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
