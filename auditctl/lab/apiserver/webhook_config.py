"""What kube-apiserver says at its start about `--audit-webhook-config-file`, and where it leads."""

from __future__ import annotations

import base64
import errno
import posixpath
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from auditctl.errors import AuditctlError
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
    """Where the file leads. Raises WebhookError in the server's words.

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
    """The current context's cluster and user, and the cluster's name (C:tools/clientcmd/validation.go)."""
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
    """The authority's PEM text; data counts before a file, and a file's path is relative to the configuration's."""
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
