"""Which events are asked for. A value with ``!`` before it is unwanted, ``*`` stands for any text; several values: any of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import NamedTuple, TypeVar

from auditctl.errors import UsageError
from auditctl.log.events import FullEvent, Identity
from auditctl.log.filter_values import last_moment, moment, resource_spelled, spelled
from auditctl.policy.lint_checks import Known

_CODES = re.compile(r"(?:([1-5])xx|(\d{3})(?:-(\d{3}))?)")
_PLAIN = re.compile(r"[A-Za-z0-9:._@/-]+")
_LISTED = frozenset({"verb", "resource", "subresource", "namespace", "level", "stage", "code"})
Test = Callable[[FullEvent], bool]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """The filters of ``log tail``, as they were typed; times are RFC 3339, or a duration ago."""

    user: Sequence[str] = ()
    user_group: Sequence[str] = ()
    verb: Sequence[str] = ()
    resource: Sequence[str] = ()
    subresource: Sequence[str] = ()
    namespace: Sequence[str] = ()
    name: Sequence[str] = ()
    level: Sequence[str] = ()
    stage: Sequence[str] = ()
    code: Sequence[str] = ()
    agent: Sequence[str] = ()
    source_ip: Sequence[str] = ()
    since: str | None = None
    until: str | None = None

    @classmethod
    def of(cls, since: str | None = None, until: str | None = None, **values: Sequence[str] | None) -> LogFilters:
        """Return the filters with the values of each option, spelled as the server does.

        Raises:
            UsageError: a verb, a level or a stage that there is not.
        """
        named = {name: tuple(spelled(name, each) for each in texts or ()) for name, texts in values.items()}
        return cls(**named, since=since, until=until)

    def with_resources(self, known: Known, version: tuple[int, int]) -> LogFilters:
        """Return the filters with resources as the log has them, however kubectl's users write them."""
        return replace(self, resource=tuple(resource_spelled(value, known, version) for value in self.resource))

    @property
    def given(self) -> bool:
        """Return whether any filter was given."""
        return self != LogFilters()


NO_FILTERS = LogFilters()


def needle(conditions: LogFilters) -> bytes:
    """Bytes that every event that is asked for has in it, as the server spells them; none where that is not one text."""
    for field, key in (
        ("name", "name"),
        ("user", "username"),
        ("namespace", "namespace"),
        ("verb", "verb"),
        ("stage", "stage"),
    ):
        values = getattr(conditions, field)
        if len(values) == 1 and _PLAIN.fullmatch(values[0]):
            return f'"{key}":"{values[0]}"'.encode()
    return b""


class Selection(NamedTuple):
    """Which events of a log count: those that pass ``test`` (None: all), which have ``needle`` in their bytes."""

    test: Test | None = None
    needle: bytes = b""

    @classmethod
    def of(cls, filters: LogFilters, now: datetime) -> Selection:
        """Compile the filters.

        Raises:
            UsageError: a value is not of its option's form.
        """
        return cls(compiled(filters, now), needle(filters)) if filters.given else cls()


ALL_EVENTS = Selection()


def compiled(conditions: LogFilters, now: datetime) -> Test:
    """Return one test for all of it.

    Raises:
        UsageError: a value is not of its option's form.
    """
    tests: list[Test] = []
    values: dict[str, Callable[[FullEvent], Iterable[str]]] = {
        "verb": lambda event: (event.verb,),
        "resource": _resources,
        "subresource": lambda event: (event.object_ref.subresource if event.object_ref else "",),
        "namespace": lambda event: (event.object_ref.namespace if event.object_ref else "",),
        "name": lambda event: (event.object_ref.name if event.object_ref else "",),
        "level": lambda event: (event.level,),
        "stage": lambda event: (event.stage,),
        "agent": lambda event: (event.user_agent,),
    }
    tests += _identities("user", conditions.user, lambda identity: (identity.username,))
    tests += _identities("user_group", conditions.user_group, lambda identity: identity.groups)
    for field, of in values.items():
        tests += _texts(field, getattr(conditions, field), of)
    tests += _codes(conditions.code)
    tests += _addresses(conditions.source_ip)
    if conditions.since is not None:
        since = moment("--since", conditions.since, now)
        tests.append(lambda event: (event.stage_timestamp or "") >= since)
    if conditions.until is not None:
        until = last_moment(conditions.until, now)
        if conditions.since is not None and until < since:
            raise UsageError(f"--until {conditions.until} is before --since {conditions.since}")
        tests.append(lambda event: (event.stage_timestamp or "") <= until)
    if len(tests) == 1:
        return tests[0]
    return lambda event: all(test(event) for test in tests)


def _identities(field: str, given: Sequence[str], of: Callable[[Identity], Iterable[str]]) -> Iterable[Test]:
    """Yield tests of who made a request: the authenticated user, and the one whom it impersonates.

    An unwanted value hides an event only if all who stand behind it are unwanted: without `system:*` the person whom
    a service account impersonates is still shown.
    """
    yes, no = _apart(field, given)
    if yes:
        yield _any_identity(_value_test(yes, of, expected=True))
    if no:
        yield _any_identity(_value_test(no, of, expected=False))


def _any_identity(test: Callable[[Identity], bool]) -> Test:
    return lambda event: test(event.user) or (event.impersonated_user is not None and test(event.impersonated_user))


def _resources(event: FullEvent) -> Iterable[str]:
    """Return its names: ``pods``, ``pods/log``, ``deployments.apps``."""
    reference = event.object_ref
    if reference is None:
        return ("",)
    plain = reference.resource
    combined = f"{plain}/{reference.subresource}" if reference.subresource else plain
    return (plain, combined, f"{plain}.{reference.api_group}", f"{combined}.{reference.api_group}")


def _apart(field: str, values: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what is wanted, and what is unwanted."""
    single = [part for value in values for part in (_comma(value) if field in _LISTED else [value])]
    return [each for each in single if each[:1] != "!"], [each[1:] for each in single if each[:1] == "!"]


def _comma(value: str) -> list[str]:
    parts = value.split(",")
    return [parts[0], *(f"!{part}" if value[:1] == "!" and part[:1] != "!" else part for part in parts[1:])]


def _texts(field: str, given: Sequence[str], of: Callable[[FullEvent], Iterable[str]]) -> Iterable[Test]:
    yes, no = _apart(field, given)
    for patterns, expected in ((yes, True), (no, False)):
        if patterns:
            yield _value_test(patterns, of, expected=expected)


def _value_test(patterns: list[str], of: Callable[[T], Iterable[str]], *, expected: bool) -> Callable[[T], bool]:
    exact = frozenset(each for each in patterns if not set(each) & set("*?["))
    globs = [each for each in patterns if each not in exact]
    if not globs:
        return lambda event: exact.isdisjoint(of(event)) is not expected

    def test(event: T) -> bool:
        result = any(value in exact or any(fnmatchcase(value, each) for each in globs) for value in of(event))
        return result is expected

    return test


def _codes(given: Sequence[str]) -> Iterable[Test]:
    yes, no = _apart("code", given)
    for texts, expected in ((yes, True), (no, False)):
        if texts:
            yield _code_test([_code_range(each) for each in texts], expected=expected)


def _code_test(ranges: list[tuple[int, int]], *, expected: bool) -> Test:
    def test(event: FullEvent) -> bool:
        if event.response_status is None:  # not answered yet: of no code, and not of another either
            return False
        code = event.response_status.code
        return any(low <= code <= high for low, high in ranges) is expected

    return test


def _code_range(text: str) -> tuple[int, int]:
    match = _CODES.fullmatch(text.lower())
    if match is None:
        raise UsageError(f"--code {text}: not a code, a range or a class (403, 500-599, 4xx, !200)")
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    return int(match[2]), int(match[3] or match[2])


def _addresses(given: Sequence[str]) -> Iterable[Test]:
    yes, no = _apart("source_ip", given)
    for texts, expected in ((yes, True), (no, False)):
        if texts:
            yield _address_test(texts, expected=expected)


def _address_test(texts: list[str], *, expected: bool) -> Test:
    try:
        networks = [ip_network(each, strict=False) for each in texts]
    except ValueError as error:
        raise UsageError(f"--source-ip: {error} (write 10.0.0.7 or 10.0.0.0/8)") from error

    def holds(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return lambda event: any(holds(each) for each in event.source_ips or ()) is expected
