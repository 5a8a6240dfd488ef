"""Requests as a person writes them: ``get pods/log web-0 in test by alice of dev``, or ``GET /healthz by bob``.

The grammar is the contract's: ``VERB RESOURCE[/SUB][.GROUP] [NAME] [in NAMESPACE] [by USER] [of GROUP...]`` or
``METHOD /url [by USER] [of GROUP...]``. Verbs are the API's (``list``, not GET); groups are API groups before ``by``
and groups of the user behind ``of``.
"""

from __future__ import annotations

from auditctl.errors import RefusedError, UsageError
from auditctl.facts import NEWEST
from auditctl.policy.request import attributes
from auditctl.policy.request_context import (
    RequestContext,
    ResourceTarget,
    UnsendableRequestError,
    administrator,
    check_method,
    check_verb,
    refuse_kubectl,
    resolve_target,
)
from auditctl.policy.types import Attributes, User

DEFAULT_USER = administrator(NEWEST)
_SUPER_ADMIN = "kubernetes-super-admin"  # of super-admin.conf, since 1.29
_AUTHENTICATED = "system:authenticated"
_REFINEMENTS = 4  # a kubectl option, a verb, a resource, its name
_GRAMMAR = "VERB RESOURCE[/SUB][.GROUP] [NAME] [in NAMESPACE] [by USER] [of GROUP...], or METHOD /url [by USER]"


class ShorthandError(UsageError):
    """A request that does not follow the grammar; the message says where it departs from it."""


def parse(text: str, context: RequestContext | None = None) -> Attributes:
    """Return the attributes of a request in shorthand.

    Without ``by`` the user is the administrator that kubeadm makes; a user without ``of`` is in the groups that the
    server would give to one of that name. With a ``context`` resources are resolved as kubectl resolves them, and what
    no client can send is refused; without one the words are taken as they stand.

    Raises:
        ShorthandError: the text does not follow the grammar; UnsendableRequestError: no client can send it;
        RequestError: the URL does not parse.
    """
    try:
        return _parse(text, context)
    except UnsendableRequestError as error:
        raise _refined(error, context) from error


def _refined(error: UnsendableRequestError, context: RequestContext | None) -> UnsendableRequestError:
    """Return the error with the request that leads on, where the one that its fix names is refused for another reason."""
    fix, meant = error.fix, error.meant
    for _ in range(_REFINEMENTS):
        try:
            if meant:
                _parse(meant, context)
            break
        except UnsendableRequestError as other:
            fix, meant = other.fix, other.meant
        except RefusedError:
            fix, meant = f"write {_GRAMMAR}", ""
    return UnsendableRequestError(error.message, fix=fix)


def _parse(text: str, context: RequestContext | None) -> Attributes:
    words = text.split()
    refuse_kubectl(text, words)
    if len(words) < 2:
        raise _error(text, "a verb and a resource, or a method and a URL, are needed")
    first, target, *rest = words
    clauses = _clauses(text, rest)
    user = _user(clauses, DEFAULT_USER if context is None else context.administrator)
    if context is not None and (target.startswith("/") or "://" in target):
        check_method(text, first, target)
    if target.startswith("/"):
        if clauses.keys() & {"", "in"}:
            raise _error(text, "a URL says name and namespace itself")
        return attributes(first.upper(), target, user)
    if context is None:
        return _resource_request(first, _literal(target), clauses, user)
    check_verb(text, first, words[1:], context)
    return _resource_request(first, resolve_target(text, target, context, is_named="" in clauses), clauses, user)


def _error(text: str, reason: str) -> ShorthandError:
    return ShorthandError(f"request {text!r}: {reason}", fix=f"write {_GRAMMAR}")


def _clauses(text: str, words: list[str]) -> dict[str, list[str]]:
    """Return what stands behind each of ``in``, ``by`` and ``of``; the name of the object has no word before it."""
    clauses: dict[str, list[str]] = {}
    current = ""
    for word in words:
        if word in {"in", "by", "of"} and clauses.get(current, [current]) != []:
            if word in clauses:
                raise _error(text, f"`{word}` is there twice")
            current = word
            clauses[current] = []
            continue
        clauses.setdefault(current, []).append(word)
    for keyword, values in clauses.items():
        if not values:
            raise _error(text, f"nothing stands behind `{keyword}`")
        if keyword != "of" and len(values) > 1:
            raise _error(text, f"{values[1]!r} is one word too many")
    return clauses


def _user(clauses: dict[str, list[str]], admin: User) -> User:
    if not clauses.keys() & {"by", "of"}:
        return admin
    name = clauses.get("by", [admin.name])[0]
    return User(name, tuple(clauses["of"]) if "of" in clauses else usual_groups(name, admin))


def usual_groups(name: str, admin: User = DEFAULT_USER) -> tuple[str, ...]:
    """Return the groups of a user of that name: service accounts, nodes, the anonymous and administrators have theirs."""
    if name == admin.name:
        return admin.groups
    if name == _SUPER_ADMIN:
        return ("system:masters", _AUTHENTICATED)
    if name == "system:anonymous":
        return ("system:unauthenticated",)
    match name.split(":"):
        case ["system", "serviceaccount", namespace, _]:
            return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED)
        case ["system", "node", _]:
            return ("system:nodes", _AUTHENTICATED)
        case _:
            return (_AUTHENTICATED,)


def _literal(target: str) -> ResourceTarget:
    """Take a target apart: both `deployments/scale.apps` and kubectl's `deployments.apps/scale`."""
    resource, _, subresource = target.partition("/")
    resource, _, group = resource.partition(".")
    if not group:
        subresource, _, group = subresource.partition(".")
    return ResourceTarget(group, resource, subresource)


def _resource_request(verb: str, target: ResourceTarget, clauses: dict[str, list[str]], user: User) -> Attributes:
    group, resource, subresource = target
    name = clauses.get("", [""])[0]
    # a namespace is in itself, as in the URL `/api/v1/namespaces/x`
    namespace = clauses.get("in", [name if (resource, group) == ("namespaces", "") else ""])[0]
    prefix = f"/apis/{group}/v1" if group else "/api/v1"
    own = (resource, group) == ("namespaces", "")
    parts = ["namespaces", namespace] if namespace and not own else []
    path = "/".join([prefix, *parts, resource, *filter(None, (name, subresource if name else ""))])
    return Attributes(
        user=user,
        is_resource_request=True,
        verb=verb,
        api_group=group,
        api_version="v1",
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
        path=path,
    )
