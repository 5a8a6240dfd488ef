"""Requests as a person writes them: ``get pods/log web-0 in test by alice of dev``, or ``GET /healthz by bob``.

The grammar is the contract's: ``VERB RESOURCE[/SUB][.GROUP] [NAME] [in NAMESPACE] [by USER] [of GROUP...]`` or
``METHOD /url [by USER] [of GROUP...]``. Verbs are the API's (``list``, not GET); groups are API groups before ``by``
and groups of the user behind ``of``.
"""

from __future__ import annotations

from auditctl.errors import UsageError
from auditctl.policy.request import attributes
from auditctl.policy.types import Attributes, User

DEFAULT_USER = User("kubernetes-admin", ("system:masters", "system:authenticated"))
_AUTHENTICATED = "system:authenticated"
_GRAMMAR = "VERB RESOURCE[/SUB][.GROUP] [NAME] [in NAMESPACE] [by USER] [of GROUP...], or METHOD /url [by USER]"


class ShorthandError(UsageError):
    """A request that does not follow the grammar; the message says where it departs from it."""


def parse(text: str) -> Attributes:
    """The attributes of a request in shorthand. Raises ShorthandError, and RequestError for a URL that does not parse.

    Without ``by`` the user is ``kubernetes-admin`` of ``system:masters`` and ``system:authenticated``; a user without
    ``of`` is in the groups that the server would give to one of that name.
    """
    words = text.split()
    if len(words) < 2:
        raise _error(text, "a verb and a resource, or a method and a URL, are needed")
    first, target, *rest = words
    clauses = _clauses(text, rest)
    user = _user(clauses)
    if target.startswith("/"):
        if clauses.keys() & {"", "in"}:
            raise _error(text, "a URL says name and namespace itself")
        return attributes(first.upper(), target, user)
    return _resource_request(first, target, clauses, user)


def _error(text: str, reason: str) -> ShorthandError:
    return ShorthandError(f"request {text!r}: {reason}", fix=f"write {_GRAMMAR}")


def _clauses(text: str, words: list[str]) -> dict[str, list[str]]:
    """What stands behind each of ``in``, ``by`` and ``of``; the name of the object has no word before it."""
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


def _user(clauses: dict[str, list[str]]) -> User:
    if not clauses.keys() & {"by", "of"}:
        return DEFAULT_USER
    name = clauses.get("by", [DEFAULT_USER.name])[0]
    return User(name, tuple(clauses["of"]) if "of" in clauses else usual_groups(name))


def usual_groups(name: str) -> tuple[str, ...]:
    """The groups that the server gives to a user of that name: service accounts, nodes and the anonymous have theirs."""
    if name == DEFAULT_USER.name:
        return DEFAULT_USER.groups
    if name == "system:anonymous":
        return ("system:unauthenticated",)
    match name.split(":"):
        case ["system", "serviceaccount", namespace, _]:
            return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", _AUTHENTICATED)
        case ["system", "node", _]:
            return ("system:nodes", _AUTHENTICATED)
        case _:
            return (_AUTHENTICATED,)


def _resource_request(verb: str, target: str, clauses: dict[str, list[str]], user: User) -> Attributes:
    # both `deployments/scale.apps` and kubectl's `deployments.apps/scale`
    resource, _, subresource = target.partition("/")
    resource, _, group = resource.partition(".")
    if not group:
        subresource, _, group = subresource.partition(".")
    name = clauses.get("", [""])[0]
    # a namespace is in itself, as in the URL `/api/v1/namespaces/x`
    namespace = clauses.get("in", [name if (resource, group) == ("namespaces", "") else ""])[0]
    prefix = f"/apis/{group}/v1" if group else "/api/v1"
    own = (resource, group) == ("namespaces", "")
    parts = ["namespaces", namespace] if namespace and not own else []
    path = "/".join([prefix, *parts, resource, *filter(None, (name, subresource if name else ""))])
    return Attributes(
        user,
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
