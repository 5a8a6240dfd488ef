"""A policy as a picture: what it makes of each verb on each resource, for chosen users.

A cell answers for every namespace and every object at once, which are on no axis. Where a rule asks for them the cell
is a list of cases, of which the first that fits decides. The first-match search is that of
``evaluate``, followed through the rules that pass the user, the verb and the resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from auditctl.policy.compiled import Compiled
from auditctl.policy.matrix_rows import METHODS, VERBS, BuiltInApi, Row, Rows, Scope, Sensitive, rows
from auditctl.policy.request_classes import FRESH
from auditctl.policy.types import Level, Policy, PolicyRule, User

MOST_CASES = 40
"""Cases of one cell; rules beyond that are not followed, and the cell says so."""
_MOST_TRIED = 200
_NAMELESS = frozenset({"create", "deletecollection"})
_LISTING = frozenset({"list", "watch"})
_CARRY_REQUESTS = frozenset({"create", "update", "patch"})

Values = tuple[str, ...] | None
"""Names or namespaces that a case is for; None: any."""


class Concern(Enum):
    """Why a sensitive cell deserves a second look."""

    UNSEEN = "not recorded"
    BODY = "recorded with its content"


class Person(NamedTuple):
    """Somebody who asks, and what the picture calls them. User None: authentication failed."""

    label: str
    user: User | None


class Case(NamedTuple):
    """What happens in these namespaces to objects of these names. ``rule`` -1: none applies."""

    rule: int
    level: Level
    namespaces: Values = None
    names: Values = None


class Cell(NamedTuple):
    """Cases in order, the last fits always; ``why`` says what makes it sensitive ("": nothing).

    ``cut``: there are more cases than are told, and the last of them fits not always.
    """

    cases: tuple[Case, ...]
    why: str = ""
    concern: Concern | None = None
    cut: bool = False

    @property
    def levels(self) -> tuple[Level, ...]:
        """Return the levels that it can have, lowest first."""
        return tuple(level for level in Level if any(case.level is level for case in self.cases))

    @property
    def depends(self) -> bool:
        """Return whether the level depends on what no axis shows."""
        return len(self.levels) > 1 or self.cut


Cells = tuple[Cell | None, ...]
"""One a verb of the table; None where the API offers no such request."""


class Table(NamedTuple):
    """The cells for people whom the policy treats alike, in the order of the matrix's rows and verbs."""

    people: tuple[Person, ...]
    resources: tuple[Cells, ...]
    urls: tuple[Cells, ...]


class Matrix(NamedTuple):
    """The whole picture. ``others`` are the users and groups of the rules whom none of the people is."""

    rows: Rows
    tables: tuple[Table, ...]
    others: tuple[str, ...]


def matrix(policy: Policy, people: Sequence[Person], api: BuiltInApi, version: tuple[int, int]) -> Matrix:
    """Return the picture of ``policy`` for ``people`` on a server of that ``version``."""
    compiled = Compiled(policy)
    shown = rows(policy, api, version)
    tables: dict[int, Table] = {}
    for person in people:
        bits = compiled.by_user(person.user)
        alike = tables.get(bits)
        if alike:
            tables[bits] = alike._replace(people=(*alike.people, person))
            continue
        painter = _CellBuilder(policy, compiled, bits, api)
        tables[bits] = Table(
            (person,),
            tuple(painter.resource_cells(row) for row in shown.resources),
            tuple(painter.url_cells(row) for row in shown.urls),
        )
    return Matrix(shown, _joined(tables.values()), _others(policy, people))


def _joined(tables: Iterable[Table]) -> tuple[Table, ...]:
    """People who come to the same cells by different rules stay apart; by the same ones they are one table."""
    by_cells: dict[tuple[object, object], Table] = {}
    for table in tables:
        key = (table.resources, table.urls)
        by_cells[key] = (
            by_cells[key]._replace(people=(*by_cells[key].people, *table.people)) if key in by_cells else table
        )
    return tuple(by_cells.values())


def _others(policy: Policy, people: Sequence[Person]) -> tuple[str, ...]:
    users = [person.user for person in people if person.user]
    known = {user.name for user in users} | {group for user in users for group in user.groups}
    named = (name for rule in policy.rules for name in (*rule.users, *rule.user_groups))
    return tuple(name for name in dict.fromkeys(named) if name not in known)


class _CellBuilder:
    """The cells of one table."""

    def __init__(self, policy: Policy, compiled: Compiled, passing: int, api: BuiltInApi) -> None:
        self._rules = policy.rules
        self._compiled = compiled
        self._passing = passing
        self._api = api
        self._entries = [
            tuple((entry.group, frozenset(entry.resources), entry.resource_names) for entry in rule.resources)
            for rule in policy.rules
        ]
        self._known: dict[object, tuple[tuple[Case, ...], bool]] = {}

    def resource_cells(self, row: Row) -> Cells:
        names = self._names(row)
        sensitive = self._api.sensitive.get(row.key)
        return tuple(self._resource_cell(row, verb, names, sensitive) if verb in row.verbs else None for verb in VERBS)

    def url_cells(self, row: Row) -> Cells:
        on_path = self._passing & self._compiled.by_path(row.path)
        return tuple(self._url_cell(on_path & self._compiled.by_verb(verb)) for verb in METHODS)

    def _url_cell(self, passing: int) -> Cell:
        rule = (passing & -passing).bit_length() - 1
        return Cell((Case(rule, self._level(rule)),))

    def _level(self, rule: int) -> Level:
        return self._rules[rule].level if rule >= 0 else Level.NONE

    def _names(self, row: Row) -> Mapping[int, Values]:
        """Return the rules whose ``resources`` cover the row, each with the names that it asks for."""
        sub = row.subresource
        patterns = {"*", f"{row.resource}/*", f"{row.resource}/{sub}" if sub else row.resource}
        patterns |= {f"*/{sub}"} if sub else set()
        values: dict[int, Values] = {}
        for index, entries in enumerate(self._entries):
            rule = self._rules[index]
            if not entries:
                if rule.namespaces or not rule.non_resource_urls:
                    values[index] = None
                continue
            names: list[str] = []
            for group, listed, selected in entries:
                if group not in {row.group, "*"} or (listed and not listed & patterns):
                    continue
                if not listed or not selected:
                    values[index] = None
                    break
                names += selected
            else:
                if names:
                    values[index] = tuple(dict.fromkeys(names))
        return values

    def _resource_cell(self, row: Row, verb: str, names: Mapping[int, Values], sensitive: Sensitive | None) -> Cell:
        passing = self._passing & self._compiled.by_verb(verb)
        where = _Where.of(row, verb)
        rules = tuple((index, selected) for index, selected in names.items() if passing >> index & 1)
        key = (where, rules)
        if key not in self._known:
            self._known[key] = self._cases(where, rules)
        cases, cut = self._known[key]
        why = sensitive.why if sensitive and (not sensitive.verbs or verb in sensitive.verbs) else ""
        concern = _concern(sensitive, cases, verb) if sensitive and why else None
        return Cell(cases, why, concern, cut)

    def _cases(self, where: _Where, rules: Sequence[tuple[int, Values]]) -> tuple[tuple[Case, ...], bool]:
        """Return the cases of a cell, and whether they had to be cut."""
        cases: list[Case] = []
        for index, names in rules:
            case = where.case(index, self._rules[index], names)
            if case is None:
                continue
            if case.namespaces is None and case.names is None:
                return (*cases, case), False
            if where.reached(case, cases):
                cases.append(case)
            if len(cases) == MOST_CASES:
                return tuple(cases), True
        return (*cases, Case(-1, Level.NONE)), False


def _concern(sensitive: Sensitive, cases: Sequence[Case], verb: str) -> Concern | None:
    levels = {case.level for case in cases}
    if sensitive.unseen and Level.NONE in levels:
        return Concern.UNSEEN
    carries_bodies = Level.REQUEST_RESPONSE in levels or (verb in _CARRY_REQUESTS and Level.REQUEST in levels)
    return Concern.BODY if sensitive.body and carries_bodies else None


class _Where(NamedTuple):
    """What requests of one verb on one row can have for a namespace and a name.

    ``namespaced``: in one; ``everywhere``: in none, or across all. ``named``: with a name, ``nameless``: without.
    ``itself``: the namespace is the name.
    """

    namespaced: bool
    everywhere: bool
    named: bool
    nameless: bool
    itself: bool

    @classmethod
    def of(cls, row: Row, verb: str) -> _Where:
        listing = verb in _LISTING and not row.subresource  # a field selector can give it a name
        nameless = not row.subresource and verb in _NAMELESS
        itself = row.scope is Scope.ITSELF and not nameless and not listing
        return cls(
            namespaced=row.scope in {Scope.NAMESPACED, Scope.EITHER},
            everywhere=row.scope in {Scope.CLUSTER, Scope.EITHER, Scope.ITSELF} or listing,
            named=not nameless,
            nameless=nameless or listing,
            itself=itself,
        )

    def case(self, index: int, rule: PolicyRule, names: Values) -> Case | None:
        """Return the rule as a case; None if no such request passes its namespaces and names."""
        spaces: Values = rule.namespaces or None
        if self.itself:
            if spaces is not None:
                names = spaces if names is None else tuple(name for name in names if name in spaces)
            spaces = None
        elif spaces is not None:
            spaces = tuple(dict.fromkeys(space for space in spaces if self._has_space(space)))
            spaces = None if spaces and not self.namespaced else spaces
        if names is not None:
            names = tuple(dict.fromkeys(name for name in names if (self.named if name else self.nameless)))
            names = None if names and not self.named else names
        if spaces == () or names == ():
            return None
        return Case(index, rule.level, spaces, names)

    def _has_space(self, space: str) -> bool:
        return self.namespaced if space else self.everywhere

    def reached(self, case: Case, earlier: Sequence[Case]) -> bool:
        """Does any request come to ``case``? Exact while there are few values to try, else yes."""
        spaces = case.namespaces or self._values(
            (each.namespaces for each in earlier), self.namespaced, self.everywhere
        )
        names = case.names or self._values((each.names for each in earlier), self.named, self.nameless)
        if len(spaces) * len(names) > _MOST_TRIED:
            return True
        return any(not any(_fits(each, space, name) for each in earlier) for space in spaces for name in names)

    @staticmethod
    def _values(lists: Iterator[Values] | Sequence[Values], some: bool, none: bool) -> tuple[str, ...]:  # noqa: FBT001
        listed = dict.fromkeys(value for values in lists for value in values or ())
        return (*listed, *((FRESH,) if some else ()), *(("",) if none else ()))


def _fits(case: Case, space: str, name: str) -> bool:
    return (case.namespaces is None or space in case.namespaces) and (case.names is None or name in case.names)
