"""The common request taken apart quickly: a URL in origin form without escapes. All others are ``request``'s.

The rules are those of ``request.attributes`` (`requestinfo.go`), written out in one go for the sake of speed; a test
holds the two together on the recorded requests of the server and on drawn ones.
"""

from __future__ import annotations

from auditctl.patterns import lazily

# one simple term; beside other options, which may spoil it, and a second selector it is not plain
_TERM = lazily(r"([A-Za-z.]+)(?:=|%3[Dd])([-a-z0-9]+(?:\.[-a-z0-9]+)*)")
_OTHER_OPTIONS = lazily(r"labelSelector|limit|timeoutSeconds|fieldSelector.*fieldSelector")
_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

Plain = tuple[bool, str, str, str, str, str, str, str, str]
"""The fields of ``Attributes`` behind ``user``, in their order."""


def take_apart(method: str, url: str) -> Plain | None:  # noqa: C901, PLR0912 (a straight line; calls would double its time)
    """The attributes of a plain request without its user; None for one that ``request.attributes`` has to read."""
    path, _, query = url.partition("?")
    if "%" in path or path[:1] != "/" or not url.isprintable():
        return None
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
            if query:
                verb_and_name = _list_or_watch(query)
                if verb_and_name is None:
                    return None
                verb, name = verb_and_name
            else:
                verb = "list"
        elif verb == "delete":
            verb = "deletecollection"
    return True, verb, group, version, namespace, resource, subresource, name, path


def _list_or_watch(query: str) -> tuple[str, str] | None:
    """Return verb and name of a get without a name, None where the query is not plain itself."""
    if "+" in query or ";" in query or not query.isascii():
        return None
    watch: str | None = None
    name = ""
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if "%" in key:
            return None
        if key == "watch":
            if "%" in value:
                return None
            watch = value if watch is None else watch
        elif key == "fieldSelector":
            term = _TERM.fullmatch(value)
            if term is None or name or _OTHER_OPTIONS.search(query):
                return None
            name = term[2] if term[1] == "metadata.name" else ""
    return ("list" if watch is None or watch.lower() in {"0", "false"} else "watch"), name
