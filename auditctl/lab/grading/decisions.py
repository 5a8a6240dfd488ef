"""Requirements on decisions: what the policy that the running server has loaded decides."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from auditctl.findings import Check
from auditctl.lab.grading.fields import Fields
from auditctl.lab.grading.requirement_kind import (
    RequestSpec,
    ServerRequirement,
    request_and_level,
    request_of,
    stage_of,
)
from auditctl.operations.evidence.running_server import STALE, Running
from auditctl.policy.compare import first_difference, outcome, request_words
from auditctl.policy.evaluate import evaluate, stages
from auditctl.policy.load import load
from auditctl.policy.types import Decision, Level, Policy, Stage


@dataclass(frozen=True, slots=True)
class PolicyRequirement(ServerRequirement):
    """A requirement on the loaded policy, not on the file: a file written since the start decides nothing."""

    def judge_running(self, running: Running) -> Check:
        loaded = running.loaded
        if loaded.policy is None:
            return self.failed("the API server has no policy")
        if loaded.stale:
            return self.failed(STALE)
        check = self.judge_policy(loaded.policy)
        if check == self.passed(check.detail) and not loaded.known:
            text = (
                "the policy file was touched after the API server had started: which policy it has loaded is not known"
            )
            return self.unknown(text)
        return check

    @abstractmethod
    def judge_policy(self, policy: Policy) -> Check:
        """Return the verdict on the policy, as if it were known to be loaded."""


@dataclass(frozen=True, slots=True)
class Expect(PolicyRequirement):
    """The level at which a request is recorded."""

    kinds = ("expect",)
    subject = "request"
    request: RequestSpec
    level: Level

    @classmethod
    def parse(cls, given: Fields) -> Expect:
        return cls(*request_and_level(given, given.whole_text()))

    def judge_policy(self, policy: Policy) -> Check:
        decision = evaluate(policy, self.request.attributes)
        text = f"decided at {decision.level.value}, by {_rule(decision)}"
        return (
            self.passed(text) if decision.level is self.level else self.failed(f"{text}; that is not the wanted level")
        )


@dataclass(frozen=True, slots=True)
class Stages(PolicyRequirement):
    """The stages at which a request is recorded: exactly these, or (``omits``) some, and none of these."""

    kinds = ("stages", "omits")
    fields = ("request", "are")
    request: RequestSpec
    stages: frozenset[Stage]
    exactly: bool

    @classmethod
    def parse(cls, given: Fields) -> Stages:
        if given.kind == "stages":
            named = frozenset(stage_of(given, text) for text in given.texts("are"))
            return cls(request_of(given, given.text("request")), named, exactly=True)
        words, keyword, stage = (part.strip() for part in given.whole_text().rpartition(" omits "))
        if not keyword:
            raise given.error(f"{given.whole_text()!r} has no ' omits '", "write 'REQUEST omits STAGE'")
        return cls(request_of(given, words), frozenset([stage_of(given, stage)]), exactly=False)

    @property
    def name(self) -> str:
        return f"{'stages' if self.exactly else 'omits'} {self.request.words}"

    def judge_policy(self, policy: Policy) -> Check:
        decision = evaluate(policy, self.request.attributes)
        written = frozenset(stages(decision, self.request.attributes))
        text = f"written at {', '.join(sorted(stage.value for stage in written)) or 'no stage'}, by {_rule(decision)}"
        met = written == self.stages if self.exactly else bool(written) and not written & self.stages
        return self.passed(text) if met else self.failed(f"{text}; these are not the wanted stages")


@dataclass(frozen=True, slots=True)
class SamePolicy(PolicyRequirement):
    """A policy that decides every request as one of ``policies`` does; stages count unless ``levels_only``."""

    kinds = ("policy-same-as", "levels-same-as")
    policies: tuple[Policy, ...]
    levels_only: bool

    @classmethod
    def parse(cls, given: Fields) -> SamePolicy:
        loaded = [load(text.encode()) for text in given.one_or_more_texts()]
        if wrong := next((one.error for one in loaded if one.policy is None), ""):
            raise given.error(f"the API server would refuse that policy: {wrong}", "auditctl policy validate")
        return cls(tuple(one.policy for one in loaded if one.policy is not None), given.kind == "levels-same-as")

    @property
    def name(self) -> str:
        return "policy"

    def judge_policy(self, policy: Policy) -> Check:
        compared = _level if self.levels_only else outcome
        differences = [first_difference(policy, other, compared) for other in self.policies]
        nearest = differences[0]
        if nearest is None or None in differences:
            return self.passed("every request is decided as wanted")
        text = f"{request_words(nearest.attributes)}: {nearest.before.level.value}, by {_rule(nearest.before)}"
        return self.failed(f"at least one request is not decided as wanted: {text}")


def _rule(decision: Decision) -> str:
    return f"rules[{decision.rule}]" if decision.rule >= 0 else "no rule"


def _level(decision: Decision) -> Level:
    return decision.level
