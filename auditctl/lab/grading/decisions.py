"""Grading of policies: what the policy that the running server has loaded decides."""

from __future__ import annotations

from auditctl.compatibility import assert_never
from auditctl.findings import Check, Status
from auditctl.lab.grading.flags import NOT_RUNNING
from auditctl.lab.grading.kinds import Expect, SamePolicy, Stages
from auditctl.operations.evidence.running_server import STALE, Running
from auditctl.policy.compare import first_difference, outcome, request_words
from auditctl.policy.evaluate import evaluate, stages
from auditctl.policy.types import Decision, Level, Policy


def judge(running: Running, name: str, want: Expect | Stages | SamePolicy) -> Check:
    """The loaded policy, not the file: where the file was written since the start, it is not what decides."""
    loaded = running.loaded
    if not running.is_of_manifest:
        return Check(name, Status.FAILED, NOT_RUNNING)
    if loaded.policy is None:
        return Check(name, Status.FAILED, "the API server has no policy")
    if loaded.stale:
        return Check(name, Status.FAILED, STALE)
    failure, seen = _judged(loaded.policy, want)
    if failure:
        return Check(name, Status.FAILED, failure)
    if not loaded.known:
        text = "the policy file was touched after the API server had started: what that has loaded is not known"
        return Check(name, Status.UNKNOWN, text)
    return Check(name, Status.PASSED, seen)


def _judged(policy: Policy, want: Expect | Stages | SamePolicy) -> tuple[str, str]:
    """Why it is not met ("" if it is), and what was seen."""
    match want:
        case Expect():
            return _expect(policy, want)
        case Stages():
            return _stages(policy, want)
        case SamePolicy():
            return _same(policy, want)
        case _:
            assert_never(want)


def _expect(policy: Policy, want: Expect) -> tuple[str, str]:
    decision = evaluate(policy, want.asked.attributes)
    seen = f"decided at {decision.level.value}, by {_rule(decision)}"
    return ("" if decision.level is want.level else f"{seen}, which is not what is asked for"), seen


def _stages(policy: Policy, want: Stages) -> tuple[str, str]:
    decision = evaluate(policy, want.asked.attributes)
    written = frozenset(stages(decision, want.asked.attributes))
    seen = f"written at {', '.join(sorted(stage.value for stage in written)) or 'no stage'}, by {_rule(decision)}"
    met = written == want.stages if want.exactly else bool(written) and not written & want.stages
    return ("" if met else f"{seen}, which is not what is asked for"), seen


def _rule(decision: Decision) -> str:
    return f"rules[{decision.rule}]" if decision.rule >= 0 else "no rule"


def _same(policy: Policy, want: SamePolicy) -> tuple[str, str]:
    found = [first_difference(policy, other, _level if want.levels_only else outcome) for other in want.policies]
    nearest = found[0]
    if nearest is None or None in found:
        return "", "every request is decided as asked for"
    seen = f"{request_words(nearest.attributes)}: {nearest.old.level.value}, by {_rule(nearest.old)}"
    return f"at least one request is not decided as asked for: {seen}", ""


def _level(decision: Decision) -> Level:
    return decision.level
