"""The other control planes, as far as the API tells: while this one restarts, they have to serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from auditctl.findings import Finding, Severity
from auditctl.node.apiserver import client
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import Credentials

_NODES = "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"


def findings(where: Endpoint, credentials: Credentials) -> Iterator[Finding]:
    """An error where one of them is not ready, a word where all are; nothing where this is the only one, or unknown."""
    if credentials.anonymous:
        return
    try:
        nodes = list(json.loads(where.request("GET", _NODES, credentials=credentials).body)["items"])
        if len(nodes) > 1:
            yield from judged(nodes, client.peers(where, credentials))
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def judged(nodes: list[dict[str, Any]], serving: int) -> Iterator[Finding]:
    """What the control-plane ``nodes`` (as the API lists them) and the number of API servers that serve (0: not known) mean."""
    others = [node for node in nodes if not any(map(client.is_ours, _addresses(node)))]
    if not others or len(others) == len(nodes):  # which of them is ours cannot be told
        return
    names = [str(node["metadata"]["name"]) for node in others]
    down = [name for name, node in zip(names, others, strict=True) if not _is_ready(node)]
    if down:
        text = f"control plane {', '.join(down)} is not ready: while this one restarts, fewer serve"
    elif 0 < serving < len(nodes):
        text = f"only {serving} API servers of {len(nodes)} control planes serve"
    else:
        text = f"{len(others)} other control planes serve meanwhile: {', '.join(names)}"
        yield Finding(check="other-control-planes", severity=Severity.INFO, message=text)
        return
    fix = "bring the others back first, or say --allow other-control-planes"
    yield Finding(check="other-control-planes", severity=Severity.ERROR, message=text, fix=fix)


def _addresses(node: dict[str, Any]) -> list[str]:
    rows = node["status"].get("addresses") or ()
    return [row["address"] for row in rows if row["type"] in ("InternalIP", "ExternalIP")]


def _is_ready(node: dict[str, Any]) -> bool:
    rows = node["status"].get("conditions") or ()
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)
