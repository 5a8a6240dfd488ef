"""Choose the request whose event will be the receipt: by evaluating the policy, so that it must be recorded.

Which requests may be sent at all, and with which credentials, is the matter of `probe_candidates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from auditctl.node.apiserver.probe_candidates import FIXED_URLS, CandidateRequest, candidates
from auditctl.policy.evaluate import stages
from auditctl.policy.first_match import RuleIndex
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import Decision, Level, Policy, Stage, User

_KERNEL_UUID = Path("/proc/sys/kernel/random/uuid")  # random(4); the uuid module takes 3 ms to import


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request to send, and what the policy says of it.

    ``with_credentials`` False is anonymous; ``distinguishes`` is None where the policy of before is not known.
    """

    method: str
    url: str
    with_credentials: bool
    decision: Decision
    stages: tuple[Stage, ...]
    distinguishes: bool | None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def is_fixed(self) -> bool:
        """Return whether it is one of the reads that do not depend on the policy."""
        return self.method == "GET" and self.url in FIXED_URLS


class Callers(NamedTuple):
    """Whom the server will see: ``anonymous`` None where it turns anonymous requests away (401), ``named`` None where
    we have no credentials or cannot know their user."""

    anonymous: User | None
    named: User | None


def new_nonce() -> str:
    """Return a new Audit-ID; the server keeps the one that a client sends (endpoints/filters/audit_init.go)."""
    return f"auditctl-{_KERNEL_UUID.read_text().strip()}"


def choose(policy: Policy, before: Policy | None, callers: Callers, nonce: str) -> Probe | None:
    """Return the first request that ``policy`` records and ``before`` decides otherwise, else the first recorded.

    None: nothing that we may send would be recorded.
    """
    first = None
    indexes = RuleIndex(policy), None if before is None else RuleIndex(before)
    for request in candidates((policy, before), nonce, has_credentials=callers.named is not None):
        probe = _predict(indexes, callers, request)
        if probe is None:
            continue
        if probe.distinguishes or before is None:
            return probe
        first = first or probe
    return first


def predict(policy: Policy, user: User | None, method: str, url: str) -> tuple[Decision, tuple[Stage, ...]]:
    """Return the decision for a request of ``user`` (None: not authenticated, 401) and the stages written."""
    return _outcome(RuleIndex(policy), user, method, url)


def _outcome(index: RuleIndex, user: User | None, method: str, url: str) -> tuple[Decision, tuple[Stage, ...]]:
    request = attributes(method, url, user)
    decision = index.decide(request)
    return decision, stages(decision, request, authenticated=user is not None)


def _predict(indexes: tuple[RuleIndex, RuleIndex | None], callers: Callers, request: CandidateRequest) -> Probe | None:
    user = callers.named if request.with_credentials else callers.anonymous
    current, before = indexes
    try:
        decision, written = _outcome(current, user, request.method, request.url)
        if decision.level is Level.NONE or not written:
            return None
        distinguishes = None
        if before is not None:
            earlier = _outcome(before, user, request.method, request.url)
            distinguishes = _visible(earlier) != _visible((decision, written))
    except RequestError:
        return None
    return Probe(
        method=request.method,
        url=request.url,
        with_credentials=request.with_credentials,
        decision=decision,
        stages=written,
        distinguishes=distinguishes,
    )


def _visible(outcome: tuple[Decision, tuple[Stage, ...]]) -> tuple[Level, tuple[Stage, ...]]:
    """Return what a log shows of a decision: the level and the stages (a rule's number does not stand in an event)."""
    decision, written = outcome
    return (decision.level, written) if decision.level is not Level.NONE else (Level.NONE, ())
