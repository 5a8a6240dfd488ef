"""The texts that the commands on policies read, and the server that they are read for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from auditctl import facts
from auditctl.errors import PolicyError, RefusedError, UsageError
from auditctl.findings import Finding, Severity
from auditctl.node.change import files
from auditctl.operations.controlplane import ControlPlane
from auditctl.patterns import lazily
from auditctl.policy.embedded import embedded_policies
from auditctl.policy.lint_checks import Known, Resource
from auditctl.policy.load import LoadResult, load
from auditctl.policy.types import Policy

Version = tuple[int, int]
NEWEST: Version = facts.NEWEST
_STANDARD_INPUT = "-"
_SHIPPED = lazily(r"[a-z][a-z0-9-]*")
_VERSION = lazily(r"v?([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]+)?(?:[-+][0-9A-Za-z.+-]*)?")
# the image tag of the manifest, without reading YAML: half of this command's time would go there
_IMAGE = lazily(
    rb"""(?m)^[ \t]*(?:-[ \t]+)?image:[ \t]*["']?[^\s"'#]*kube-apiserver[^\s"'#:]*:v?([0-9]+)\.([0-9]+)\b"""
)


class PolicyText(NamedTuple):
    """A text and the name under which the user knows it."""

    name: str
    raw: bytes


def read(name: str, subject: str = "policy") -> PolicyText:
    """Return the text of a file, of standard input (``-``), or of a shipped policy (a bare word).

    Raises:
        RefusedError: there is no such file and no such policy, or it cannot be read.
    """
    if name == _STANDARD_INPUT:
        return PolicyText(name, files.read_following(Path("/dev/stdin"), subject))
    if subject == "policy" and _SHIPPED.fullmatch(name):
        if name in facts.policy_names():
            return PolicyText(name, facts.policy_text(name).encode())
        if not Path(name).exists():
            raise RefusedError(
                f"{name}: neither a file nor a shipped policy",
                check="policy-missing",
                fix=f"specify a file, or one of: {', '.join(facts.policy_names())}",
            )
    return PolicyText(name, files.read_following(Path(name), subject))


def opened(name: str, subject: str) -> BinaryIO:
    """Open a file that is read line by line, whatever its size; ``-`` is standard input. Raises RefusedError."""
    path = "/dev/stdin" if name == _STANDARD_INPUT else name
    try:
        return Path(path).open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(f"{name}: cannot read {subject}: {reason}", check=f"{subject}-missing") from error


def server_version(plane: ControlPlane, kubernetes: str | None) -> Version:
    """Return ``--kubernetes``, else the version of the image in the node's manifest, else the newest known.

    Raises:
        UsageError: ``kubernetes`` is no version.
    """
    if kubernetes is not None:
        match = _VERSION.fullmatch(kubernetes)
        if match is None:
            raise UsageError(f"--kubernetes {kubernetes}: not a version", fix="write it like 1.36")
        return int(match[1]), int(match[2])
    with suppress(RefusedError):
        tag = _IMAGE.search(files.read(plane.manifest_path, "manifest").content)
        if tag:
            return int(tag[1]), int(tag[2])
    return NEWEST


def words(version: Version) -> str:
    """Return ``kube-apiserver 1.36``; of a version beyond the tables, that it is a guess."""
    guess = "" if facts.TABLE_BEGINS[:2] <= version <= NEWEST else " (not known to auditctl: a guess)"
    return f"kube-apiserver {version[0]}.{version[1]}{guess}"


def unknown_version(version: Version) -> tuple[str, ...]:
    """Return what has to be said of a version that the tables do not have; nothing for one that they do."""
    first, last = facts.TABLE_BEGINS[:2], NEWEST
    if first <= version <= last:
        return ()
    nearest = words(min(max(version, first), last))
    known = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return (
        f"kube-apiserver {version[0]}.{version[1]} is not known: the tables go from {known}, so this is a guess by {nearest}",
    )


class LoadedPolicyFile(NamedTuple):
    """A policy that the server would load, under its user's name, with what is to be said about it."""

    name: str
    policy: Policy
    findings: tuple[Finding, ...] = ()


def located(name: str, loaded: LoadResult) -> tuple[Finding, ...]:
    """Return the findings of the loader with their file's name; at least one for a policy that is refused."""
    if loaded.policy is None and not loaded.findings:
        return (Finding.error("policy", loaded.error, file=name),)
    return tuple(replace(finding, file=name) for finding in loaded.findings)


def read_policy(name: str, version: Version) -> LoadedPolicyFile:
    """Return the policy as that server would load it; a field that it drops is a warning.

    Raises:
        PolicyError: the server would refuse it; every finding with its line.
    """
    return understood(read(name), version)


def understood(text: PolicyText, version: Version) -> LoadedPolicyFile:
    """Return the policy in a text that has been read; as ``read_policy``."""
    name = text.name
    loaded = load(text.raw, version)
    findings = located(name, loaded)
    if loaded.policy is None and (inside := embedded_policies(text.raw)):
        if len(inside) > 1:
            paths = ", ".join(each.path for each in inside)
            raise PolicyError(
                f"{name} holds {len(inside)} policies: {paths}",
                check="several-policies",
                fix="use a file with one of them",
            )
        loaded = load(inside[0].raw, version)
        findings = tuple(inside[0].placed(finding) for finding in located(name, loaded))
    if loaded.policy is None:
        raise PolicyError(
            f"{name}: {words(version)} would refuse this policy: {loaded.error}",
            check="policy",
            fix="correct the lines named above",
            findings=findings,
        )
    guesses = tuple(Finding.warning("version-unknown", text) for text in unknown_version(version))
    dropped = tuple(replace(finding, severity=Severity.WARNING) for finding in findings)
    return LoadedPolicyFile(name, loaded.policy, (*guesses, *dropped))


@cache
def built_in(version: Version = NEWEST) -> Known:
    """Return the resources that a server of that version has of its own, and the groups that it no longer serves."""
    table = json.loads(facts.template("resources.json").read_text(encoding="utf-8"))
    rows = (_resource(row) for row in table["resources"])
    preview = (_resource(row) for row in table["preview"])
    gone = (group for group, until in table["goneGroups"].items() if version >= numbers(until))
    return Known.of(tuple(rows), frozenset(gone), tuple(preview))


def _resource(row: Mapping[str, Any]) -> Resource:
    """Return a resource of the table; a preview has no ``since``: no stable version serves it."""
    return Resource(
        group=row["group"],
        name=row["resource"],
        kind=row["kind"],
        short_names=tuple(row["short"]),
        namespaced=row["namespaced"],
        since=numbers(row["since"]) if "since" in row else (1, 0),
        singular=row["singular"],
        preview=tuple(numbers(release) for release in row.get("releases", ())),
    )


def numbers(version: str) -> Version:
    """Return ``1.22`` of a table as (1, 22)."""
    major, minor = version.split(".")
    return int(major), int(minor)
