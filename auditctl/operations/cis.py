"""``cis``: the audit controls of the CIS Kubernetes Benchmark, each with its evidence. The controls are data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auditctl import facts
from auditctl.errors import RefusedError
from auditctl.findings import Check, Finding, Severity, Status, Verification
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, listener, untrusted_listener
from auditctl.node.change import files
from auditctl.node.preflight import node_checks, strict_modes
from auditctl.operations import policy_source
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.people import named_people
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Level, Policy, Stage, User
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import LOG_FLAG, LOG_PATH, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One control with its verdict, its ``evidence`` (one row a fact), and what another tool would say.

    ``enable`` is the option of `enable` that meets it; empty where another policy does.
    """

    id: str
    title: str
    status: Status
    detail: str
    evidence: tuple[Mapping[str, Any], ...] = ()
    scanners: str = ""
    enable: str = ""
    stig: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _CisEvidence:
    """What the controls are asked of."""

    plane: ControlPlane
    manifest: Manifest
    process: Process | None
    version: tuple[int, int]
    table: Mapping[str, Any]
    stig: Mapping[str, tuple[str, ...]]


def cis(plane: ControlPlane) -> Report:
    """Answer the audit controls of the CIS benchmark with evidence; one that is not met makes it no.

    Raises:
        RefusedError: the manifest cannot be read.
    """
    snapshot, manifest = plane.read_manifest()
    table = json.loads(facts.template("cis.json").read_text(encoding="utf-8"))
    process = listener(manifest.secure_port, manifest) if plane.root.is_host else None
    node = _CisEvidence(
        plane=plane,
        manifest=manifest,
        process=process,
        version=policy_source.version_of(plane, manifest, live=False),
        table=table,
        stig=_stig(),
    )
    controls = tuple(_controls(node))
    failed = [control for control in controls if control.status is Status.FAILED]
    summary = f"not met: {', '.join(one.id for one in failed)}" if failed else "every audit control is met"
    doubts = tuple(_of_no_server(manifest)) if process is None and plane.root.is_host and os.geteuid() == 0 else ()
    if doubts:
        summary += f" by the manifest alone: {doubts[0].message}"
    return Report(
        command="cis",
        outcome=Outcome.NEGATIVE if failed or _has_errors(doubts) else Outcome.UNCHANGED,
        summary=summary,
        manifest=ManifestChange(path=str(plane.manifest_path), before=snapshot.sha256, after=snapshot.sha256),
        verification=Verification(tuple(Check(one.id, one.status, f"{one.title}: {one.detail}") for one in controls)),
        next_steps=(_next_step(failed),) if failed else tuple(finding.fix for finding in doubts),
        details={"controls": [_row(control) for control in controls]},
        findings=(*doubts, *strict_modes.audit_paths(plane.root, manifest)),
        lines=tuple(line for control in controls for line in _lines(control)),
    )


def _of_no_server(manifest: Manifest) -> Iterator[Finding]:
    """Yield why a manifest that meets the controls does not make this node meet them: its API server does not run.

    That nobody listens is a warning: the manifest may be a copy that is judged elsewhere.
    """
    stranger = untrusted_listener(manifest.secure_port, manifest)
    if stranger is not None:
        text, fix = stranger.on(manifest.secure_port), stranger.fix
        yield Finding.error("untrusted-listener", text, fix)
        return
    text = f"no kube-apiserver of this node listens on port {manifest.secure_port}"
    yield Finding.warning("apiserver-ready", text, "auditctl doctor")


def _has_errors(findings: Sequence[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _next_step(failed: Sequence[Control]) -> str:
    """Return the one command that meets what is not met; values that are well enough are left alone."""
    policy = () if all(one.enable.startswith("--") for one in failed) else ("--policy cis",)
    return " ".join(("auditctl enable", *policy, *(one.enable for one in failed if one.enable)))


def _controls(node: _CisEvidence) -> Iterator[Control]:
    for row in node.table["flags"]:
        yield _flag(node, row)
    policy, control = _policy(node)
    yield control
    yield _concerns(node, policy)


def _stig() -> dict[str, tuple[str, ...]]:
    """Return the ids of the STIG by the control that has the same answer."""
    ids: dict[str, tuple[str, ...]] = {}
    for row in json.loads(facts.template("stig.json").read_text(encoding="utf-8"))["rules"]:
        if row["control"]:
            ids[row["control"]] = (*ids.get(row["control"], ()), row["id"])
    return ids


def _id(row: Mapping[str, Any], version: tuple[int, int]) -> str:
    """Return the number of a control in the benchmark for that version; of an older one than all, the oldest number."""
    ids = [id_ for first, id_ in row["ids"].items() if tuple(map(int, first.split("."))) <= version]
    return str(ids[-1] if ids else next(iter(row["ids"].values())))


def _flag(node: _CisEvidence, row: Mapping[str, Any]) -> Control:
    name, least = row["flag"], row["atLeast"]
    flag = next((one for one in reversed(node.manifest.flag_list) if one.name == name), None)
    place = node.manifest.document.place(flag.item.path) if flag else None
    known = facts.audit_flags()[name]
    value = flag.value if flag else known.default((*node.version, 0))
    evidence: dict[str, Any] = {
        "flag": f"--{name}",
        "value": value or None,
        "set": flag is not None,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "runs": None if node.process is None else node.process.runs(node.manifest.command),
    }
    where = f"{place.file}:{place.line}" if place else f"it is not set (default {value or 'none'})"
    if name == LOG_FLAG:
        status, detail = _path(node, value, where)
    elif flag is None:
        met = value.isdecimal() and int(value) >= least
        status = Status.FAILED
        detail = f"{where}{'; the default is enough, but the control requires the flag' if met else ''}"
    else:
        met = value.isdecimal() and int(value) >= least
        status = Status.PASSED if met else Status.FAILED
        detail = f"{value} ({where})" + ("" if met else f", less than {least}")
    option = f"--{name.removeprefix('audit-')} {least or LOG_PATH}"
    return Control(
        id=_id(row, node.version),
        title=row["title"],
        status=status,
        detail=detail,
        evidence=(evidence,),
        scanners=node.table["scanners"][name],
        enable=option,
        stig=node.stig.get(name, ()),
    )


def _path(node: _CisEvidence, value: str, where: str) -> tuple[Status, str]:
    if not value:
        other = "; events go to a webhook only" if node.manifest.flag(WEBHOOK_FLAG) else ""
        return Status.FAILED, f"it is not set{other}"
    if value == STANDARD_OUTPUT:
        return Status.PASSED, f"standard output ({where})"
    return Status.PASSED, f"{value} ({where})"


def _policy(node: _CisEvidence) -> tuple[Policy | None, Control]:
    """Judge 3.2.1: a policy is set, there, legal, and records something."""

    def control(status: Status, detail: str, evidence: tuple[Mapping[str, Any], ...] = ()) -> Control:
        return Control(
            id="3.2.1",
            title="a minimal audit policy is created",
            status=status,
            detail=detail,
            evidence=evidence,
            scanners=node.table["scanners"]["3.2.1"],
            stig=node.stig.get("3.2.1", ()),
        )

    host = node_checks.host_of(node.plane.root, node.manifest, POLICY_FLAG)
    if host is None:
        path = node.manifest.flag(POLICY_FLAG)
        text = f"{path} is inside the container: no volume mounts it" if path else f"no --{POLICY_FLAG} is set"
        return None, control(Status.FAILED, text)
    raw = last_known_good.loaded(node.plane, node.manifest, node.process)
    source = "loaded by the running API server" if raw is not None else "on disk"
    try:
        raw = files.read_regular(host, "policy") if raw is None else raw
    except RefusedError as error:
        return None, control(Status.FAILED, error.message)
    loaded = load(raw, node.version)
    evidence = {"file": str(host), "sha256": files.sha256(raw), "source": source}
    if loaded.policy is None:
        detail = f"{host}: kube-apiserver {node.version[0]}.{node.version[1]} refuses it: {loaded.error}"
        return None, control(Status.FAILED, detail, (evidence,))
    recording = [rule for rule in loaded.policy.rules if rule.level is not Level.NONE]
    status = Status.PASSED if recording else Status.FAILED
    detail = f"{host} ({source}): {len(loaded.policy.rules)} rules, {len(recording)} of them record"
    return loaded.policy, control(status, detail, (evidence,))


def _concerns(node: _CisEvidence, policy: Policy | None) -> Control:
    """Judge 3.2.2: every key concern, request by request, with the rule that records it."""
    people = (None, *named_people(policy.rules)) if policy is not None else ()
    rows = [
        _decided(policy, row["concern"], request, person, Level(row["atLeast"]), Level(row["atMost"]))
        for row in (node.table["concerns"] if policy is not None else ())
        for request in row["requests"]
        for person in (people if _is_of_a_person(request) else (None,))
        if policy is not None
    ]
    failed = [row for row in rows if not row["met"]]
    first = f"; first: {failed[0]['request']}: {failed[0]['why']}" if failed else ""
    detail = f"{len(rows) - len(failed)} of {len(rows)} requests are recorded as they should be{first}"
    return Control(
        id="3.2.2",
        title="the audit policy covers key security concerns",
        status=Status.FAILED if failed or policy is None else Status.PASSED,
        detail=detail if policy is not None else "there is no policy to evaluate",
        evidence=tuple(rows),
        scanners=node.table["scanners"]["3.2.2"],
    )


def _is_of_a_person(request: str) -> bool:
    user = parse(request).user
    return user is not None and not user.name.startswith("system:")


def _decided(
    policy: Policy, concern: str, request: str, person: User | None, least: Level, most: Level
) -> dict[str, Any]:
    """Return the row of one request; ``person`` makes it instead of the user that it names."""
    attributes = parse(request)
    if person is not None:
        attributes = replace(attributes, user=person)
        request = f"{request.partition(' by ')[0]} by {person.name} of {' '.join(person.groups)}"
    decision = evaluate(policy, attributes)
    silent = set(decision.omit_stages) >= {Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE}
    why = ""
    if decision.level < least:
        why = f"{decision.level.value}: not recorded"
    elif silent:
        why = "its outcome is not recorded (ResponseStarted and ResponseComplete are omitted)"
    elif decision.level > most:
        why = f"{decision.level.value}: the contents are written to the log"
    line = policy.rules[decision.rule].line if decision.rule >= 0 else None
    return {
        "concern": concern,
        "request": request,
        "level": decision.level.value,
        "rule": decision.rule,
        "line": line,
        "met": not why,
        "why": why or None,
    }


def _row(control: Control) -> dict[str, Any]:
    return {
        "id": control.id,
        "title": control.title,
        "status": control.status.value,
        "detail": control.detail,
        "evidence": list(control.evidence),
        "otherScanners": control.scanners,
        "stig": list(control.stig),
    }


def _lines(control: Control) -> Iterator[str]:
    """Yield the requests of 3.2.2 that are not recorded as they should be, for a person."""
    for row in control.evidence:
        if row.get("why"):
            by = f"rule {row['rule']}, line {row['line']}" if row["rule"] >= 0 else "no rule"
            yield f"    {control.id} {row['concern']}: {row['request']}: {row['why']} ({by})"
