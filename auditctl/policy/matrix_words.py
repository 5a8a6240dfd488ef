"""The words of a policy's picture, the same on a terminal and on a page: levels, cases, reasons."""

from __future__ import annotations

from collections.abc import Sequence

from auditctl.policy.matrix import Case, Cell, Person
from auditctl.policy.matrix_rows import Row, Scope
from auditctl.policy.types import GroupResources, Level, PolicyRule

LETTERS = {Level.NONE: "-", Level.METADATA: "M", Level.REQUEST: "Rq", Level.REQUEST_RESPONSE: "RR"}
MEANINGS = {
    Level.NONE: "not recorded",
    Level.METADATA: "who did what, when, and how it ended",
    Level.REQUEST: "and what was sent",
    Level.REQUEST_RESPONSE: "and what was answered",
}
_MOST_LISTED = 6
_LISTING = ("list", "watch")


def letters(cell: Cell) -> str:
    """Return ``M``, or ``-/M`` where it depends; ``?`` where there are more cases than are shown."""
    return "/".join(LETTERS[level] for level in cell.levels) + ("?" if cell.cut else "")


def listed(values: Sequence[str]) -> str:
    """Return the values with commas, a long list cut."""
    more = len(values) - _MOST_LISTED
    return ", ".join(values[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def where(case: Case, cell: Cell, row: Row, verb: str) -> str:
    """Return for which requests of the cell a case is; "" if it is for all of them."""
    parts = []
    if case.namespaces is not None:
        named = [space for space in case.namespaces if space]
        parts += [f"in {listed(named)}"] if named else []
        if "" in case.namespaces:
            across = "across all namespaces" if row.scope is Scope.NAMESPACED else "in no namespace"
            parts = [" or ".join((*parts, across))]
    if case.names is not None:
        names = [name for name in case.names if name]
        selected = " (by a field selector)" if verb in _LISTING and not row.subresource else ""
        conditions = [f"named {listed(names)}{selected}"] if names else []
        conditions += ["without a name"] if "" in case.names else []
        parts.append(" or ".join(conditions))
    if parts:
        return " and ".join(parts)
    return "else" if len(cell.cases) > 1 else ""


def because(rule: PolicyRule, row: Row, verb: str, people: Sequence[Person]) -> str:
    """Return which of the rule's tests the requests of a cell pass, beside namespaces and names."""
    users = [person.user for person in people if person.user]
    reasons = []
    if rule.users:
        reasons.append(f"users holds {listed([user.name for user in users if user.name in rule.users])}")
    if rule.user_groups:
        groups = dict.fromkeys(group for user in users for group in user.groups if group in rule.user_groups)
        reasons.append(f"userGroups holds {listed(tuple(groups))}")
    if rule.verbs:
        reasons.append(f"verbs holds {verb}")
    if row.scope is Scope.URL and rule.non_resource_urls:
        reasons.append(f"nonResourceURLs cover {row.label}")
    elif rule.resources:
        reasons.append(_resource_reason(rule.resources, row))
    return "; ".join(reasons) or "it asks for no user, verb or resource"


def _resource_reason(entries: Sequence[GroupResources], row: Row) -> str:
    sub = row.subresource
    patterns = (f"{row.resource}/{sub}" if sub else row.resource, f"{row.resource}/*", f"*/{sub}" if sub else "*", "*")
    group = row.group or "core"
    for entry in entries:
        if entry.group not in {row.group, "*"}:
            continue
        of = "every group" if entry.group == "*" else f"group {group}"
        if not entry.resources:
            return f"resources hold all of {of}"
        matching = next((pattern for pattern in patterns if pattern in entry.resources), "")
        if matching:
            return f"resources hold {matching} of {of}"
    return "resources hold it"  # pragma: no cover - the rule passes


def place(rule: int, lines: Sequence[tuple[int, int]]) -> str:
    """Return the place of a rule: ``rules[3], lines 12-18``."""
    if rule < 0:
        return "no rule"
    first, last = lines[rule]
    if not first:
        return f"rules[{rule}]"
    return f"rules[{rule}], line {first}" if first == last else f"rules[{rule}], lines {first}-{last}"


def sentence(cell: Cell, row: Row, verb: str, lines: Sequence[tuple[int, int]]) -> str:
    """Return the whole cell in words."""
    cases = []
    for case in cell.cases:
        condition = where(case, cell, row, verb)
        cases.append(f"{case.level.value}{f' {condition}' if condition else ''} ({place(case.rule, lines)})")
    more = ["more rules may decide than are told"] if cell.cut else []
    why = [f"sensitive, {cell.why}"] if cell.why else []
    part = "in part " if len(cell.cases) > 1 else ""
    concern = [f"look twice, it is {part}{cell.concern.value}"] if cell.concern else []
    return "; ".join([", ".join(cases), *more, *why, *concern])
