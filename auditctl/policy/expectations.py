"""Requests with the decision that a policy should take: the unit tests of a policy.

A text is a YAML list. An item is ``REQUEST -> LEVEL`` in the shorthand, or a mapping with ``request``, ``level`` and,
if they matter, ``rule`` (from 0, -1 is none) and ``stages``. Instead of ``request`` it may have ``method``, ``url``,
``user`` (null: authentication failed) and ``groups``.
"""

from __future__ import annotations

from dataclasses import dataclass

from auditctl.errors import AuditctlError, Place, PolicyError
from auditctl.policy.evaluate import evaluate, stages
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.request import attributes
from auditctl.policy.request_context import RequestContext, UnsendableRequestError
from auditctl.policy.shorthand import DEFAULT_USER, parse, usual_groups
from auditctl.policy.types import Attributes, Decision, Level, Policy, Stage, User

_OUTCOME = frozenset({"level", "rule", "stages"})
_IN_WORDS = frozenset({"request"})
_IN_FULL = frozenset({"method", "url", "user", "groups"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One request and what should become of it. None: it does not matter."""

    request: str
    attributes: Attributes
    level: Level
    rule: int | None = None
    stages: tuple[Stage, ...] | None = None
    line: int = 0


def read_expectations(raw: bytes, file: str = "", context: RequestContext | None = None) -> tuple[Expectation, ...]:
    """Return the expectations in a text; ``file`` is its name in errors.

    Raises:
        PolicyError: the text is not such a list; UnsendableRequestError: no client can send one of the requests.
    """
    try:
        value = read_yaml(raw).value
    except SyntaxFault as fault:
        raise PolicyError(fault.text, place=Place(file, fault.line, fault.column)) from fault
    if value.kind is not JsonKind.ARRAY:
        raise _error(value, file, "a list of `REQUEST -> LEVEL` is needed")
    return tuple(_expectation(item, file, context) for item in value.items)


def _error(value: Value, file: str, message: str) -> PolicyError:
    return PolicyError(message, place=Place(file, value.line, value.column))


def _expectation(item: Value, file: str, context: RequestContext | None) -> Expectation:
    if item.kind is JsonKind.STRING:
        request, arrow, level = (part.strip() for part in item.text.rpartition("->"))
        if not arrow:
            raise _error(item, file, f"{item.text!r} has no `-> LEVEL`")
        return Expectation(
            request=request,
            attributes=_request(item, file, request, context),
            level=_level(item, file, level),
            line=item.line,
        )
    fields = {pair.key: pair.value for pair in item.pairs}
    request_fields = fields.keys() - _OUTCOME
    if (
        item.kind is not JsonKind.OBJECT
        or "level" not in fields
        or not (request_fields == _IN_WORDS or "url" in request_fields <= _IN_FULL)
    ):
        raise _error(item, file, "an item is `REQUEST -> LEVEL`, or has request, level, and perhaps rule and stages")
    rule = fields.get("rule")
    if rule is not None and not (rule.kind is JsonKind.NUMBER and rule.text.lstrip("-").isdigit()):
        raise _error(rule, file, "a rule is a number, from 0; -1 is none")
    request = fields["request"].text if "request" in fields else _words(fields)
    return Expectation(
        request=request,
        attributes=_request(fields["request"], file, request, context)
        if "request" in fields
        else _full_request(fields, file, context),
        level=_level(fields["level"], file, fields["level"].text),
        rule=None if rule is None else int(rule.text),
        stages=_stages(fields["stages"], file) if "stages" in fields else None,
        line=item.line,
    )


def _words(fields: dict[str, Value]) -> str:
    method, user = fields.get("method"), fields.get("user")
    by = f" by {user.text or 'nobody'}" if user else ""
    return f"{method.text if method else 'GET'} {fields['url'].text}{by}"


def _full_request(fields: dict[str, Value], file: str, context: RequestContext | None) -> Attributes:
    """Return the attributes of method, URL, user and groups; what is left out is as in the shorthand."""
    admin = DEFAULT_USER if context is None else context.administrator
    method, name, groups = fields.get("method"), fields.get("user"), fields.get("groups")
    if name is None:
        user: User | None = admin
    else:
        user = None if name.kind is JsonKind.NULL else User(name.text, usual_groups(name.text, admin))
    if user and groups is not None:
        user = user._replace(groups=tuple(group.text for group in groups.items))
    try:
        return attributes(method.text.upper() if method else "GET", fields["url"].text, user)
    except AuditctlError as error:
        raise _error(fields["url"], file, error.message) from error


def _request(value: Value, file: str, text: str, context: RequestContext | None) -> Attributes:
    try:
        return parse(text, context)
    except UnsendableRequestError as error:
        place = f"{file}:{value.line}:{value.column}: " if file else ""
        raise UnsendableRequestError(f"{place}{error.message}", fix=error.fix) from error
    except AuditctlError as error:
        raise _error(value, file, error.message) from error


def _level(value: Value, file: str, text: str) -> Level:
    try:
        return Level(text)
    except ValueError as error:
        raise _error(value, file, f"{text!r} is not a level") from error


def _stages(value: Value, file: str) -> tuple[Stage, ...]:
    try:
        return tuple(Stage(item.text) for item in value.items)
    except ValueError as error:
        raise _error(value, file, f"stages are {', '.join(stage.value for stage in Stage)}") from error


def unmet(policy: Policy, expectation: Expectation) -> tuple[Decision, str]:
    """Return what ``policy`` decides, and in words what differs from the expectation; "" if nothing does."""
    decision = evaluate(policy, expectation.attributes)
    differences = []
    if decision.level is not expectation.level:
        differences.append(f"level {decision.level.value}, expected {expectation.level.value}")
    if expectation.rule is not None and decision.rule != expectation.rule:
        differences.append(f"rule {decision.rule}, expected {expectation.rule}")
    if expectation.stages is not None:
        request = expectation.attributes
        written = stages(decision, request, authenticated=request.user is not None)
        if set(written) != set(expectation.stages):
            differences.append(f"stages {', '.join(stage.value for stage in written) or 'none'}")
    return decision, "; ".join(differences)
