"""What the stand-in answers: health, version, discovery, metrics, and a few objects."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from auditctl.lab.apiserver import metrics
from auditctl.lab.apiserver.audit_backends import BackendCounters
from auditctl.lab.apiserver.authentication import AuthenticationVerdict, Caller, authorize, forbidden
from auditctl.lab.apiserver.health import CHECKS
from auditctl.lab.apiserver.objects import KINDS, Objects, StatusError
from auditctl.lab.apiserver.request_body import MediaTypeError
from auditctl.lab.node import klog
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import STAND_IN
from auditctl.policy.types import Attributes

_SHORT_NAMES: Mapping[str, str] = {
    "configmaps": "cm",
    "daemonsets": "ds",
    "deployments": "deploy",
    "events": "ev",
    "namespaces": "ns",
    "nodes": "no",
    "pods": "po",
    "serviceaccounts": "sa",
    "services": "svc",
}
_AGGREGATED = "APIGroupDiscoveryList"
TEXT, JSON = "text/plain; charset=utf-8", "application/json"


@dataclass(frozen=True, slots=True)
class StandInResponse:
    """An HTTP answer and what an audit event says of it. ``shown`` is a negotiated object, None for plain text."""

    code: int
    body: bytes
    content_type: str = TEXT
    shown: Mapping[str, Any] | None = None
    verdict: AuthenticationVerdict | None = None

    @property
    def status(self) -> dict[str, Any]:
        """Return the part of ``shown`` that `responseStatus` repeats, if it is a Status."""
        if self.shown is None or self.shown.get("kind") != "Status":
            return {}
        return {name: self.shown[name] for name in ("status", "message", "reason", "details") if name in self.shown}


@dataclass(slots=True, kw_only=True)
class Answers:
    """The whole API of the stand-in. ``failing`` says which checks of /readyz do not pass."""

    kubernetes: str
    counters: BackendCounters
    failing: Callable[[], Collection[str]]
    objects: Objects = field(default_factory=Objects)
    forbidden: Callable[[], Collection[str]] = tuple
    storage_hangs: Callable[[], bool] = bool

    def answer(
        self, caller: Caller, request: Attributes, query: str, body: Any, *, accept: str = ""
    ) -> StandInResponse:
        """Return the answer: authorization first, then the handler. ``body`` may be the error of one that cannot be read."""
        verdict = authorize(caller.user, request)
        if request.is_resource_request and request.resource in self.forbidden():
            verdict = AuthenticationVerdict(allowed=False)
        if not verdict.allowed:
            details = {"name": request.name, "group": request.api_group, "kind": request.resource}
            return failure(403, "Forbidden", forbidden(caller.user, request), details, verdict)
        try:
            if request.is_resource_request:
                return self._resource(request, query, body, verdict)
            if _AGGREGATED in accept and request.path in ("/api", "/apis"):
                return shown(200, _discovery(is_core=request.path == "/api"), verdict)
            return self._path(request, query, verdict)
        except StatusError as error:
            return failure(error.code, error.reason, error.message, error.details, verdict)

    def _resource(self, request: Attributes, query: str, body: Any, verdict: AuthenticationVerdict) -> StandInResponse:
        if isinstance(body, MediaTypeError):
            raise StatusError(415, "UnsupportedMediaType", str(body))
        if self.storage_hangs():
            words = "the server was unable to return a response in the time allotted, but may still be processing the request"
            raise StatusError(504, "Timeout", words)
        code, made = self.objects.perform(request, body, query)
        return shown(code, made, verdict)

    def _path(self, request: Attributes, query: str, verdict: AuthenticationVerdict) -> StandInResponse:
        path = request.path.rstrip("/") or "/"
        if path.split("/")[1] in ("livez", "readyz", "healthz"):
            return self._health(path, "verbose" in parse_qs(query, keep_blank_values=True), verdict)
        match path.strip("/").split("/"):
            case ["version"]:
                return StandInResponse(200, _pretty(self._version()), JSON, verdict=verdict)
            case ["metrics"]:
                return StandInResponse(
                    200,
                    metrics.text(self.counters).encode(),
                    "text/plain; version=0.0.4; charset=utf-8",
                    verdict=verdict,
                )
            case ["api"]:
                return shown(
                    200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}, verdict
                )
            case ["apis"]:
                return shown(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()}, verdict)
            case ["api", "v1"]:
                return shown(200, _resources("", "v1"), verdict)
            case ["apis", group, "v1"] if any(known == group for known, _ in KINDS):
                return shown(200, _resources(group, f"{group}/v1"), verdict)
            case _:
                return StandInResponse(404, b"404 page not found\n", verdict=verdict)

    def _health(self, path: str, verbose: bool, verdict: AuthenticationVerdict) -> StandInResponse:  # noqa: FBT001 - from the query
        name, _, check = path.strip("/").partition("/")
        if check and check not in CHECKS:
            return StandInResponse(404, b"404 page not found\n", verdict=verdict)
        failing = frozenset() if name == "livez" else self.failing()
        checks = (check,) if check else CHECKS
        failed = [each for each in checks if each in failing]
        lines = [f"[-]{each} failed: reason withheld" if each in failing else f"[+]{each} ok" for each in checks]
        lines.append(f"{name} check {'failed' if failed else 'passed'}")
        if failed:
            klog.write(klog.line(KlogSeverity.INFO, "healthz.go:261", f"{','.join(failed)} check failed: {name}", 1))
        text = "\n".join(lines) + "\n" if verbose or failed else "ok"
        return StandInResponse(500 if failed else 200, text.encode(), verdict=verdict)

    def _version(self) -> dict[str, str]:
        major, minor, _ = self.kubernetes.split(".")
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{self.kubernetes}",
            "gitCommit": "",
            "gitTreeState": STAND_IN,
            "platform": "linux/amd64",
        }


def shown(code: int, made: Mapping[str, Any], verdict: AuthenticationVerdict | None = None) -> StandInResponse:
    """Return a JSON object as a handler negotiates it."""
    return StandInResponse(code, json.dumps(made, separators=(",", ":")).encode() + b"\n", JSON, made, verdict)


def failure(
    code: int,
    reason: str,
    message: str,
    details: Mapping[str, str] | None = None,
    verdict: AuthenticationVerdict | None = None,
) -> StandInResponse:
    """Return a Status object; ``details`` None leaves the field out, as for a 401."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    status |= {"message": message, "reason": reason}
    if details is not None:
        status["details"] = {name: value for name, value in details.items() if value}
    return shown(code, {**status, "code": code}, verdict)


def _groups() -> list[dict[str, Any]]:
    names = sorted({group for group, _ in KINDS if group})
    versions = {name: {"groupVersion": f"{name}/v1", "version": "v1"} for name in names}
    return [{"name": name, "versions": [versions[name]], "preferredVersion": versions[name]} for name in names]


def _resources(group: str, group_version: str) -> dict[str, Any]:
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    resources = [
        {
            "name": name,
            "singularName": kind.lower(),
            "namespaced": namespaced,
            "kind": kind,
            "verbs": verbs,
            **({"shortNames": [_SHORT_NAMES[name]]} if name in _SHORT_NAMES else {}),
        }
        for (owner, name), (kind, namespaced) in KINDS.items()
        if owner == group
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _discovery(*, is_core: bool) -> dict[str, Any]:
    """Return aggregated discovery (`k8s.io/api/apidiscovery/v2`): /api has the core group, /apis all the others."""
    groups = [""] if is_core else sorted({group for group, _ in KINDS if group})
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [{"version": "v1", "resources": _discovered(group), "freshness": "Current"}],
        }
        for group in groups
    ]
    return {"kind": _AGGREGATED, "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _discovered(group: str) -> list[dict[str, Any]]:
    return [
        {
            "resource": row["name"],
            "responseKind": {"group": group, "version": "v1", "kind": row["kind"]},
            "scope": "Namespaced" if row["namespaced"] else "Cluster",
            "singularResource": row["singularName"],
            "verbs": row["verbs"],
            "shortNames": row.get("shortNames", []),
        }
        for row in _resources(group, "")["resources"]
    ]


def _pretty(made: Mapping[str, str]) -> bytes:
    return json.dumps(made, indent=2).encode()
