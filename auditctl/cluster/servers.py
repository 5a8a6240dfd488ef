"""The API servers of a cluster, as the objects of its API show them: mirror Pods, endpoints, Nodes. Pure.

A static Pod is shown by a mirror Pod, which the kubelet makes from its manifest; so it has every flag and annotation of
the manifest (``pkg/kubelet/pod/mirror_client.go``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditctl.cluster.connection import ServerAddress
from auditctl.manifest.flags import normalised
from auditctl.settings import POLICY_ANNOTATION

PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver"
ENDPOINTS = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
NODES = "/api/v1/nodes?labelSelector=node-role.kubernetes.io%2Fcontrol-plane"
_CONTAINER = "kube-apiserver"
_PORT = 6443
_AUDIT = "audit-"


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorServer:
    """One API server as its mirror Pod shows it.

    ``flags`` are named without dashes. ``policy_sha256`` is the annotation that auditctl writes when a policy changes, ""
    where the manifest has none. ``is_ready`` is what the kubelet last reported, None where it has not. ``object`` is the Pod.
    """

    node: str
    pod: str
    address: ServerAddress
    flags: Mapping[str, str]
    policy_sha256: str
    version: str
    started: str
    restarts: int
    is_ready: bool | None
    object: Mapping[str, Any]

    @property
    def audit_flags(self) -> dict[str, str]:
        """Return the flags ``audit-*``."""
        return {name: value for name, value in self.flags.items() if name.startswith(_AUDIT)}


def mirror_servers(pods: Mapping[str, Any]) -> tuple[MirrorServer, ...]:
    """Return the API servers of a PodList, by the names of their nodes."""
    rows = pods.get("items")
    mirrors = [_server(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return tuple(sorted(mirrors, key=lambda one: one.node))


def endpoint_hosts(endpoint_slice: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses in the EndpointSlice ``kubernetes``: each server whose lease in etcd has not run out.

    Source: ``pkg/controlplane/reconcilers/lease.go``; the lease is renewed every 10 s and lives 15 s.
    """
    return frozenset(str(host) for row in _rows(endpoint_slice, "endpoints") for host in row.get("addresses") or ())


def control_plane_nodes(nodes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names in a NodeList."""
    return tuple(sorted(str(_part(row, "metadata").get("name")) for row in _rows(nodes, "items")))


def _server(pod: Mapping[str, Any]) -> MirrorServer:
    metadata, spec, status = (_part(pod, name) for name in ("metadata", "spec", "status"))
    containers = list(_rows(spec, "containers"))
    container = next((one for one in containers if one.get("name") == _CONTAINER), containers[0] if containers else {})
    flags = dict(_flags([*(container.get("command") or ()), *(container.get("args") or ())]))
    statuses = list(_rows(status, "containerStatuses"))
    running = _part(_part(statuses[0], "state"), "running") if statuses else {}
    ready = next((row.get("status") for row in _rows(status, "conditions") if row.get("type") == "Ready"), None)
    name = str(metadata.get("name") or "")
    host = str(status.get("hostIP") or flags.get("advertise-address") or "")
    port = flags.get("secure-port", "")
    return MirrorServer(
        node=str(spec.get("nodeName") or name),
        pod=name,
        address=ServerAddress(host, int(port) if port.isdigit() else _PORT),
        flags=flags,
        policy_sha256=str(_part(metadata, "annotations").get(POLICY_ANNOTATION) or ""),
        version=str(container.get("image") or "").rpartition(":")[2],
        started=str(running.get("startedAt") or ""),
        restarts=int(statuses[0].get("restartCount") or 0) if statuses else 0,
        is_ready={"True": True, "False": False}.get(str(ready)),
        object={"apiVersion": "v1", "kind": "Pod", **pod},  # a list leaves these two out
    )


def _flags(words: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield the flags of a command line; one without ``=`` has the word behind it as its value, as pflag reads it."""
    texts = [str(word) for word in words]
    for position, word in enumerate(texts):
        if not word.startswith("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        following = texts[position + 1] if position + 1 < len(texts) else "-"
        yield normalised(name), value if equals else "" if following.startswith("-") else following


def _part(value: Any, name: str) -> Mapping[str, Any]:
    part = value.get(name) if isinstance(value, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _rows(value: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    rows = value.get(name)
    yield from (row for row in rows if isinstance(row, Mapping)) if isinstance(rows, list) else ()
