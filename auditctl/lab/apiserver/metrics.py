"""`/metrics` of the stand-in: the audit counters as a real 1.36.3 shows them, and `apiserver_request_total`.

Sources: staging/src/k8s.io/apiserver/pkg/audit/metrics.go, pkg/endpoints/metrics/metrics.go. In the order and with the
words of the real page; a labelled family is absent until it has counted something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from auditctl.lab.apiserver.audit_backends import BackendCounters
from auditctl.policy.types import Attributes

_ERROR = (
    "Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error."
)
_EVENT = "Counter of audit events generated and sent to the audit backend."
_LEVEL = "Counter of policy levels for audit events (1 per request)."
_REJECTED = "Counter of apiserver requests rejected due to an error in audit logging backend."
_REQUEST = (
    "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, "
    "and HTTP response code."
)

Labels = tuple[tuple[str, str], ...]


def text(counters: BackendCounters) -> str:
    """Return the page in Prometheus's text format."""
    with counters.lock:
        lines = [
            *_family("audit_error_total", "ALPHA", _ERROR, _by("plugin", counters.errors)),
            *_family("audit_event_total", "ALPHA", _EVENT, {(): counters.events}),
            *_family("audit_level_total", "ALPHA", _LEVEL, _by("level", counters.levels)),
            *_family("audit_requests_rejected_total", "ALPHA", _REJECTED, {(): counters.rejected}),
            *_family("request_total", "STABLE", _REQUEST, counters.requests),
        ]
    return "".join(f"{line}\n" for line in lines)


def request_labels(request: Attributes, code: int, *, dry_run: bool) -> Labels:
    """Return the labels of a request in `apiserver_request_total`; a path outside the API is the subresource."""
    resource = request.is_resource_request
    verb = (
        request.verb.upper()
        if request.verb in ("list", "watch", "deletecollection")
        else _METHODS.get(request.verb, "")
    )
    scope = ("resource" if request.name else "namespace" if request.namespace else "cluster") if resource else ""
    return (
        ("code", str(code)),
        ("component", "apiserver" if resource else ""),
        ("dry_run", "All" if dry_run else ""),
        ("group", request.api_group if resource else ""),
        ("resource", request.resource if resource else ""),
        ("scope", scope),
        ("subresource", request.subresource if resource else request.path),
        ("system_client", ""),
        ("verb", verb or request.verb.upper()),
        ("version", request.api_version if resource else ""),
    )


_METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "get": "GET"}


def _by(label: str, counts: Mapping[str, int]) -> dict[Labels, int]:
    return {((label, name),): count for name, count in counts.items()}


def _family(name: str, stability: str, words: str, counts: Mapping[Labels, int]) -> Iterator[str]:
    if not counts:
        return
    yield f"# HELP apiserver_{name} [{stability}] {words}"
    yield f"# TYPE apiserver_{name} counter"
    for labels, count in sorted(counts.items()):
        shown = ",".join(f'{key}="{value}"' for key, value in labels)
        yield f"apiserver_{name}{{{shown}}} {count}" if shown else f"apiserver_{name} {count}"
