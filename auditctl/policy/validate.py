"""Which policies are legal: `apiserver/pkg/apis/audit/validation/validation.go`, every complaint at once.

Its words are the server's, which say less than ours: the path of a group has no index, and lists print as Go values
up to 1.33 and as JSON since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from auditctl.policy.goyaml.quoting import json_string, quote
from auditctl.policy.selectors import MAX_SUBDOMAIN, is_subdomain
from auditctl.policy.types import Level, Stage

ANY_GROUP_SINCE = (1, 36)
_JSON_VALUES_SINCE = (1, 34)

_LEVELS = tuple(level.value for level in Level)
_STAGES = tuple(stage.value for stage in Stage)
_SUBDOMAIN_FAULT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


class DraftEntry(NamedTuple):
    """An entry of ``resources`` as it was written."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRule:
    """A rule as it was written: level and stages may be any words."""

    level: str = ""
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[DraftEntry, ...] = ()
    namespaces: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()
    omit_stages: tuple[str, ...] = ()
    omit_managed_fields: bool | None = None


class UnvalidatedPolicy(NamedTuple):
    """A policy as it was written, before anyone asks whether it is legal."""

    rules: tuple[DraftRule, ...] = ()
    omit_stages: tuple[str, ...] = ()
    omit_managed_fields: bool = False


class Complaint(NamedTuple):
    """``text`` is the server's, path included; ``path`` is exact (``rules[0].resources[1].group``)."""

    path: str
    text: str
    value: str = ""


def validate(draft: UnvalidatedPolicy, version: tuple[int, int]) -> tuple[Complaint, ...]:
    """Return what that version of the server finds wrong with ``draft``, in its order; nothing if it is legal."""
    return tuple(_complaints(draft, version))


def aggregate(complaints: tuple[Complaint, ...]) -> str:
    """Return the server's one message for them all (``ErrorList.ToAggregate``); the same words are said once."""
    texts = list(dict.fromkeys(complaint.text for complaint in complaints))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]" if texts else ""


def _complaints(draft: UnvalidatedPolicy, version: tuple[int, int]) -> Iterator[Complaint]:
    yield from _stages(draft.omit_stages, "omitStages")
    for index, rule in enumerate(draft.rules):
        path = f"rules[{index}]"
        yield from _level(rule.level, f"{path}.level", version)
        yield from _urls(rule.non_resource_urls, f"{path}.nonResourceURLs")
        yield from _resources(rule.resources, f"{path}.resources", version)
        yield from _stages(rule.omit_stages, f"{path}.omitStages")
        if rule.non_resource_urls and (rule.resources or rule.namespaces):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            yield _invalid_list(f"{path}.nonResourceURLs", rule.non_resource_urls, detail, version)


def _level(level: str, path: str, version: tuple[int, int]) -> Iterator[Complaint]:
    if not level:
        yield Complaint(path, f"{path}: Required value")
    elif level not in _LEVELS:
        # a level is a type of its own to Go, and printed like a list
        shown = json_string(level) if version >= _JSON_VALUES_SINCE else quote(level)
        supported = ", ".join(f'"{name}"' for name in _LEVELS)
        yield Complaint(path, f"{path}: Unsupported value: {shown}: supported values: {supported}", level)


def _stages(stages: tuple[str, ...], path: str) -> Iterator[Complaint]:
    for index, stage in enumerate(stages):
        if stage not in _STAGES:
            yield _invalid(f"{path}[{index}]", stage, f"allowed stages are {','.join(_STAGES)}")


def _urls(urls: tuple[str, ...], path: str) -> Iterator[Complaint]:
    for index, url in enumerate(urls):
        if url == "*":
            continue
        if not url.startswith("/"):
            yield _invalid(f"{path}[{index}]", url, "non-resource URL rules must begin with a '/' character")
        if "*" in url[:-1]:
            detail = "non-resource URL wildcards '*' must be the final character of the rule"
            yield _invalid(f"{path}[{index}]", url, detail)


def _resources(entries: tuple[DraftEntry, ...], path: str, version: tuple[int, int]) -> Iterator[Complaint]:
    for index, entry in enumerate(entries):
        any_group = entry.group == "*" and version >= ANY_GROUP_SINCE
        faults = [] if not entry.group or any_group else _group_faults(entry.group)
        if faults:
            text = f"{path}.group: Invalid value: {quote(entry.group)}: {','.join(faults)}"
            yield Complaint(f"{path}[{index}].group", text, entry.group)
        if entry.resource_names and not entry.resources:
            detail = "using resourceNames requires at least one resource"
            complaint = _invalid_list(f"{path}.resourceNames", entry.resource_names, detail, version)
            yield Complaint(f"{path}[{index}].resourceNames", complaint.text)


def _group_faults(group: str) -> list[str]:
    """Return what ``IsDNS1123Subdomain`` finds wrong; it counts bytes."""
    faults = []
    if len(group.encode("utf-8", "replace")) > MAX_SUBDOMAIN:
        faults.append(f"must be no more than {MAX_SUBDOMAIN} characters")
    if not is_subdomain(group):
        faults.append(_SUBDOMAIN_FAULT)
    return faults


def _invalid(path: str, value: str, detail: str) -> Complaint:
    return Complaint(path, f"{path}: Invalid value: {quote(value)}: {detail}", value)


def _invalid_list(path: str, values: tuple[str, ...], detail: str, version: tuple[int, int]) -> Complaint:
    if version >= _JSON_VALUES_SINCE:
        shown = "[" + ",".join(json_string(value) for value in values) + "]"
    else:
        shown = "[]string{" + ", ".join(quote(value) for value in values) + "}"
    return Complaint(path, f"{path}: Invalid value: {shown}: {detail}")
