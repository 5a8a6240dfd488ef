"""Values of filters as the server writes them, however they were typed: words, resources, times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase

from auditctl import durations
from auditctl.compatibility import UTC, datetime_of
from auditctl.errors import UsageError
from auditctl.policy.lint_checks import Known
from auditctl.policy.lint_selectors import SENT_AS
from auditctl.policy.request_context import METHODS, VERBS
from auditctl.policy.resource_names import resolve
from auditctl.policy.types import Level, Stage

_AGO = re.compile(r"(?:(\d+(?:\.\d+)?)w)?(?:(\d+(?:\.\d+)?)d)?(.*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_PLAIN = re.compile(r"[A-Za-z0-9:._@/-]+")
_RESOURCE = re.compile(r"[A-Za-z0-9._-]+")
_VERBS = frozenset({*VERBS, *(method.lower() for method in METHODS), "proxy", ""})
_SUBRESOURCES = {
    "exec": "exec",
    "attach": "attach",
    "port-forward": "portforward",
    "portforward": "portforward",
    "logs": "log",
    "log": "log",
    "scale": "scale",
    "evict": "eviction",
}
_LEVELS, _STAGES = (tuple(member.value for member in words) for words in (Level, Stage))
_KNOWN: Mapping[str, tuple[str, ...]] = {"level": _LEVELS, "stage": _STAGES}


def spelled(field: str, value: str) -> str:
    """Return verbs, levels and stages as the server writes them, however they were typed."""
    if field == "verb":
        return ",".join(_verb(part) for part in value.lower().split(","))
    known = _KNOWN.get(field)
    return value if known is None else ",".join(_one_of(field, known, part) for part in value.split(","))


def _verb(part: str) -> str:
    bare = part.lstrip("!")
    if bare in _VERBS or not _PLAIN.fullmatch(bare):  # a pattern
        return part
    if bare in _SUBRESOURCES:  # get over WebSocket, create over SPDY
        fix = f"write --subresource {_SUBRESOURCES[bare]}"
        raise UsageError(f"--verb {part}: no request has this verb, it is a subresource", fix=fix)
    meant = SENT_AS.get(bare) or next(iter(get_close_matches(bare, VERBS, 1)), "")
    fix = f"write --verb {meant}" if meant else f"verbs are {', '.join(VERBS)}"
    raise UsageError(f"--verb {part}: no request has this verb", fix=fix)


def _one_of(field: str, known: Sequence[str], part: str) -> str:
    bare = part.lstrip("!")
    result = [each for each in known if fnmatchcase(each.lower(), bare.lower())]
    if not result:
        raise UsageError(f"--{field} {part}: {bare} is not one of {', '.join(known)}")
    return ",".join(part[: len(part) - len(bare)] + each for each in result)


def resource_spelled(value: str, known: Known, version: tuple[int, int]) -> str:
    """Return resources as the log has them (plurals), however kubectl's users write them.

    What the API does not know may be a custom resource, and stays as it is.
    """
    return ",".join(_resource(part, known, version) for part in value.split(","))


def _resource(part: str, known: Known, version: tuple[int, int]) -> str:
    bare = part.lstrip("!")
    name, slash, subresource = bare.partition("/")
    resources = resolve(name, known, version) if _RESOURCE.fullmatch(name) else ()
    plurals = {each.name for each in resources}
    if len(plurals) != 1:
        return part
    (plural,) = plurals
    group = f".{resources[0].group}" if "." in name and resources[0].group else ""
    return f"{part[: len(part) - len(bare)]}{plural}{slash}{subresource}{group}"


def misspelt_resources(values: Sequence[str], known: Known, version: tuple[int, int]) -> Iterator[str]:
    """Yield a sentence for each resource that the API does not know, where one that it knows is spelled nearly so."""
    plurals = {each.name for each in known.resources}
    for value in values:
        for part in value.split(","):
            name = part.lstrip("!").partition("/")[0]
            word = name.partition(".")[0].lower()
            meant = get_close_matches(word, plurals, 1, 0.75) if _RESOURCE.fullmatch(name) else []
            if meant and not resolve(name, known, version):
                yield f"Kubernetes has no resource {name}; did you mean {meant[0]}?"


def moment(option: str, text: str, now: datetime) -> str:
    """Return a time of an option as the server writes it (RFC 3339, UTC, six decimals): texts compare as times do.

    Raises:
        UsageError: neither a time nor a duration.
    """
    try:
        return _moment(text, now).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option} {text}: neither a time (2026-11-21T20:29:55Z) nor a duration ago (15m, 2d)"
        ) from error


def last_moment(text: str, now: datetime) -> str:
    """Return the time of ``--until``: of a date without a time, the last moment of that day.

    Raises:
        UsageError: as ``moment``.
    """
    return moment("--until", f"{text}T23:59:59.999999" if _DATE.fullmatch(text) else text, now)


def _moment(text: str, now: datetime) -> datetime:
    """Raises ValueError, OverflowError."""
    if text[:4].isdigit() and "-" in text:
        result = datetime_of(text)
        return result if result.tzinfo else result.replace(tzinfo=UTC)
    ago = _AGO.fullmatch(text)
    if ago is None:
        raise ValueError(text)
    seconds = durations.parse(ago[3]) if ago[3] or not (ago[1] or ago[2]) else 0.0
    return now - timedelta(weeks=float(ago[1] or 0), days=float(ago[2] or 0), seconds=seconds)
