"""What a look at a cluster finds: each API server is asked by itself, all at the same time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from auditctl.cluster import flagz, servers
from auditctl.cluster.connection import ApiConnection, ServerAddress
from auditctl.cluster.servers import MirrorServer
from auditctl.errors import ManifestError, RefusedError
from auditctl.kubeadm.clusterconfiguration import ClusterConfiguration
from auditctl.node.apiserver import metrics
from auditctl.node.apiserver.client import Health, Readiness, failing_checks
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.clock import Clock
from auditctl.transport import HttpAnswer

RECORD = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
_RECORD_NAME = "kubeadm-config/ClusterConfiguration"
PROBES = (RECORD, f"{servers.PODS}&limit=1", f"{servers.NODES}&limit=1")
"""Reads that the rights of ``--template rbac`` allow; a policy that differs may audit one of them at another level."""
LEVELS = frozenset(["None", "Metadata", "Request", "RequestResponse"])
_ROUNDS = 2
_REPEATS = 10  # more than others are likely to send meanwhile
_SECONDS = 5.0
_METRICS_SECONDS = 10.0
_METRICS_LIMIT_BYTES = 64 << 20  # a busy server answers with several megabytes
_METRICS_SLACK_BYTES = 64 << 10  # by which what stands before the audit counters may grow meanwhile
_LIST_LIMIT_BYTES = 64 << 20
_TRIES = 3  # through a load balancer each try may reach another server
_COUNTER_READS = 3
_COUNTER_PAUSE_SECONDS = 0.3
_HINT = "auditctl status --template rbac"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvidence:
    """What one API server answered. A ``*_reason`` says why the value before it is not known, or not good.

    ``has_storage``: our request, which reads etcd, was answered. ``before`` and ``after`` are the counters around it.
    ``process_started`` is a Unix time. ``running_flags`` are those of the process (``/flagz``), None where it does not show
    them. ``levels`` are, for each of `PROBES`, the levels at which the server can have audited it.
    """

    server: MirrorServer
    is_endpoint: bool | None
    health: Health
    health_reason: str = ""
    has_storage: bool | None = None
    storage_reason: str = ""
    audit_id: str = ""
    before: Counters | None = None
    after: Counters | None = None
    counters_reason: str = ""
    process_started: float | None = None
    running_flags: Mapping[str, str] | None = None
    levels: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEvidence:
    """What is known of a cluster. ``lone_nodes`` are control planes without a Pod of kube-apiserver.

    ``nodes_reason`` says why that is not known, ``record_reason`` why kubeadm's record is not.
    """

    server: str
    context: str
    servers: tuple[ServerEvidence, ...]
    lone_nodes: tuple[str, ...] = ()
    nodes_reason: str = ""
    record: ClusterConfiguration | None = None
    record_reason: str = ""


def collect_cluster(connection: ApiConnection, clock: Clock) -> ClusterEvidence:
    """Ask the cluster, then each of its API servers; nothing is written.

    Raises:
        RefusedError: the API servers cannot be listed.
    """
    answer = _first_answer(connection, servers.PODS, ())
    mirrors = _mirrors(connection, answer)
    addresses = [one.address for one in mirrors if one.is_ready is not False]
    endpoints = _json(_first_answer(connection, servers.ENDPOINTS, addresses))
    hosts = servers.endpoint_hosts(endpoints) if endpoints is not None else None
    is_compared = len(mirrors) > 1 and not all(one.policy_sha256 for one in mirrors)
    with ThreadPoolExecutor(max_workers=max(len(mirrors), 1)) as pool:
        look = partial(_evidence, connection, hosts=hosts, clock=clock, is_compared=is_compared)
        evidence = tuple(pool.map(look, mirrors))
    good = [one.server.address for one in evidence if one.has_storage]
    nodes = _first_answer(connection, servers.NODES, good)
    listed = _json(nodes)
    names = servers.control_plane_nodes(listed) if listed is not None else ()
    record, record_reason = _record(_first_answer(connection, RECORD, good))
    return ClusterEvidence(
        server=connection.server,
        context=connection.context,
        servers=evidence,
        lone_nodes=tuple(name for name in names if name not in {one.node for one in mirrors}),
        nodes_reason="" if listed is not None else _why_not(nodes, "the Nodes"),
        record=record,
        record_reason=record_reason,
    )


def _first_answer(connection: ApiConnection, path: str, addresses: list[ServerAddress] | tuple[()]) -> HttpAnswer:
    """Ask whoever answers: one server may hang (its etcd member is gone), and a load balancer still sends requests there."""
    places: list[ServerAddress | None] = [*addresses, *[None] * _TRIES]
    answer = HttpAnswer(0, "not asked")
    for place in places:
        answer = connection.get(path, place, seconds=_SECONDS, limit_bytes=_LIST_LIMIT_BYTES)
        if answer.status not in (0, 429, 500, 502, 503, 504):
            break
    return answer


def _mirrors(connection: ApiConnection, answer: HttpAnswer) -> tuple[MirrorServer, ...]:
    listed = _json(answer)
    if listed is None:
        text = f"the API servers cannot be listed: {_why_not(answer, 'the Pods of kube-system', connection.server)}"
        fix = _HINT if answer.status == 403 else "does the kubeconfig name the right cluster? try: kubectl get nodes"
        raise RefusedError(text, check="cluster", fix=fix)
    mirrors = servers.mirror_servers(listed)
    if not mirrors:
        text = (
            "kube-system has no Pod with the label component=kube-apiserver: kubeadm did not make this control plane, "
            "or a provider runs it elsewhere"
        )
        raise RefusedError(text, check="cluster", fix="see what runs the API servers; auditctl knows kubeadm's")
    return mirrors


def _evidence(
    connection: ApiConnection,
    server: MirrorServer,
    *,
    hosts: frozenset[str] | None,
    clock: Clock,
    is_compared: bool,
) -> ServerEvidence:
    """Ask one API server at its own address."""
    place = server.address
    is_endpoint = None if hosts is None else place.host in hosts
    health, reason = _health(connection.get("/readyz", place, seconds=_SECONDS), place)
    if reason.startswith(f"{place}: "):  # no answer
        return ServerEvidence(server=server, is_endpoint=is_endpoint, health=health, health_reason=reason)
    audit_id = f"auditctl-{uuid.uuid4()}"
    page = _metrics_page(connection, place)
    before = _parsed(page)
    storage = connection.get(RECORD, place, headers={"Audit-ID": audit_id}, seconds=_SECONDS)
    has_storage = True if storage.status in (200, 404) else False if storage.status in (0, 500, 503, 504) else None
    last = page if before is None or has_storage is False else _page_after(connection, place, page, clock)
    after = _parsed(last)
    levels = _levels(connection, place, page, after) if after is not None and has_storage and is_compared else {}
    shown = connection.get(flagz.PATH, place, headers={"Accept": flagz.ACCEPT}, seconds=_SECONDS)
    return ServerEvidence(
        server=server,
        is_endpoint=is_endpoint,
        health=health,
        health_reason=reason,
        has_storage=has_storage,
        storage_reason="" if has_storage else _why_not(storage, "the ConfigMap kubeadm-config"),
        audit_id=audit_id,
        before=before,
        after=after,
        counters_reason="" if last.status == 200 else _why_not(last, "/metrics"),
        process_started=metrics.process_start(page.body.decode(errors="replace")),
        running_flags=flagz.flags_of(shown.body) if shown.status == 200 else None,
        levels=levels,
    )


def _page_after(connection: ApiConnection, place: ServerAddress, page: HttpAnswer, clock: Clock) -> HttpAnswer:
    """Read the audit counters again until they differ: an event may be counted a moment after its answer."""
    before, last = _parsed(page), page
    for turn in range(_COUNTER_READS):
        if turn:
            clock.sleep(_COUNTER_PAUSE_SECONDS)
        last = _counters_page(connection, place, page)
        after = _parsed(last)
        if after is None or before is None or (after.events, after.errors) != (before.events, before.errors):
            break
    return last


def _counters_page(connection: ApiConnection, place: ServerAddress, page: HttpAnswer) -> HttpAnswer:
    """Read /metrics as far as the audit counters; ``page`` is the whole of it, read before.

    It has some megabytes and is sorted by name (prometheus/client_golang, Registry.Gather), so the rest is not read.
    """
    end = metrics.audit_end(page.body)
    limit = end + _METRICS_SLACK_BYTES if end else _METRICS_LIMIT_BYTES
    answer = _metrics_page(connection, place, limit)
    is_cut = len(answer.body) >= limit and metrics.is_cut(answer.body)
    return _metrics_page(connection, place) if is_cut else answer


def _levels(
    connection: ApiConnection, place: ServerAddress, page: HttpAnswer, first: Counters
) -> dict[str, frozenset[str]]:
    """Return at which levels each of `PROBES` can have been audited, by the counters before and after some of each.

    Several levels can be left where others send requests, too. The level is counted before the request is served
    (apiserver pkg/endpoints/filters/audit.go).
    """
    possible: dict[str, frozenset[str]] = {}
    before = first
    for path in PROBES * _ROUNDS:
        if len(possible.get(path, LEVELS)) == 1:
            continue
        answers = [connection.get(path, place, seconds=_SECONDS).status for _ in range(_REPEATS)]
        after = _parsed(_counters_page(connection, place, page))
        if after is None or 0 in answers:
            break
        possible[path] = possible.get(path, LEVELS) & grown_levels(before, after)
        before = after
    return possible


def grown_levels(before: Counters, after: Counters) -> frozenset[str]:
    """Return the levels whose counter grew by all requests of a round; that of these requests is always one of them."""
    return frozenset(level for level in LEVELS if after.levels.get(level, 0) - before.levels.get(level, 0) >= _REPEATS)


def _parsed(answer: HttpAnswer) -> Counters | None:
    return metrics.parse(answer.body.decode(errors="replace")) if answer.status == 200 else None


def _health(answer: HttpAnswer, place: ServerAddress) -> tuple[Health, str]:
    """Return what /readyz says, and why it is not ready."""
    if answer.status == 200:
        return Health(Readiness.READY), ""
    if answer.status == 0:  # "refused" comes from the machine itself: it can be reached, and nothing listens there
        state = Readiness.NOT_READY if "refused" in answer.reason else Readiness.UNREACHABLE
        return Health(state), f"{place}: {answer.reason}"
    if answer.status in (401, 403):
        return Health(Readiness.UNKNOWN), f"{place}/readyz answers {answer.status}"
    failing = failing_checks(answer.body)
    named = f" ({', '.join(failing)})" if failing else ""
    return Health(Readiness.NOT_READY, failing), f"{place}/readyz answers {answer.status}{named}"


def _metrics_page(
    connection: ApiConnection, place: ServerAddress, limit_bytes: int = _METRICS_LIMIT_BYTES
) -> HttpAnswer:
    return connection.get("/metrics", place, seconds=_METRICS_SECONDS, limit_bytes=limit_bytes)


def _record(answer: HttpAnswer) -> tuple[ClusterConfiguration | None, str]:
    configmap = _json(answer)
    if configmap is None:
        return None, _why_not(answer, "the ConfigMap kubeadm-config")
    text = (configmap.get("data") or {}).get("ClusterConfiguration")
    if not isinstance(text, str):
        return None, "the ConfigMap kubeadm-config has no key ClusterConfiguration"
    try:
        return ClusterConfiguration.parse(text, _RECORD_NAME), ""
    except ManifestError as error:
        return None, str(error.message)


def _json(answer: HttpAnswer) -> Mapping[str, Any] | None:
    if answer.status != 200:
        return None
    try:
        value = json.loads(answer.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _why_not(answer: HttpAnswer, name: str, server: str = "") -> str:
    """Return why ``name`` could not be read, in words."""
    at = f" from {server}" if server else ""
    match answer.status:
        case 0:
            return f"no answer{at} ({answer.reason})"
        case 401:
            return f"the credentials are not accepted{at} (401)"
        case 403:
            return f"the account may not read {name} (403)"
        case 404:
            return f"there is none{at} (404)"
        case 200:
            return f"what answers{at} is no Kubernetes API"
        case _:
            return f"the answer is {answer.status} {answer.reason}".rstrip()
