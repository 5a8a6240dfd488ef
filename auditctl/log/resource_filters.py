"""Turn the resources of filters, however kubectl's users write them, into the plurals that the log has."""

from __future__ import annotations

from auditctl.log.filters import LogFilters
from auditctl.patterns import lazily
from auditctl.policy.lint_checks import Known
from auditctl.policy.resource_names import resolve

_PLAIN = lazily(r"[A-Za-z0-9._-]+")


def with_resources(filters: LogFilters, known: Known, version: tuple[int, int]) -> LogFilters:
    """Return the filters with resources as the log has them (plurals), however kubectl's users write them.

    What the API does not know may be a custom resource, and stays as it is.
    """
    resolved = tuple(
        ",".join(_resource(part, known, version) for part in value.split(",")) for value in filters.resource
    )
    return filters._replace(resource=resolved)


def _resource(part: str, known: Known, version: tuple[int, int]) -> str:
    bare = part.lstrip("!")
    name, slash, subresource = bare.partition("/")
    meant = resolve(name, known, version) if _PLAIN.fullmatch(name) else ()
    plurals = {each.name for each in meant}
    if len(plurals) != 1:
        return part
    (plural,) = plurals
    group = f".{meant[0].group}" if "." in name and meant[0].group else ""
    return f"{part[: len(part) - len(bare)]}{plural}{slash}{subresource}{group}"
