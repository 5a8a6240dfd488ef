"""Audit events: a request's stages, one JSON line each (pkg/apis/audit/v1/types.go)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditctl.compatibility import UTC
from auditctl.lab.apiserver.audit_backends import Backend, BackendCounters, Fields
from auditctl.policy.evaluate import evaluate
from auditctl.policy.types import Attributes, Decision, Level, Policy, Stage, User

USER_AGENT_LIMIT = 1024
_BODY_VERBS = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedRequest:
    """What an event says of a request before there is an answer."""

    attributes: Attributes
    uri: str
    source: str
    user_agent: str
    audit_id: str
    extra: Mapping[str, list[str]] = field(default_factory=dict)
    impersonated: User | None = None
    received: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """How it was answered; ``status`` is a Status object for failures, ``shown`` the object a handler negotiated."""

    code: int
    status: Mapping[str, Any] = field(default_factory=dict)
    shown: Mapping[str, Any] | None = None
    request_object: Any = None
    allowed: str | None = None  # the authorizer's reason; None where it was not asked
    forbidden: bool = False


@dataclass(slots=True)
class Recorder:
    """Decides by policy and hands on. No ``policy``, or no ``backends``: auditing is off."""

    policy: Policy | None
    backends: Sequence[Backend]
    counters: BackendCounters = field(default_factory=BackendCounters)

    def decide(self, request: AuditedRequest) -> Decision | None:
        """Return the decision of the policy; None where auditing is off."""
        if self.policy is None or not self.backends:
            return None
        decision = evaluate(self.policy, request.attributes)
        with self.counters.lock:
            self.counters.levels[decision.level.value] += 1
        return decision

    def record(
        self, decision: Decision | None, request: AuditedRequest, stage: Stage, response: Response | None = None
    ) -> bool:
        """Hand on the event of one stage; return False where the request must not go on without it."""
        if decision is None or decision.level is Level.NONE or stage in decision.omit_stages:
            return True
        made = event(decision, request, stage, response)
        with self.counters.lock:
            self.counters.events += 1
        refused = [backend for backend in self.backends if not backend.process([made])]
        return not refused

    def shut_down(self) -> None:
        """Hand on what a batch still holds."""
        for backend in self.backends:
            backend.shut_down()


def event(decision: Decision, request: AuditedRequest, stage: Stage, response: Response | None) -> Fields:
    """Return the event as a dict in the order of the file; empty optional fields are left out."""
    made: Fields = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": decision.level.value,
        "auditID": request.audit_id,
        "stage": stage.value,
        "requestURI": request.uri,
        "verb": request.attributes.verb,
        "user": _user(request.attributes.user, request.extra),
    }
    optional: Fields = {
        "impersonatedUser": _user(request.impersonated, {}) if response else {},
        "sourceIPs": [request.source],
        "userAgent": _cut(request.user_agent),
        "objectRef": _object_ref(request, response),
        **(_outcome(decision, request, response) if response else {}),
    }
    made.update({name: value for name, value in optional.items() if value not in (None, {}, [], "")})
    made["requestReceivedTimestamp"] = stamp(request.received)
    first = stage is Stage.REQUEST_RECEIVED
    made["stageTimestamp"] = stamp(request.received if first else datetime.now(UTC))
    if response and response.allowed is not None:
        verdict = "forbid" if response.forbidden else "allow"
        made["annotations"] = {
            "authorization.k8s.io/decision": verdict,
            "authorization.k8s.io/reason": response.allowed,
        }
    return made


def stamp(moment: datetime) -> str:
    """Return RFC 3339 UTC with six decimals (metav1.MicroTime)."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z"


def new_id() -> str:
    """Return a UUIDv4, for a client that sent no Audit-ID."""
    return str(uuid.uuid4())


def _user(user: User | None, extra: Mapping[str, list[str]]) -> Fields:
    if user is None:
        return {}
    made: Fields = {"username": user.name, "groups": list(user.groups), "extra": dict(extra)}
    return {name: value for name, value in made.items() if value}


def _cut(user_agent: str) -> str:
    return user_agent if len(user_agent) <= USER_AGENT_LIMIT else f"{user_agent[:USER_AGENT_LIMIT]}...TRUNCATED"


def _object_ref(request: AuditedRequest, response: Response | None) -> Fields:
    """Return the reference of a resource request; its name may come from the body, so not before the answer."""
    attributes = request.attributes
    if not attributes.is_resource_request:
        return {}
    body = response.request_object if response else None
    metadata = body.get("metadata") if isinstance(body, dict) else None
    written = metadata.get("name", "") if isinstance(metadata, dict) else ""
    made = {
        "resource": attributes.resource,
        "namespace": attributes.namespace,
        "name": attributes.name or written,
        "apiGroup": attributes.api_group,
        "apiVersion": attributes.api_version,
        "subresource": attributes.subresource,
    }
    return {name: value for name, value in made.items() if value}


def _outcome(decision: Decision, request: AuditedRequest, response: Response) -> Fields:
    made: Fields = {"responseStatus": {"metadata": {}, **response.status, "code": response.code}}
    if decision.level >= Level.REQUEST and request.attributes.verb in _BODY_VERBS:
        made["requestObject"] = response.request_object
    if decision.level >= Level.REQUEST_RESPONSE:
        made["responseObject"] = response.shown
    if decision.omit_managed_fields and made.get("requestObject") is not None and request.attributes.verb != "patch":
        made["requestObject"] = _without_managed_fields(made["requestObject"])
    return made


def _without_managed_fields(tree: Any) -> Any:
    metadata = tree.get("metadata") if isinstance(tree, dict) else None
    if not isinstance(metadata, dict):
        return tree
    return {**tree, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}
