"""One request of the log with all that people ask of it: who, as whom, from where, by which credential, with which answer.

The stages of a request are separate events with one Audit-ID; the last stage tells all that the earlier ones did
(`k8s.io/apiserver/pkg/audit/context.go`), so that it stands for the request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from auditctl.log.redaction import redacted_text, redacted_uri

CREDENTIAL = "authentication.kubernetes.io/credential-id"
"""The key of ``user.extra`` that names the certificate or token (`k8s.io/apiserver/pkg/authentication/user`)."""
_STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRequest:
    """A request as its last recorded stage tells it. ``request_body`` and ``response_body`` hold secrets: never print them."""

    audit_id: str
    time: str
    stage: str
    level: str
    verb: str
    uri: str
    code: int
    message: str
    user: str
    acts_as: str
    source: str
    agent: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    credentials: tuple[str, ...]
    decision: Mapping[str, Any]
    request_body: Any = None
    response_body: Any = None

    @property
    def is_read(self) -> bool:
        """Does the request change nothing? A connection (exec, attach) is a GET that does."""
        return self.verb in ("get", "list", "watch") and self.subresource not in (
            "exec",
            "attach",
            "portforward",
            "proxy",
        )

    @property
    def is_dry_run(self) -> bool:
        """Did the client ask the server to persist nothing?"""
        return "dryRun" in parse_qs(urlsplit(self.uri).query)

    @property
    def action(self) -> str:
        """Return the verb with its subresource, and the command of an exec."""
        command = parse_qs(urlsplit(self.uri).query).get("command") if self.subresource in ("exec", "attach") else None
        text = f"{self.verb} {self.subresource}" if self.subresource else self.verb
        return f"{text}: {redacted_text(' '.join(command))}" if command else text

    @property
    def target(self) -> str:
        """Return the object with its namespace, or the URL where the request is about no object."""
        if not self.resource:
            return redacted_uri(self.uri)
        name = f"{self.resource}{f'.{self.group}' if self.group else ''}{f'/{self.name}' if self.name else ''}"
        return f"{name} in {self.namespace}" if self.namespace else name

    def row(self) -> dict[str, Any]:
        """Return the request for ``-o json``, without its bodies."""
        return {
            "time": self.time,
            "auditID": self.audit_id,
            "stage": self.stage,
            "level": self.level,
            "user": self.user,
            "impersonatedUser": self.acts_as or None,
            "credentialIDs": list(self.credentials),
            "source": self.source,
            "agent": self.agent,
            "verb": self.verb,
            "action": self.action,
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
            "namespace": self.namespace,
            "name": self.name,
            "requestURI": redacted_uri(self.uri),
            "code": self.code or None,
            "message": redacted_text(self.message),
            "authorization": dict(self.decision),
        }


def recorded(line: bytes) -> RecordedRequest | None:
    """Return the request of one event, None for what is too deeply nested or no event after all."""
    try:
        event = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    reference, status, user = (_part(event, key) for key in ("objectRef", "responseStatus", "user"))
    impersonated = _part(event, "impersonatedUser")
    return RecordedRequest(
        audit_id=_text(event, "auditID"),
        time=_text(event, "stageTimestamp"),
        stage=_text(event, "stage"),
        level=_text(event, "level"),
        verb=_text(event, "verb"),
        uri=_text(event, "requestURI"),
        code=status["code"] if isinstance(status.get("code"), int) else 0,
        message=_text(status, "message"),
        user=_text(user, "username"),
        acts_as=_text(impersonated, "username"),
        source=",".join(map(str, event.get("sourceIPs") or ())),
        agent=_text(event, "userAgent"),
        group=_text(reference, "apiGroup"),
        resource=_text(reference, "resource"),
        subresource=_text(reference, "subresource"),
        namespace=_text(reference, "namespace"),
        name=_text(reference, "name"),
        credentials=(*_credentials(user), *_credentials(impersonated)),
        decision=_decision(event),
        request_body=event.get("requestObject"),
        response_body=event.get("responseObject"),
    )


def whole_requests(requests: Iterable[RecordedRequest]) -> list[RecordedRequest]:
    """Return each request once, in the order of their first stages.

    Audit-IDs are the callers' to choose: two events of one ID are one request only where the URL and the verb are the
    same and the stage is a later one.
    """
    result: list[RecordedRequest] = []
    place: dict[tuple[str, str, str], int] = {}
    for each in requests:
        key = (each.audit_id, each.verb, each.uri)
        at = place.get(key)
        if at is not None and _rank(each) > _rank(result[at]):
            result[at] = each
        else:
            place[key] = len(result)
            result.append(each)
    return result


def _rank(request: RecordedRequest) -> int:
    return _STAGES.index(request.stage) if request.stage in _STAGES else -1


def _credentials(user: Mapping[str, Any]) -> tuple[str, ...]:
    values = _part(user, "extra").get(CREDENTIAL)
    return tuple(map(str, values)) if isinstance(values, list) else ()


def _decision(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return who allowed it and why; ``authorizationDecision`` is a field of newer servers (KEP-6001)."""
    annotations = _part(event, "annotations")
    result: dict[str, Any] = {}
    for key in ("decision", "reason"):
        if value := annotations.get(f"authorization.k8s.io/{key}"):
            result[key] = value
    if isinstance(newer := event.get("authorizationDecision"), dict):
        result["authorizationDecision"] = newer
    constraint = _part(event, "authenticationMetadata").get("impersonationConstraint")
    return {**result, "impersonationConstraint": constraint} if constraint else result


def _part(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
