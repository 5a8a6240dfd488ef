"""The common request taken apart quickly: a URL in origin form without escapes. All others are ``request``'s.

The rules are those of ``request.attributes`` (`requestinfo.go`), written out in one go for the sake of speed; a test
holds the two together on the recorded requests of the server and on drawn ones.
"""

from __future__ import annotations

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

Plain = tuple[bool, str, str, str, str, str, str, str, str]
"""The fields of ``Attributes`` behind ``user``, in their order."""


def take_apart(method: str, url: str) -> Plain | None:
    """The attributes of a plain request without its user; None for one that ``request.attributes`` has to read."""
    if "%" in url or url[:1] != "/" or not url.isprintable():
        return None
    path, _, query = url.partition("?")
    parts = path.strip("/").split("/")
    count = len(parts)
    head = parts[0]
    if head == "api" and count > 2:
        group, version, at = "", parts[1], 2
    elif head == "apis" and count > 3:
        group, version, at = parts[1], parts[2], 3
    else:
        return False, method.lower(), "", "", "", "", "", "", path
    resource = parts[at]
    namespace = ""
    if resource == "namespaces":
        if count > at + 1:
            namespace = parts[at + 1]
            if count > at + 2 and parts[at + 2] not in {"status", "finalize"}:
                at += 2
                resource = parts[at]
    elif resource in {"proxy", "watch"}:
        return None
    name = parts[at + 1] if count > at + 1 else ""
    subresource = parts[at + 2] if count > at + 2 else ""
    verb = _VERBS.get(method, "")
    if not name:
        if verb == "get":
            verb = _list_or_watch(query) if query else "list"
            if not verb:
                return None
        elif verb == "delete":
            verb = "deletecollection"
    return True, verb, group, version, namespace, resource, subresource, name, path


def _list_or_watch(query: str) -> str:
    """The verb of a get without a name, "" where the query may name the one object or is not plain itself."""
    if "fieldSelector" in query or "+" in query or not query.isascii():
        return ""
    for pair in query.split("&"):
        if pair[:5] == "watch" and pair[5:6] in {"", "="} and ";" not in pair:
            return "list" if pair[6:].lower() in {"0", "false"} else "watch"
    return "list"
