"""Ask the API server of each other control plane: while this one restarts, they have to serve.

Three facts of the API tell who they are: the Nodes with kubeadm's label, the mirror Pods of their API servers (whose flags
name address and port), and what each server answers itself. ``/readyz`` alone does not do: an API server whose etcd
member is gone answers 200 there for more than a minute, while every request that needs storage hangs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from auditctl.findings import Finding
from auditctl.node.apiserver import client
from auditctl.node.apiserver.client import Endpoint, Readiness
from auditctl.node.apiserver.credentials import Credentials

CHECK = "other-control-planes"
_NODES = "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"
_PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver"
# a get without a resourceVersion is read from etcd, not from a cache (apiserver pkg/storage/cacher/cacher.go Get)
_OBJECT = "/api/v1/namespaces/default"
_SECONDS = 3.0
_ATTEMPTS = 2  # a server under load may once be slower than that
_LIST_BYTES = 64 << 20
_ALLOW = "bring it back first, or use --allow other-control-planes"

Row = Mapping[str, Any]


class OtherServer(NamedTuple):
    """Another control plane: its Node, the address of its API server (empty: unknown), and why the Node is not Ready."""

    node: str
    address: str
    port: int
    not_ready: str = ""

    @property
    def place(self) -> str:
        """Return the node's name with the address."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.node} ({shown}:{self.port})" if self.address else self.node


class ClusterServers(NamedTuple):
    """The name of this node, and the other control planes of its cluster."""

    own: str
    others: tuple[OtherServer, ...]


def read(where: Endpoint, credentials: Credentials, advertised: str = "") -> ClusterServers | None:
    """Return the control planes of the cluster; None where the API does not tell, or not which of them is this one.

    ``advertised`` is the address that this API server advertises, where its manifest names one.
    """
    if credentials.anonymous:
        return None
    nodes, pods = (_items(where, credentials, path) for path in (_NODES, _PODS))
    if nodes is None:
        return None
    try:
        return members(nodes, pods or (), (advertised or where.address, where.port))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _items(where: Endpoint, credentials: Credentials, path: str) -> list[Row] | None:
    answer = where.request("GET", path, credentials=credentials, limit_bytes=_LIST_BYTES)
    try:
        return list(json.loads(answer.body)["items"]) if answer.status == 200 else None
    except (ValueError, KeyError, TypeError):
        return None


def members(nodes: Sequence[Row], pods: Sequence[Row], own: tuple[str, int]) -> ClusterServers | None:
    """Return the control planes that Nodes and mirror Pods show; None where none of them has the place ``own``.

    A Node whose API server has no mirror Pod yet is asked at its own address.
    """
    named = {str(node["metadata"]["name"]): node for node in nodes}  # a Node without kubeadm's label has its Pod still
    places = {str(pod["spec"]["nodeName"]): _place(pod) for pod in pods if pod["spec"].get("nodeName")}
    ours = [name for name, place in places.items() if place == own]
    ours = ours or [name for name, node in named.items() if any(map(client.is_ours, _addresses(node)))]
    names = sorted({*named, *places})
    if len(names) == 1:
        return ClusterServers(names[0], ())
    if not ours or len(ours) == len(names):
        return None
    others = (_other(name, named.get(name), places.get(name), own[1]) for name in names if name not in ours)
    return ClusterServers(ours[0], tuple(others))


def _other(name: str, node: Row | None, place: tuple[str, int] | None, port: int) -> OtherServer:
    addresses = _addresses(node) if node is not None else []
    address, port = place if place is not None and place[0] else (addresses[0] if addresses else "", port)
    return OtherServer(name, address, port, _not_ready(node) if node is not None else "")


def _place(pod: Row) -> tuple[str, int]:
    """Return the address and the port that the flags of a mirror Pod name."""
    containers = pod["spec"].get("containers") or ()
    words = [word for one in containers for word in (*(one.get("command") or ()), *(one.get("args") or ()))]
    flags = dict(word.lstrip("-").replace("_", "-").split("=", 1) for word in words if "=" in word)
    return flags.get("advertise-address", ""), int(flags.get("secure-port") or 6443)


def _addresses(node: Row) -> list[str]:
    rows = (node.get("status") or {}).get("addresses") or ()
    return [str(row["address"]) for row in rows if row["type"] in ("InternalIP", "ExternalIP")]


def _not_ready(node: Row) -> str:
    """Return why a Node is not Ready, empty where it is."""
    rows = (node.get("status") or {}).get("conditions") or ()
    ready: Row = next((row for row in rows if row["type"] == "Ready"), {})
    if not ready or ready.get("status") == "True":
        return ""
    said = " ".join(str(ready.get("message") or "").split())
    reason = str(ready.get("reason") or "no reason is given")
    return f"{reason}: {said[:200]}" if said else reason


def problem(other: OtherServer, where: Endpoint, credentials: Credentials) -> str:
    """Return why the API server of another control plane does not serve; empty where it does."""
    if not other.address:
        return "the API shows no address of its API server"
    server = Endpoint(other.address, other.port, where.authorities)
    health = server.health(credentials)
    if health.readiness is Readiness.UNREACHABLE:
        return "its API server does not answer"
    if health.readiness is Readiness.NOT_READY:
        failing = f": /readyz fails on {', '.join(health.failing)}" if health.failing else ""
        return f"its API server is not ready{failing}"
    return storage_problem(server, credentials)


def storage_problem(server: Endpoint, credentials: Credentials) -> str:
    """Return why a server does not read from its storage; empty where it does, or may not be asked."""
    for _ in range(_ATTEMPTS):
        answer = server.request("GET", _OBJECT, credentials=credentials, timeout=_SECONDS)
        if answer.status in (200, 401, 403, 404):
            return ""
    said = f"within {_SECONDS:.0f} s" if answer.status == 0 else f"({answer.status} {answer.reason})"
    return f"its API server answers, but does not read from its storage {said} (its etcd member may be down)"


def judged(cluster: ClusterServers, problems: Sequence[str]) -> Iterator[Finding]:
    """Yield what the answers mean; ``problems`` has one text for each other control plane, empty where it serves."""
    for other, text in zip(cluster.others, problems, strict=True):
        if text:
            yield Finding.error(CHECK, f"control plane {other.place}: {text}; fewer serve meanwhile", _ALLOW)
        elif other.not_ready:
            said = f"the Node {other.node} is not Ready ({other.not_ready}), but its API server is ready"
            yield Finding.warning("node-not-ready", said, f"kubectl describe node {other.node}")
    if cluster.others and not any(problems):
        names = ", ".join(other.node for other in cluster.others)
        text = f"{_count(cluster.others)} meanwhile: {names}"
        yield Finding.note(CHECK, text)


def _count(others: Sequence[OtherServer]) -> str:
    return "1 other control plane serves" if len(others) == 1 else f"{len(others)} other control planes serve"
