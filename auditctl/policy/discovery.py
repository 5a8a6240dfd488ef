"""Read what an API server serves: aggregated discovery as JSON, or the table of ``kubectl api-resources``.

Aggregated discovery is the answer to ``/api`` and ``/apis`` for ``Accept: application/json;g=apidiscovery.k8s.io;v=v2;
as=APIGroupDiscoveryList`` (`k8s.io/api/apidiscovery/v2`). The answer to ``/apis`` has no core group.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from auditctl.errors import Place, PolicyError
from auditctl.policy.lint_checks import Known, Resource

_COLUMNS = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")
_KIND = "APIGroupDiscoveryList"
_FIX = "use the output of `kubectl api-resources -o wide`, or an APIGroupDiscoveryList"


def read_discovery(raw: bytes, file: str = "") -> tuple[Resource, ...]:
    """Return every resource that the text names, once for each group.

    Raises:
        PolicyError: the text is neither of the two forms; with its place.
    """
    text = raw.decode("utf-8", "replace")
    rows = _aggregated(text, file) if text.lstrip().startswith("{") else _table(text, file)
    return tuple({(each.group, each.name): each for each in rows}.values())


def known_of(discovered: tuple[Resource, ...], built_in: Known) -> Known:
    """Return the tables of a cluster: what was discovered; the core group is the built-in one where it is missing."""
    core = () if any(not each.group for each in discovered) else built_in.resources
    rows = (*(each for each in core if not each.group), *discovered)
    return replace(Known.of(rows, built_in.gone), is_whole=True)


def _error(message: str, file: str, line: int = 1) -> PolicyError:
    return PolicyError(f"discovery: {message}", place=Place(file, line, 1), fix=_FIX)


def _aggregated(text: str, file: str) -> Iterator[Resource]:
    try:
        value = json.loads(text)
        if value.get("kind", _KIND) != _KIND or not isinstance(value["items"], list):
            raise _error(f"the object is no {_KIND}", file)
        for item in value["items"]:
            yield from _of_group(item)
    except json.JSONDecodeError as error:
        raise _error(error.msg, file, error.lineno) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise _error(f"the object is no {_KIND}: {error!s} is missing, or has another type", file) from error


def _of_group(item: dict[str, Any]) -> Iterator[Resource]:
    group = item["metadata"].get("name", "")
    for version in reversed(item["versions"]):  # the preferred version comes first, so it is the one that stays
        for row in version["resources"]:
            yield Resource(
                group=str(group),
                name=str(row["resource"]),
                kind=str(row["responseKind"]["kind"]),
                short_names=tuple(map(str, row.get("shortNames", ()))),
                namespaced=row["scope"] == "Namespaced",
                singular=str(row["singularResource"]),
            )


def _table(text: str, file: str) -> Iterator[Resource]:
    lines = text.splitlines()
    head = lines[0].split() if lines else []
    if tuple(head[: len(_COLUMNS)]) != _COLUMNS:
        raise _error(f"the first line is not `{' '.join(_COLUMNS)}`", file)
    starts = [lines[0].index(name) for name in _COLUMNS]
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        name, short, version, namespaced, kind = (
            line[start:end].strip() for start, end in zip(starts, [*starts[1:], len(line)], strict=True)
        )
        if not name or namespaced not in {"true", "false"} or not kind:
            raise _error("a line of the table has other columns than its first line", file, number)
        group = version.rpartition("/")[0]
        kind = kind.split()[0]
        words = tuple(word for word in short.split(",") if word)
        yield Resource(
            group=group, name=name, kind=kind, short_names=words, namespaced=namespaced == "true", singular=kind.lower()
        )
