"""HTTP method and URL to attributes, as `apiserver/pkg/endpoints/request/requestinfo.go NewRequestInfo` does.

The query never takes part in path matching; it only tells list from watch and may name the one object asked for.
"""

from __future__ import annotations

import re

from auditctl.errors import RefusedError
from auditctl.patterns import lazily
from auditctl.policy.selectors import exact_name, is_int64, is_label_selector, is_path_segment
from auditctl.policy.types import Attributes, User

_VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_SPECIAL_VERBS = frozenset({"proxy", "watch"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})

_CONTROL = lazily(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = lazily(r"%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_ESCAPE = lazily(rb"%([0-9A-Fa-f]{2})")
_ABSOLUTE = lazily(r"[A-Za-z][A-Za-z0-9+.-]*:(?://[^/?]*|(?=/)|[^?]*)")
_INVALID_BYTES = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


class RequestError(RefusedError):
    """A URL that the API server cannot take apart; it answers with an error and audits nothing."""


def attributes(method: str, url: str, user: User | None) -> Attributes:
    """Return the attributes of one request.

    ``method`` is the HTTP method as sent (upper case), ``url`` the request target (``/api/v1/pods?watch=1``) or an
    absolute URL, ``user`` who was authenticated (None: nobody). Raises RequestError for a URL that does not parse and
    for the legacy forms ``/api/v1/watch`` and ``/api/v1/proxy`` with nothing behind them.
    """
    target, _, query = _origin_form(url).partition("?")
    path = _unescape_path(target)
    parts = path.strip("/").split("/")
    groupless = parts[0] == "api"
    if len(parts) < 3 or not (groupless or (parts[0] == "apis" and len(parts) > 3)):
        return Attributes(user=user, is_resource_request=False, verb=method.lower(), path=path)
    group = "" if groupless else parts[1]
    version, *rest = parts[1:] if groupless else parts[2:]
    verb = _VERBS.get(method, "")
    if rest[0] in _SPECIAL_VERBS:
        if len(rest) < 2:
            raise RequestError(f"unable to determine kind and namespace from url, {url}")
        verb, *rest = rest
    namespace, rest = _namespace(rest)
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 and verb != "proxy" else ""
    if not name and verb == "get":
        verb, name = _list_or_watch(query)
    elif not name and verb == "delete":
        verb = "deletecollection"
    return Attributes(
        user=user,
        is_resource_request=True,
        verb=verb,
        api_group=group,
        api_version=version,
        namespace=namespace,
        resource=rest[0],
        subresource=subresource,
        name=name,
        path=path,
    )


def _namespace(parts: list[str]) -> tuple[str, list[str]]:
    """A namespace is also an object: ``namespaces/x`` is resource ``namespaces``, name ``x``, in namespace ``x``."""
    if parts[0] != "namespaces" or len(parts) < 2:
        return "", parts
    if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
        return parts[1], parts[2:]
    return parts[1], parts


def _origin_form(url: str) -> str:
    """`net/url.ParseRequestURI`: origin form, absolute form, or ``*``. An opaque URL (``mailto:x``) has no path."""
    if _CONTROL.search(url):
        raise RequestError(f"net/url: invalid control character in URL: {url!r}")
    if url == "*" or url.startswith("/"):
        return url
    absolute = _ABSOLUTE.match(url)
    if absolute is None:
        raise RequestError(f"parse {url!r}: {'invalid URI for request' if url else 'empty url'}")
    return url[absolute.end() :]


def _unescape_path(path: str) -> str:
    if "%" not in path:
        return path
    bad = _BAD_ESCAPE.search(path)
    if bad:
        raise RequestError(f'parse {path!r}: invalid URL escape "{bad.group()}"')
    return _unescape(path)


def _unescape(text: str) -> str:
    """Percent escapes to text. A byte that is no UTF-8 becomes U+FFFD, one for each byte, as Go prints it."""
    octets = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "surrogatepass"))
    return octets.decode("utf-8", "surrogateescape").translate(_INVALID_BYTES)


def _parse_query(query: str) -> dict[str, str]:
    """First value of each key. As `net/url.ParseQuery`, a pair with ``;`` or a bad escape is left out silently."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        if ";" not in pair and not _BAD_ESCAPE.search(pair):
            key, _, value = pair.replace("+", " ").partition("=")
            values.setdefault(_unescape(key), _unescape(value))
    return values


def _list_or_watch(query: str) -> tuple[str, str]:
    """Verb and name of a get without a name. One undecodable option loses them all except ``watch``."""
    if not query:
        return "list", ""
    values = _parse_query(query)
    watch = values.get("watch")
    try:
        name = _selected_name(values)
    except ValueError:
        return ("list" if watch is None or watch.lower() in {"false", "0"} else "watch"), ""
    return ("list" if watch is None or watch.casefold() in {"false", "0"} else "watch"), name


def _selected_name(values: dict[str, str]) -> str:
    for key in ("timeoutSeconds", "limit"):
        if key in values and not is_int64(values[key]):
            raise ValueError(values[key])
    if not is_label_selector(values.get("labelSelector", "")):
        raise ValueError(values["labelSelector"])
    name = exact_name(values.get("fieldSelector", ""))
    return name if name and is_path_segment(name) else ""
