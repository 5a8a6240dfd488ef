"""Resolve what people write in a request (`deploy`, `Pod`, `events.events.k8s.io`) against one version of the API.

A request that no client can send gets no decision: the message says what was surely meant. Words of kubectl and
methods of HTTP are not verbs of the API, so they are refused instead of being compared with a policy's verbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from auditctl.errors import UsageError
from auditctl.policy.lint_checks import Known
from auditctl.policy.lint_selectors import SENT_AS
from auditctl.policy.resource_names import resolve
from auditctl.policy.types import User

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
_CLUSTER_ADMINS_SINCE = (1, 29)
"""From here on kubeadm puts the user of admin.conf into a group that RBAC binds (`kubeadm/app/constants`)."""
_AUTHENTICATED = "system:authenticated"
_VERB_OF_METHOD = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCE_OF_WORD = {"exec": "exec", "attach": "attach", "logs": "log", "port-forward": "portforward"}
_CLAUSE_OF_OPTION = {"-n": "in", "--namespace": "in", "--as": "by", "--as-group": "of"}
_OTHERS_WITH_VALUE = frozenset(
    ["-c", "--container", "-f", "--filename", "-l", "--selector", "-o", "--output", "--context", "--kubeconfig"]
)
_SUBRESOURCES = frozenset(
    [
        "approval",
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "finalize",
        "log",
        "portforward",
        "proxy",
        "resize",
        "scale",
        "status",
        "token",
    ]
)


class RequestContext(NamedTuple):
    """What a request is resolved against; ``takes_unknown`` lets resources through that the tables do not know."""

    known: Known
    version: tuple[int, int]
    administrator: User
    takes_unknown: bool = False


class ResourceTarget(NamedTuple):
    """A resource as the URL of the API has it."""

    group: str
    resource: str
    subresource: str


class UnsendableRequestError(UsageError):
    """A request that no client sends; the fix is the request that was surely meant."""

    @property
    def meant(self) -> str:
        """Return the request that the fix names; empty where it names none."""
        _, quote, rest = (self.fix or "").partition("write `")
        return rest.removesuffix("`") if quote else ""


def administrator(version: tuple[int, int]) -> User:
    """Return the user of the ``admin.conf`` that kubeadm of that version writes."""
    group = "kubeadm:cluster-admins" if version >= _CLUSTER_ADMINS_SINCE else "system:masters"
    return User("kubernetes-admin", (group, _AUTHENTICATED))


def refuse_kubectl(text: str, words: Sequence[str]) -> None:
    """Refuse a command line of kubectl, which its options or its name show.

    Raises:
        UnsendableRequestError: with the same in words of a request.
    """
    options = [word for word in words if word.startswith("-")]
    if words[:1] == ["kubectl"] or options:
        reason = f"{options[0]!r} is an option of kubectl" if options else "`kubectl` is no verb of the API"
        meant = " ".join(_without_options(words[words[:1] == ["kubectl"] :]))
        raise _error(text, reason, meant) if " " in meant else UnsendableRequestError(f"request {text!r}: {reason}")


def _without_options(words: Sequence[str]) -> Iterator[str]:
    """Yield the words, then the clauses that the options of kubectl stand for; a command behind ``--`` is no part of it."""
    clauses: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if name in _CLAUSE_OF_OPTION:
            clauses += [_CLAUSE_OF_OPTION[name], value if equals else next(rest, "")]
        elif name in _OTHERS_WITH_VALUE and not equals:
            next(rest, "")
        elif not word.startswith("-"):
            yield word
    yield from clauses


def check_method(text: str, method: str, url: str) -> None:
    """Refuse what is no method of HTTP, or no path of a server.

    Raises:
        UnsendableRequestError: with the request that was meant.
    """
    scheme, separator, rest = url.partition("://")
    if separator:
        host, _, path = rest.partition("/")
        message = f"{url!r} names a server; the audit policy sees the path alone"
        raise _error(text, message, f"{method.upper()} /{path}" if host and scheme else "")
    if method.upper() not in METHODS:
        meant = next((each for each, verb in _VERB_OF_METHOD.items() if verb == method.lower()), "GET")
        raise _error(text, f"{method!r} is no method of HTTP", f"{meant} {url}")


def check_verb(text: str, verb: str, words: list[str], context: RequestContext) -> None:
    """Refuse a verb that no request has; ``words`` stand behind it.

    Raises:
        UnsendableRequestError: with the request that was meant.
    """
    if verb in VERBS:
        return
    rest = " ".join(words)
    if verb in METHODS:
        message = f"{verb} is a method of HTTP, and needs a path; verbs of the API are in lower case"
        raise _error(text, message, f"{_VERB_OF_METHOD.get(verb, 'get')} {rest}")
    if verb.lower() in VERBS:
        raise _error(text, f"verbs are in lower case, and {verb!r} is not", f"{verb.lower()} {rest}")
    if verb.lower() in _SUBRESOURCE_OF_WORD:
        is_named = len(words) > 1 and resolve(words[0], context.known, context.version)
        others = words[1:] if is_named else words  # the resource may be left out, and Pods alone have these
        subresource = _SUBRESOURCE_OF_WORD[verb.lower()]
        of_api = "get" if subresource == "log" else "create"
        raise _error(text, f"{verb!r} is no verb of the API", " ".join((of_api, f"pods/{subresource}", *others)))
    meant = SENT_AS.get(verb.lower()) or next(iter(get_close_matches(verb.lower(), VERBS, 1)), "")
    raise _error(text, f"no request has the verb {verb!r}", f"{meant} {rest}" if meant else "")


def resolve_target(text: str, target: str, context: RequestContext, *, is_named: bool = True) -> ResourceTarget:
    """Return the resource that ``RESOURCE[/SUB][.GROUP]`` means.

    Raises:
        UnsendableRequestError: no server of the version has it, or several groups have; the candidates are named.
    """
    name, _, subresource = target.partition("/")
    if subresource and "." not in name:  # `deployments/scale.apps` is kubectl's `deployments.apps/scale`
        subresource, _, group = subresource.partition(".")
        name = f"{name}.{group}" if group else name
    resources = resolve(name, context.known, context.version)
    if len(resources) > 1:
        written = [f"{each.name}.{each.group or 'v1'}" for each in resources]
        message = f"{name!r} can be {' or '.join(written)}"
        raise _error(text, message, text.replace(target, target.replace(name, min(written, key=len), 1), 1))
    if not resources:
        if context.takes_unknown:
            resource, _, group = name.partition(".")
            return ResourceTarget(group, resource, subresource)
        raise _unknown(text, target, name, context)
    (only,) = resources
    if subresource and not is_named and subresource not in _SUBRESOURCES and not context.takes_unknown:
        message = f"{only.name} have no subresource {subresource!r}"
        raise _error(text, message, text.replace(target, f"{name} {subresource}", 1))
    return ResourceTarget(only.group, only.name, subresource)


def _unknown(text: str, target: str, name: str, context: RequestContext) -> UnsendableRequestError:
    """Return the refusal of a resource that the version does not serve, with the nearest that it does."""
    word, _, group = name.partition(".")
    message = f"no server of {context.version[0]}.{context.version[1]} has a resource {name!r}"
    groups = {each.group for each in (*context.known.resources, *context.known.preview)} | context.known.gone
    if "." in group and group not in groups:
        fix = "say --unknown-resources if the cluster has it as a custom resource"
        return UnsendableRequestError(f"request {text!r}: {message}", fix=fix)
    elsewhere = resolve(word, context.known, context.version) if group else ()
    if elsewhere:
        meant = f"{elsewhere[0].name}.{elsewhere[0].group or 'v1'}"
    else:
        plurals = [each.name for each in context.known.resources]
        meant = next(iter(get_close_matches(word.lower(), plurals, 1, 0.75)), "")
    if meant:
        return _error(text, message, text.replace(target, target.replace(name, meant, 1), 1))
    fix = "write it as `kubectl api-resources` does, or say --unknown-resources for a custom resource"
    return UnsendableRequestError(f"request {text!r}: {message}", fix=fix)


def _error(text: str, reason: str, meant: str) -> UnsendableRequestError:
    fix = f"write `{meant.strip()}`" if meant.strip() else f"use one of the verbs {', '.join(VERBS)}, and a resource"
    return UnsendableRequestError(f"request {text!r}: {reason}", fix=fix)
