"""What is legal and surely not meant: the run of the checks, and their findings with places in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from auditctl.findings import Finding
from auditctl.patterns import lazily
from auditctl.policy.compare import differences, request_words
from auditctl.policy.evaluate import evaluate
from auditctl.policy.lint_checks import CHECKS, NAMES, Known, Problem
from auditctl.policy.lint_decisions import MOST_PROVEN, decision_problems, is_searchable
from auditctl.policy.lint_discovery import unserved
from auditctl.policy.lint_selectors import selector_problems
from auditctl.policy.lint_urls import url_problems
from auditctl.policy.lint_users import user_problems
from auditctl.policy.load import LoadResult, Places, load
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Level, Policy

_SEVERITIES = {check.name: check.severity for check in CHECKS}
_MOST_PROBLEMS = 50
_RULE = lazily(r"rules\[([0-9]+)\]")
_DOCUMENT_MARK = lazily(rb"(?m)^---(?=[ \t\r\n]|\Z)")
_CONTENT = lazily(rb"(?m)^[ \t]*[^#\s]")
_SENSITIVE = (
    "get secrets db in default",
    "create secrets in default",
    "create pods/exec web in default",
    "get pods/exec web in default",
    "create serviceaccounts/token robot in default",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "create pods in default",
    "delete namespaces prod",
)


def problems(raw: bytes, policy: Policy, known: Known) -> Iterator[Problem]:
    """Yield everything that the checks find, each with its proof. What changes no decision is not said."""
    if _documents(raw) > 1:
        yield Problem(
            check="more-documents",
            path="",
            message="the server reads only the first document",
            fix="make one list of rules",
        )
    reported: set[str] = set()
    searchable = is_searchable(policy, MOST_PROVEN)
    for problem in chain(
        selector_problems(policy, known), user_problems(policy), url_problems(policy), unserved(policy, known)
    ):
        proven = _proven(policy, problem) if searchable else problem
        if proven:
            reported.add(proven.path.partition(".")[0])
            yield proven
    for problem in decision_problems(policy, known):
        if problem.request or problem.path not in reported:  # a rule that nothing passes: its selectors say why
            yield problem


def _proven(policy: Policy, problem: Problem) -> Problem | None:
    """Return the problem with a request that its mending changes; None if it changes none."""
    if problem.mending is None:
        return problem
    difference = next(differences(policy, problem.mending.apply(policy)), None)
    return replace(problem, request=difference.attributes) if difference else None


def _documents(raw: bytes) -> int:
    """Return how many documents of the text hold something; JSON that loads has no mark in it."""
    parts = _DOCUMENT_MARK.split(raw)
    return sum(1 for part in parts if _CONTENT.search(part))


def warnings(
    raw: bytes, policy: Policy, known: Known, only: frozenset[str] = frozenset(), places: Places | None = None
) -> tuple[Finding, ...]:
    """Return what of a policy that the server loads is surely not meant, with lines and columns of ``raw``.

    ``places`` are those of its ``LoadResult``; without them the text is read once more.
    """
    problems_left: list[Problem] = []
    for problem in problems(raw, policy, known):
        if not only or problem.check in only:
            problems_left.append(problem)
        if len(problems_left) >= _MOST_PROBLEMS:
            break
    if problems_left and places is None:
        places = load(raw).places
    findings = (_finding(problem, places or {}) for problem in problems_left)
    return tuple(sorted(findings, key=lambda finding: (finding.line, finding.column, NAMES.index(finding.check))))


def _finding(problem: Problem, places: Places) -> Finding:
    path = problem.path
    while path and path not in places:
        path = path.rpartition("[" if path.endswith("]") else ".")[0]
    line, column = places.get(path, (1, 1))
    severity = _SEVERITIES[problem.check]
    return Finding(
        check=problem.check,
        severity=severity,
        message=problem.message,
        fix=problem.fix,
        path=problem.path,
        file="",
        line=line,
        column=column,
    )


def with_consequences(findings: tuple[Finding, ...], loaded: LoadResult) -> tuple[Finding, ...]:
    """Return the findings, those of dropped fields with what the rule does without them."""
    policy = loaded.policy
    if policy is None:
        return findings
    return tuple(_with_consequence(each, policy) if each.check == "dropped-fields" else each for each in findings)


def _with_consequence(finding: Finding, policy: Policy) -> Finding:
    match = _RULE.match(finding.path)
    if match is None:
        return finding
    index = int(match[1])
    decided = [request for request in map(parse, _SENSITIVE) if evaluate(policy, request).rule == index]
    if not decided:
        return finding
    level = policy.rules[index].level
    does = "then drops" if level is Level.NONE else f"then decides (level {level.value})"
    named = ", ".join(request_words(replace(request, user=None)).removesuffix(" without a user") for request in decided)
    return replace(finding, message=f"{finding.message}; rules[{index}] {does} {named}")
