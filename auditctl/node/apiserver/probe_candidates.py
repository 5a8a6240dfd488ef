"""List the requests that may be sent to prove that events are recorded; the policy steers them only in part.

What is sent with credentials is decided here and not by the policy: fixed URLs, and reads of a name that holds our
nonce, so that nothing answers to it. A policy is a text that somebody else wrote; a request that runs as an
administrator must not go where such a text says (a Service's proxy for example). Whatever is not a GET goes as
the anonymous user with ``dryRun=All``, and comes after every read: security monitoring may report it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from auditctl.patterns import lazily
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import GroupResources, Policy, PolicyRule

FIXED_URLS = ("/version", "/readyz", "/livez", "/healthz", "/api", "/apis", "/openapi/v2", "/metrics")
MOST_OF_A_RULE = 200
MOST_CANDIDATES = 5000
"""More than that and the rest of a policy is passed over: a choice may take seconds, not minutes."""
_METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
_COLLECTION_VERBS = ("create", "list", "watch", "deletecollection")
_READS = ("get", "list", "watch")
_WRITES = tuple(_METHODS)
_URL = lazily("/[!-~]*")  # what can be written as HTTP without escapes
_PLAIN_PATH = lazily("(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
"""A path that means what it says: no escapes, no query, no empty segment, none that goes up."""
_SEGMENT = lazily("[A-Za-z0-9_~:-][A-Za-z0-9._~:-]*")
_CONNECTING = frozenset({"exec", "attach", "portforward", "proxy"})
_PROXY = "proxy"


class CandidateRequest(NamedTuple):
    """One request that may be sent: as the anonymous user, or with the credentials of the kubeconfig."""

    method: str
    url: str
    with_credentials: bool


def candidates(
    policies: tuple[Policy, Policy | None], nonce: str, *, has_credentials: bool
) -> Iterator[CandidateRequest]:
    """Yield the requests in the order of preference: fixed reads, reads that the rules name, then dry runs of writes.

    The second policy is the one of before; rules that only one of the two has come first.
    """
    rules = _rules(policies)
    yield from _allowed((("GET", url) for url in FIXED_URLS), nonce, has_credentials=has_credentials)
    reads = (each for rule in rules for each in islice(_reads(rule, nonce), MOST_OF_A_RULE))
    yield from islice(_allowed(reads, nonce, has_credentials=has_credentials), MOST_CANDIDATES)
    yield from _allowed(_of_our_name(nonce), nonce, has_credentials=has_credentials)
    writes = (each for rule in rules for each in islice(_writes(rule, nonce), MOST_OF_A_RULE))
    yield from islice(_allowed(writes, nonce, has_credentials=False), MOST_CANDIDATES)


def is_proxied(url: str) -> bool:
    """Return whether the server could pass a request for ``url`` on to a Pod, a Service or a node."""
    try:
        attributes_of_url = attributes("GET", url, None)
    except RequestError:
        return True
    return _PROXY in (attributes_of_url.verb, *attributes_of_url.path.split("/"))


def may_have_credentials(method: str, url: str, nonce: str) -> bool:
    """Return whether a request may be sent as an administrator: a read of a fixed URL, or of our own name."""
    if method != "GET" or is_proxied(url):
        return False
    if url in FIXED_URLS:
        return True
    parts = attributes(method, url, None)
    if _PLAIN_PATH.fullmatch(url) is None or parts.subresource in _CONNECTING:
        return False
    if parts.is_resource_request:
        return parts.name == nonce and parts.verb == "get"
    return url.endswith(nonce)


def _allowed(requests: Iterable[tuple[str, str]], nonce: str, *, has_credentials: bool) -> Iterator[CandidateRequest]:
    """Yield each request once for each caller that may send it."""
    for method, url in dict.fromkeys(islice(requests, MOST_CANDIDATES)):
        if _URL.fullmatch(url) is None or is_proxied(url):
            continue
        yield CandidateRequest(method, url, with_credentials=False)
        if has_credentials and may_have_credentials(method, url, nonce):
            yield CandidateRequest(method, url, with_credentials=True)


def _of_our_name(nonce: str) -> Iterator[tuple[str, str]]:
    for resource in ("pods", "configmaps", "secrets"):
        yield "GET", f"/api/v1/namespaces/default/{resource}/{nonce}"
    yield "GET", f"/{nonce}"


def _rules(policies: tuple[Policy, Policy | None]) -> list[PolicyRule]:
    """Return the rules of both policies once each, those first that only one of the two has."""
    lists = [
        dict.fromkeys(replace(rule, line=0) for rule in policy.rules) if policy is not None else {}
        for policy in policies
    ]
    changed = [rule for one, other in (lists, lists[::-1]) for rule in one if rule not in other]
    return list(dict.fromkeys((*changed, *lists[0], *lists[1])))


def _reads(rule: PolicyRule, nonce: str) -> Iterator[tuple[str, str]]:
    if rule.non_resource_urls:
        for pattern in rule.non_resource_urls:
            stem = pattern.rstrip("*")
            yield "GET", f"{stem}{nonce}" if stem.endswith("/") and stem != pattern else stem or f"/{nonce}"
            if stem != pattern and not stem.endswith("/"):
                yield "GET", f"{stem or '/'}{nonce}"
        return
    yield from _of_resources(rule, nonce, _READS)


def _writes(rule: PolicyRule, nonce: str) -> Iterator[tuple[str, str]]:
    if not rule.non_resource_urls:
        yield from _of_resources(rule, nonce, _WRITES)


def _of_resources(rule: PolicyRule, nonce: str, verbs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield requests that could match this rule: method and URL."""
    chosen = [verb for verb in verbs if not rule.verbs or verb in rule.verbs]
    for entry in rule.resources or (GroupResources("", ("pods",), ()),):
        for resource in entry.resources or ("pods",):
            for namespace in rule.namespaces or ("default",):
                for verb in chosen:
                    yield from _of_entry(entry, resource, namespace, verb, nonce)


def _of_entry(entry: GroupResources, pattern: str, namespace: str, verb: str, nonce: str) -> Iterator[tuple[str, str]]:
    resource, _, subresource = pattern.partition("/")
    resource = "pods" if resource == "*" else resource
    subresource = "" if subresource == "*" else subresource
    group = "" if entry.group == "*" else entry.group
    name = (entry.resource_names or (nonce,))[0]
    if not all(_SEGMENT.fullmatch(part) for part in filter(None, (group, resource, subresource, namespace, name))):
        return  # `pods/../..` and the like: no request has such a part
    url = (
        (f"/apis/{group}/v1" if group else "/api/v1")
        + (f"/namespaces/{namespace}" if namespace else "")
        + f"/{resource}"
    )
    if verb not in _COLLECTION_VERBS or subresource:
        url += f"/{name}" + (f"/{subresource}" if subresource else "")
    if verb in _READS:
        yield "GET", url + ("?watch=1&timeoutSeconds=1" if verb == "watch" else "")
    else:
        yield _METHODS[verb], url + "?dryRun=All"
