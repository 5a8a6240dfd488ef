"""``policy list``, ``show``, ``validate``: the shipped policies, and what a server would make of others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.errors import UsageError
from auditctl.findings import Finding, Severity
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_answer import Answer, finding_rows
from auditctl.operations.policy_files import NEWEST, Version, located, read, server_version, words
from auditctl.policy import lint
from auditctl.policy.coverage import State, coverage
from auditctl.policy.discovery import known_of, read_discovery
from auditctl.policy.lint_checks import CHECKS, NAMES, Check, Known, Resource
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.report import finding_line

_BLIND = "detection-blind"


class Asked(NamedTuple):
    """The options of ``policy validate``."""

    files: tuple[str, ...]
    kubernetes: str | None = None
    strict: bool = False
    only: frozenset[str] = frozenset()
    allow: frozenset[str] = frozenset()
    rehearse: bool = False
    discovery: str = ""


class Verdict(NamedTuple):
    """What is to be said of one file. ``bad`` is what makes the exit code 1."""

    file: str
    accepted: bool
    dropped: tuple[str, ...]
    findings: tuple[Finding, ...]
    bad: bool

    def row(self) -> dict[str, Any]:
        """The contract's object."""
        return {
            "file": self.file,
            "accepted": self.accepted,
            "dropped": list(self.dropped),
            "findings": finding_rows(self.findings),
        }


def shipped() -> Answer:
    """The policies that ship with auditctl, each with what it is for."""
    rows = [{"name": name, "what": _purpose(name)} for name in facts.policy_names()]
    width = max(len(row["name"]) for row in rows)
    return Answer({"policies": rows}, tuple(f"{row['name']:{width}}  {row['what']}" for row in rows))


def show(name: str) -> Answer:
    """The text of a shipped policy. Raises RefusedError for a name that does not ship."""
    text = facts.policy_text(name)
    return Answer({"name": name, "what": _purpose(name), "text": text}, tuple(text.removesuffix("\n").split("\n")))


def _purpose(name: str) -> str:
    """What the first paragraph of its header says, the name left out."""
    told = []
    for line in facts.policy_text(name).splitlines():
        said = line.removeprefix("#").strip()
        if not line.startswith("#") or not said:
            break
        told.append(said)
    return " ".join(told).removeprefix(f"{name}:").strip()


def validate(plane: ControlPlane, asked: Asked) -> Answer:
    """What that server would refuse, what it would silently drop, and what is surely not meant, for each file.

    Raises:
        RefusedError: a file cannot be read; nothing is said of the others.
        UsageError: no file, an unknown check, a wrong version.
    """
    _check_names(asked)
    version = server_version(plane, asked.kubernetes)
    known = known_for(asked.discovery, version)
    texts = [read(name) for name in asked.files]
    verdicts = [_judge(text.name, text.raw, version, asked, known) for text in texts]
    if asked.rehearse:
        verdicts = [_rehearsed(plane, text.raw, verdict) for text, verdict in zip(texts, verdicts, strict=True)]
    bad = [verdict for verdict in verdicts if verdict.bad]
    return Answer(
        {"files": [verdict.row() for verdict in verdicts]},
        tuple(line for verdict in verdicts for line in _lines(verdict, version)),
        _summary(verdicts, bad, version),
        exit_code=1 if bad else 0,
    )


def _rehearsed(plane: ControlPlane, raw: bytes, verdict: Verdict) -> Verdict:
    """The verdict, and what the node's own server says; it has the last word."""
    from auditctl.operations import rehearse

    found = tuple(rehearse.of_policy(plane, raw, verdict.file))
    bad = verdict.bad or any(finding.severity is Severity.ERROR for finding in found)
    return verdict._replace(findings=(*verdict.findings, *found), bad=bad)


def _check_names(asked: Asked) -> None:
    if not asked.files:
        raise UsageError("no policy is named", fix="auditctl policy validate FILE... (or --list for the checks)")
    for option, names, known in (("--only", asked.only, NAMES), ("--allow", asked.allow, NAMES)):
        unknown = sorted(names - set(known))
        if unknown:
            raise UsageError(f"{option} {unknown[0]}: no such check", fix=f"choose of: {', '.join(known)}")


def _judge(name: str, raw: bytes, version: Version, asked: Asked, known: Known) -> Verdict:
    loaded = load(raw, version)
    told = lint.with_consequences(located(name, loaded), loaded)
    warned = lint.warnings(raw, loaded.policy, known, asked.only) if loaded.policy else ()
    findings = (
        *(_weighed(finding, asked, accepted=loaded.policy is not None) for finding in told),
        *(finding._replace(file=name) for finding in warned if finding.check not in asked.allow),
        *(_blind(name, loaded.policy) if loaded.policy and _BLIND in asked.only else ()),
    )
    severities = {finding.severity for finding in findings}
    bad = Severity.ERROR in severities or (asked.strict and Severity.WARNING in severities)
    return Verdict(name, loaded.policy is not None, loaded.dropped, findings, bad or loaded.policy is None)


def _blind(name: str, policy: Policy) -> Iterator[Finding]:
    """One line for all detections that can never fire: which, and why, `policy coverage` tells."""
    from auditctl.operations.policy_coverage import chosen_detections

    states = [each.state for each in coverage(policy, chosen_detections(()))]
    if blind := states.count(State.BLIND):
        message = f"{blind} of {len(states)} public detections can never fire"
        fix = f"see auditctl policy coverage {name}"
        yield Finding(_BLIND, Severity.INFO, message, fix, "rules", name, 1, 1)


def known_for(discovery: str, version: Version) -> Known:
    """Return what a cluster serves by its file of discovery, or what a server of that version has of its own.

    Raises:
        PolicyError: the file has another format; RefusedError: it cannot be read.
    """
    if not discovery:
        return built_in(version)
    text = read(discovery, "discovery")
    return known_of(read_discovery(text.raw, text.name), built_in(version))


@cache
def built_in(version: Version = NEWEST) -> Known:
    """The resources that a server of that version has of its own, and the groups that it no longer serves."""
    table = json.loads(facts.template("resources.json").read_text(encoding="utf-8"))
    rows = (_resource(row) for row in table["resources"])
    preview = (_resource(row) for row in table["preview"])
    gone = (group for group, until in table["goneGroups"].items() if version >= numbers(until))
    return Known.of(tuple(rows), frozenset(gone), tuple(preview))


def _resource(row: Mapping[str, Any]) -> Resource:
    """A preview has no ``since``: no stable version serves it."""
    return Resource(
        row["group"],
        row["resource"],
        row["kind"],
        tuple(row["short"]),
        row["namespaced"],
        numbers(row["since"]) if "since" in row else (1, 0),
        row["singular"],
        tuple(numbers(release) for release in row.get("releases", ())),
    )


def numbers(version: str) -> Version:
    """``1.22`` of a table as (1, 22)."""
    major, minor = version.split(".")
    return int(major), int(minor)


def _weighed(finding: Finding, asked: Asked, *, accepted: bool) -> Finding:
    """What is allowed is a warning at most; nothing that the server refuses is."""
    return finding._replace(severity=Severity.WARNING) if accepted and finding.check in asked.allow else finding


def _lines(verdict: Verdict, version: Version) -> Iterator[str]:
    yield from (finding_line(finding) for finding in verdict.findings)
    if not verdict.accepted:
        yield f"{verdict.file}: {words(version)} would refuse to start with it"
    elif verdict.dropped:
        yield f"{verdict.file}: {words(version)} would load it without {', '.join(verdict.dropped)}"
    else:
        yield f"{verdict.file}: accepted by {words(version)}"


def _summary(verdicts: list[Verdict], bad: list[Verdict], version: Version) -> str:
    if len(verdicts) == 1:
        return ""
    files = f"{len(verdicts)} policies"
    return f"{files}, {len(bad)} of them not as they should be" if bad else f"{files}, all accepted by {words(version)}"


def checks() -> Answer:
    """Every check of ``validate``: its name, reason, example and fix."""
    rows = [
        {
            "check": check.name,
            "severity": check.severity.value,
            "reason": check.reason,
            "example": check.example,
            "fix": check.fix,
        }
        for check in CHECKS
    ]
    return Answer({"checks": rows}, tuple(_check_lines(CHECKS)))


def _check_lines(known: Iterable[Check]) -> Iterator[str]:
    for check in known:
        yield f"{check.name} ({check.severity.value}): {check.reason}"
        yield f"    example: rules: {' '.join(check.example.split())}"
        yield f"    fix: {check.fix}"
