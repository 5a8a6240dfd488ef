"""Choose the request whose event will be the receipt: by evaluating the policy, so that it must be recorded.

No write that could succeed: whatever is not a GET goes without credentials and with ``dryRun=All``; an object
that is asked for by name with credentials has a name that nobody gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from auditctl.patterns import lazily
from auditctl.policy.evaluate import evaluate, stages
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import Decision, GroupResources, Level, Policy, PolicyRule, Stage, User

_KERNEL_UUID = Path("/proc/sys/kernel/random/uuid")  # random(4); the uuid module takes 3 ms to import
_SENDABLE = lazily("/[!-~]*")
_PLAIN_URLS = ("/version", "/readyz", "/livez", "/healthz", "/api", "/apis", "/openapi/v2", "/metrics")
_METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
_COLLECTION_VERBS = ("create", "list", "watch", "deletecollection")
_READS = ("get", "list", "watch")
_ALL_VERBS = ("get", "list", "create", "update", "patch", "delete", "watch", "deletecollection")


class Probe(NamedTuple):
    """One request to send, and what the policy says of it.

    ``with_credentials`` False is anonymous; ``distinguishes`` is None where the policy of before is not known.
    """

    method: str
    url: str
    with_credentials: bool
    decision: Decision
    stages: tuple[Stage, ...]
    distinguishes: bool | None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


class Callers(NamedTuple):
    """Whom the server will see: ``anonymous`` None where it turns anonymous requests away (401), ``named`` None where
    we have no credentials or cannot know their user."""

    anonymous: User | None
    named: User | None


def new_nonce() -> str:
    """An Audit-ID that nobody else uses (the server keeps what the client sends: endpoints/filters/audit_init.go)."""
    return f"auditctl-{_KERNEL_UUID.read_text().strip()}"


def choose(policy: Policy, before: Policy | None, callers: Callers, nonce: str) -> Probe | None:
    """The first candidate that ``policy`` records and ``before`` decides otherwise, else the first that is recorded.

    None: nothing that we may send would be recorded.
    """
    first = None
    for method, url, with_credentials in _candidates((policy, before), callers, nonce):
        probe = _predict(policy, before, callers, method, url, with_credentials=with_credentials)
        if probe is None:
            continue
        if probe.distinguishes or before is None:
            return probe
        first = first or probe
    return first


def predict(policy: Policy, user: User | None, method: str, url: str) -> tuple[Decision, tuple[Stage, ...]]:
    """The decision for a request by ``user`` (None: authentication failed, 401) and the stages that will be written."""
    asked = attributes(method, url, user)
    decision = evaluate(policy, asked)
    return decision, stages(decision, asked, authenticated=user is not None)


def _predict(
    policy: Policy, before: Policy | None, callers: Callers, method: str, url: str, *, with_credentials: bool
) -> Probe | None:
    user = callers.named if with_credentials else callers.anonymous
    if not _SENDABLE.fullmatch(url):
        return None  # it could not be written as HTTP
    try:
        decision, written = predict(policy, user, method, url)
        if decision.level is Level.NONE or not written:
            return None
        distinguishes = before and _visible(predict(before, user, method, url)) != _visible((decision, written))
    except RequestError:
        return None
    return Probe(method, url, with_credentials, decision, written, None if before is None else bool(distinguishes))


def _visible(outcome: tuple[Decision, tuple[Stage, ...]]) -> tuple[Level, tuple[Stage, ...]]:
    """What a log shows of a decision: the level and the stages (a rule's number does not stand in an event)."""
    decision, written = outcome
    return (decision.level, written) if decision.level is not Level.NONE else (Level.NONE, ())


def _candidates(
    policies: tuple[Policy, Policy | None], callers: Callers, nonce: str
) -> Iterator[tuple[str, str, bool]]:
    who = (False, True) if callers.named is not None else (False,)
    for url in _PLAIN_URLS:
        for with_credentials in who:
            yield "GET", url, with_credentials
    for policy in policies:
        for rule in policy.rules if policy is not None else ():
            for method, url, only_anonymous in _of_rule(rule, nonce):
                yield method, url, False
                if not only_anonymous and len(who) > 1:
                    yield method, url, True
    for resource in ("pods", "configmaps", "secrets"):
        for with_credentials in who:
            yield "GET", f"/api/v1/namespaces/default/{resource}/{nonce}", with_credentials
    yield "GET", f"/{nonce}", False


def _of_rule(rule: PolicyRule, nonce: str) -> Iterator[tuple[str, str, bool]]:
    """Requests that could match this rule: (method, url, only anonymous)."""
    for pattern in rule.non_resource_urls:
        yield "GET", pattern.rstrip("*") + (nonce if pattern.endswith("*") else "") or f"/{nonce}", False
    if rule.non_resource_urls:
        return
    entries = rule.resources or (GroupResources("", ("pods",), ()),)
    for entry in entries:
        for resource in entry.resources or ("pods",):
            for namespace in rule.namespaces or ("default",):
                for verb in rule.verbs or _ALL_VERBS:
                    yield from _of_entry(entry, resource, namespace, verb, nonce)


def _of_entry(
    entry: GroupResources, pattern: str, namespace: str, verb: str, nonce: str
) -> Iterator[tuple[str, str, bool]]:
    resource, _, subresource = pattern.partition("/")
    resource = "pods" if resource == "*" else resource
    group = "" if entry.group == "*" else entry.group
    names = entry.resource_names or (nonce,)
    url = (
        (f"/apis/{group}/v1" if group else "/api/v1")
        + (f"/namespaces/{namespace}" if namespace else "")
        + f"/{resource}"
    )
    if verb not in _COLLECTION_VERBS or subresource:
        url += f"/{names[0]}" + (f"/{subresource}" if subresource not in ("", "*") else "")
    if verb in _READS:
        # a read with credentials only of what does not exist: what is found could be written into the log
        yield "GET", url + ("?watch=1&timeoutSeconds=1" if verb == "watch" else ""), verb != "get" or names[0] != nonce
    elif verb in _METHODS:
        yield _METHODS[verb], url + "?dryRun=All", True
