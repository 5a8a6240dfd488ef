"""Flatten a recorded body into one row a field, and replace what must not be shown.

A value is hidden where its place says what it is (``data`` of a Secret, ``status.token``, an environment variable called
``DB_PASSWORD``), and where its own text does (a JSON Web Token, ``--token=...``, the password in a URL). Two bodies are
compared with the true values, so that a changed secret is reported as changed; only the printed text is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from auditctl.patterns import lazily
from auditctl.redaction import REDACTED, redacted_urls

_FOLDED = "<folded>"
_MOST_DEPTH = 60
_MOST_TEXT = 200
_SERVER_FIELDS = frozenset(
    f"metadata.{name}"
    for name in ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
)
"""What the server counts and stamps on each write: it differs in every pair of bodies and tells nothing."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Holds a copy of the whole object, of a Secret too (`kubectl apply`)."""
_SHOWN_OF_SECRET = lazily(r"(kind|apiVersion|type|immutable|reason|code|status|message|propagationPolicy|metadata\..*)")
_OPERATION_WORD = lazily(r"\[\d+\]\.(op|path|from)")
_SECRET_KEY = lazily(
    r"(?i)(^|[._\-/\[])(token|tokens|password|passwd|pwd|secret|secrets|apikey|api[_-]key|private[_-]?key|access[_-]?key|"
    r"secret[_-]?key|client[_-]?secret|credentials?|authorization|bearer|cookie)\]?$|(password|token|secret|apikey|privatekey|key-data)$"
)
_NO_SECRET = lazily(r"(?i)(secretName|secretRef|secretKeyRef|imagePullSecrets|tokenExpirationSeconds)")
_ITEM_NUMBER = lazily(r"(\[\d+\])+$")
_ENVIRONMENT = lazily(r"(?i)env\[(?P<name>[^\]]*)\]\.value$")
_SECRET_NAME = lazily(r"(?i)pass|token|secret|key|cred|auth|pwd|dsn|proxy|^\d+$")
_SECRET_FLAG = lazily(r"(?i)--?[a-z0-9_-]*(password|passwd|pass|pwd|token|secret|api-?key|access-?key|credentials?)")
_BEHIND_FLAG = lazily(r"\[\d+ -[^\]]*\]$")
_IN_TEXT = (
    lazily(r"()eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    lazily(
        r"(?i)((?:password|passwd|pwd|token|secret|api[_-]?key|access[_-]?key|private[_-]?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]+"
    ),
    lazily(r"(?i)(--?(?:password|passwd|token|secret|api-?key)\s+)[^\s-][^\s]*"),
    lazily(r"(\s-u\s*[^\s:]+:)\S+"),
    lazily(r"(?i)(authorization:\s*(?:bearer|basic)\s+)\S+"),
    # short options: mysql takes the password right behind -p, the others behind a space as well
    lazily(r"(\b(?:mysql|mariadb)[^|;&]{0,200}?\s-p)[^\s]+"),
    lazily(r"(\b(?:sshpass|mongo\w*)\b[^|;&]{0,200}?\s-p\s*)[^\s]+"),
    lazily(r"(\bredis-cli\b[^|;&]{0,200}?\s-a\s*)[^\s]+"),
    lazily(r"(--from-literal[= ][^\s=]+=)\S+"),
    lazily(r"(\bpass:)\S+"),
    lazily(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL),
)


def redacted_text(text: str) -> str:
    """Return the text with tokens, passwords and private keys in it replaced."""
    text = redacted_urls(text)
    for pattern in _IN_TEXT:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


def redacted_uri(uri: str) -> str:
    """Return a URL of a request with the secrets in its query replaced, those of the command of an exec included."""
    path, mark, query = uri.partition("?")
    pairs = [each.partition("=") for each in query.split("&")]
    command = " ".join(unquote_plus(value) for key, _, value in pairs if key == "command")
    hides = redacted_text(command) != command
    shown_pairs = []
    for key, equals, value in pairs:
        text = unquote_plus(value)
        is_hidden = hides if key == "command" else redacted_text(f"{key}={text}") != f"{key}={text}"
        shown_pairs.append(f"{key}{equals}{REDACTED if is_hidden else value}")
    return f"{redacted_text(path)}{mark}{'&'.join(shown_pairs)}"


def fields(body: Any) -> dict[str, Any]:
    """Return a body's leaves by their path; fields that the server writes for itself are left out.

    The items of a list are named by their ``name`` where each has one of its own, so that an insertion moves nothing.
    """
    if _is_json_patch(body):
        return dict(_of_json_patch(body))
    return dict(_leaves(body, "", 0))


def shown(path: str, value: Any, *, is_secret: bool) -> str:
    """Return the value as a person may see it. ``is_secret``: it is of a Secret, of which little is shown."""
    if path.endswith(f"[{_LAST_APPLIED}]"):
        return _FOLDED
    if _is_hidden(path, value, is_secret=is_secret):
        return REDACTED
    text = redacted_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}... ({len(text)} characters)"


def _is_hidden(path: str, value: Any, *, is_secret: bool) -> bool:
    if is_secret and not (_SHOWN_OF_SECRET.fullmatch(path) or _OPERATION_WORD.fullmatch(path)):
        return True
    if not isinstance(value, str):
        return False
    if _BEHIND_FLAG.search(path):
        return True
    if variable := _ENVIRONMENT.search(path):
        return _SECRET_NAME.search(variable["name"]) is not None
    place = _ITEM_NUMBER.sub("", path)
    return _SECRET_KEY.search(place) is not None and not _NO_SECRET.search(place)


def _is_json_patch(body: Any) -> bool:
    """Tell RFC 6902 (a list of operations) from a merge patch (an object)."""
    return isinstance(body, list) and all(isinstance(each, dict) and "op" in each and "path" in each for each in body)


def _of_json_patch(operations: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The values of the operations at the places that they write to, so that the same rules hide them."""
    for each in operations:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in str(each["path"]).split("/")[1:]]
        path = ""
        for part in parts:
            path = _child(path, part, is_item=part.isdigit() or part == "-")
        if each["op"] in ("add", "replace", "test"):
            yield from _leaves(each.get("value"), path, 0)
        else:
            yield path, f"({each['op']}{' from ' + str(each['from']) if 'from' in each else ''})"


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if path in _SERVER_FIELDS:
        return
    if depth > _MOST_DEPTH:
        yield path, "(nested too deeply to be shown)"
    elif isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, _child(path, key), depth + 1)
    elif isinstance(value, list) and value:
        for name, each in zip(_names(value), value, strict=True):
            yield from _leaves(each, f"{path}[{name}]", depth + 1)
    else:
        yield path, value


def _child(path: str, key: str, *, is_item: bool = False) -> str:
    """Keys with dots or slashes (labels, annotations) stand in brackets."""
    if is_item or "." in key or "/" in key:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _names(items: Sequence[Any]) -> list[str]:
    """Return the items' own names where these are unique; else their numbers. Conditions and ports have other keys.

    A word behind an option for a secret (`--token`, `X`) has that option in its name, so that it is hidden.
    """
    for key in ("name", "type", "uid", "containerPort"):
        values = [str(each[key]) for each in items if isinstance(each, dict) and each.get(key) not in (None, "")]
        if len(values) == len(items) == len(set(values)):
            return values
    before = (None, *items)
    return [
        f"{number} {flag}" if isinstance(flag, str) and _SECRET_FLAG.fullmatch(flag) else str(number)
        for number, flag in enumerate(before[:-1])
    ]
