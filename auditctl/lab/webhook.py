"""What kube-apiserver says at its start about `--audit-webhook-config-file` (reference 5). Nothing is delivered."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

from auditctl.errors import AuditctlError
from auditctl.lab.filesystem import FileSystem
from auditctl.lab.goyaml import YAMLWordsError, read

_EMPTY = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"


class WebhookError(AuditctlError):
    """The server would not start; the message is what follows `initializing audit webhook: `."""


def check(files: FileSystem, path: str) -> None:
    """Raises WebhookError in the server's words. An unreachable server is not noticed, as in the real one."""
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
    _usable(config or {})


def _usable(config: dict[str, Any]) -> None:
    """C:tools/clientcmd/validation.go, as far as a lab needs it."""
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


def _named(entries: object, name: object, key: str) -> dict[str, Any] | None:
    for entry in entries if isinstance(entries, Iterable) else ():
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            found: dict[str, Any] = entry[key]
            return found
    return None
