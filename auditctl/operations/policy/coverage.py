"""``policy coverage``: which detections can never fire under a policy, why, and the least change that feeds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.errors import PolicyError, UsageError
from auditctl.findings import Finding, Severity
from auditctl.operations.answer import CommandResult, ReviewCase
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.coverage_traffic import Kind, kind_of_request, recorded_kinds
from auditctl.operations.policy_files import LoadedPolicyFile, read, read_policy, server_version
from auditctl.policy.coverage import Coverage, Insertion, LeastChange, Shortfall, State, coverage, least_change
from auditctl.policy.detections import Detection, read_detections
from auditctl.policy.rule_yaml import rule_lines
from auditctl.report import finding_line

_SHIPPED = "detections.yaml"
_WORDS = {State.BLIND: "never fires", State.PARTIAL: "misses some"}


class Asked(NamedTuple):
    """The options of ``policy coverage``; ``sets`` are names of shipped sets and files, none is all shipped sets.

    ``logs``: recorded traffic in which requests of the kinds that are missed are counted.
    """

    file: str
    sets: tuple[str, ...] = ()
    kubernetes: str | None = None
    logs: tuple[str, ...] = ()


class Result(NamedTuple):
    """A policy judged by detections, and the change that feeds those that it does not feed (None: it feeds all).

    ``traffic`` has the recorded requests by kind; None where no log was named.
    """

    named: LoadedPolicyFile
    judged: tuple[Coverage, ...]
    change: LeastChange | None
    traffic: Mapping[Kind, int] | None = None


def policy_coverage(plane: ControlPlane, asked: Asked) -> CommandResult:
    """Return the state of every detection and the least change; exit code 1 if one can never fire.

    Raises:
        PolicyError: the server would refuse the policy, or a file of detections cannot be read as such.
        RefusedError: a file cannot be read.
        UsageError: a set is neither shipped nor a file.
    """
    named = read_policy(asked.file, server_version(plane, asked.kubernetes))
    judged = coverage(named.policy, chosen_detections(asked.sets))
    traffic = recorded_kinds(plane, asked.logs) if asked.logs else None
    result = Result(named, judged, least_change(named.policy, judged), traffic)
    blind = sum(each.state is State.BLIND for each in judged)
    return CommandResult(
        document=_document(result),
        lines=tuple(_lines(result)),
        summary=f"{named.name}: {blind} of {len(judged)} detections can never fire",
        exit_code=1 if blind else 0,
        notes=tuple(finding_line(finding) for finding in named.findings),
        findings=tuple(_findings(result)),
        cases=tuple(_case(named, each) for each in judged),
    )


def chosen_detections(names: Sequence[str]) -> tuple[Detection, ...]:
    """Return the detections of shipped sets and of files, in the order named; of every shipped set if none is named.

    Raises:
        PolicyError: a file has not the format of ``templates/detections.yaml``; RefusedError: it cannot be read.
        UsageError: a bare word is no shipped set.
    """
    shipped = read_detections(facts.template(_SHIPPED).read_bytes(), _SHIPPED)
    known = tuple(dict.fromkeys(each.set for each in shipped))
    detections: list[Detection] = []
    for name in names or known:
        if name in known:
            detections += (each for each in shipped if each.set == name)
        elif name.isalnum():
            raise UsageError(f"--for {name}: no such set of detections", fix=f"use {', '.join(known)}, or a file")
        else:
            text = read(name, "detections")
            detections += read_detections(text.raw, text.name)
    if not detections:
        raise PolicyError("no detection is named")
    return tuple(detections)


def _findings(result: Result) -> Iterator[Finding]:
    """Yield what the policy file has wrong, and each detection that is not fed, at the line of the rule that decides."""
    yield from result.named.findings
    for each in result.judged:
        if each.state in _WORDS:
            severity = Severity.WARNING if each.state is State.BLIND else Severity.INFO
            message = f"{each.detection.set}: {each.detection.name}: {_WORDS[each.state]}: {_sentence(each)}"
            line = each.misses[0].line or 1
            fix = f"see auditctl policy coverage {result.named.name}"
            yield Finding(
                check="detection-blind",
                severity=severity,
                message=message,
                fix=fix,
                file=result.named.name,
                line=line,
                column=1,
            )


def _case(named: LoadedPolicyFile, each: Coverage) -> ReviewCase:
    failure = f"{_WORDS[each.state]}: {_sentence(each)}" if each.state is State.BLIND else ""
    line = each.misses[0].line if each.misses else 0
    return ReviewCase(f"{each.detection.set}: {each.detection.name}", named.name, line, failure)


def _document(result: Result) -> dict[str, Any]:
    return {
        "file": result.named.name,
        "sets": [
            {"set": name, "detections": len(rows), **{state.value: _count(rows, state) for state in State}}
            for name, rows in _by_set(result.judged).items()
        ],
        "detections": [_row(each, result.traffic) for each in result.judged],
        "change": None if result.change is None else _change_row(result.change),
    }


def _by_set(judged: Sequence[Coverage]) -> dict[str, list[Coverage]]:
    rows: dict[str, list[Coverage]] = {}
    for each in judged:
        rows.setdefault(each.detection.set, []).append(each)
    return rows


def _count(rows: Sequence[Coverage], state: State) -> int:
    return sum(each.state is state for each in rows)


def _row(each: Coverage, traffic: Mapping[Kind, int] | None) -> dict[str, Any]:
    detection = each.detection
    return {
        "set": detection.set,
        "name": detection.name,
        "id": detection.id or None,
        "path": detection.path or None,
        "state": each.state.value,
        "level": detection.level.value,
        "exact": detection.exact,
        "stages": [stage.value for stage in detection.stages],
        "note": detection.note or None,
        "misses": [
            {
                "request": miss.sample.text,
                "level": miss.decision.level.value,
                "rule": miss.decision.rule,
                "line": miss.line or None,
                "reason": _reason(detection, miss),
                **(
                    {}
                    if traffic is None
                    else {"requestsInLog": traffic.get(kind_of_request(miss.sample.attributes), 0)}
                ),
            }
            for miss in each.misses
        ],
    }


def _change_row(change: LeastChange) -> dict[str, Any]:
    return {
        "removeFromOmitStages": [stage.value for stage in change.restored],
        "insert": [
            {"before": each.before, "rules": "\n".join(line for rule in each.rules for line in rule_lines(rule)) + "\n"}
            for each in change.insertions
        ],
        "unfed": [each.detection.name for each in change.unfed],
    }


def _lines(result: Result) -> Iterator[str]:
    for name, rows in _by_set(result.judged).items():
        counts = [_count(rows, state) for state in State]
        yield f"{name}: {len(rows)} detections: {counts[0]} can fire, {counts[1]} only in part, {counts[2]} never"
    for state, words in _WORDS.items():
        for each in result.judged:
            if each.state is state:
                yield f"{each.detection.set}: {each.detection.name}: {words}: {_sentence(each)}{_in_log(each, result)}"
    if result.change:
        yield from _change_lines(result.named, result.change)


def _sentence(each: Coverage) -> str:
    miss = each.misses[0]
    more = f" (and {len(each.misses) - 1} more requests)" if len(each.misses) > 1 else ""
    return f"{miss.sample.text}: {_by(miss)}: {_reason(each.detection, miss)}{more}"


def _in_log(each: Coverage, result: Result) -> str:
    """Return how many such requests are recorded, of all kinds that the detection misses."""
    if result.traffic is None:
        return ""
    kinds = {kind_of_request(miss.sample.attributes) for miss in each.misses}
    return f"; {sum(result.traffic.get(kind, 0) for kind in kinds)} such requests in the log"


def _by(miss: Shortfall) -> str:
    return f"rules[{miss.decision.rule}] (line {miss.line})" if miss.decision.rule >= 0 else "no rule decides it"


def _reason(detection: Detection, miss: Shortfall) -> str:
    """Why the events of the request do not do, in words."""
    reasons = []
    if miss.level:
        only = "exactly " if detection.exact else ""
        reasons.append(f"level {miss.decision.level.value}, {only}{detection.level.value} is needed")
    if miss.stages:
        names = " or ".join(stage.value for stage in miss.stages)
        reasons.append(f"no event of the stage {names} is written")
    return " and ".join(reasons)


def _change_lines(named: LoadedPolicyFile, change: LeastChange) -> Iterator[str]:
    yield "the least change that feeds them:"
    for stage in change.restored:
        yield f"# remove {stage.value} from the omitStages of the policy: no rule can bring a stage back"
    for each in change.insertions:
        yield _where(named, each)
        yield from (line for rule in each.rules for line in rule_lines(rule))
    for left in change.unfed:
        yield f"# {left.detection.set}: {left.detection.name} stays unfed: another detection needs another level of the same request"


def _where(named: LoadedPolicyFile, insertion: Insertion) -> str:
    rules = named.policy.rules
    if insertion.before < len(rules):
        return f"# before rules[{insertion.before}] (line {rules[insertion.before].line}):"
    return "# at the end of rules:"
