"""The cost of judging a policy grows with its length, not with the square of it: counted in calls and bytes."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable

import pytest

from auditctl.node.apiserver.credentials import ANONYMOUS
from auditctl.node.apiserver.probe import Callers, choose
from auditctl.operations.policy_files import built_in
from auditctl.policy.lint import warnings
from auditctl.policy.load import load

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
RULES = (
    "- {{level: Metadata, users: [u{0}]}}\n",
    "- {{level: Metadata, users: ['u{0}*']}}\n",
    "- {{level: Metadata, namespaces: [n{0}], resources: [{{group: '', resources: [Pod{0}]}}]}}\n",
    "- {{level: Request, nonResourceURLs: ['/u{0}*']}}\n",
    "- {{level: Metadata, omitStages: [ResponseStarted], users: [u{0}]}}\n",
)
FEW, MANY = 100, 800
MOST_GROWTH = 2 * MANY / FEW


def judge(rule: str, count: int) -> Callable[[], object]:
    raw = (HEAD + "".join(rule.format(number) for number in range(count))).encode()
    loaded = load(raw)
    policy = loaded.policy
    assert policy is not None
    before = policy._replace(rules=policy.rules[:-1])

    def run() -> object:
        found = warnings(raw, policy, built_in(), places=loaded.places)
        return found, choose(policy, before, Callers(ANONYMOUS, None), "nonce")

    run()  # tables of the API are read once
    return run


def calls(run: Callable[[], object]) -> int:
    count = 0

    def counting(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counting)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def peak_bytes(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rule", RULES)
def test_eight_times_the_rules_are_no_more_than_sixteen_times_the_calls(rule: str) -> None:
    assert calls(judge(rule, MANY)) <= MOST_GROWTH * calls(judge(rule, FEW))


@pytest.mark.parametrize("rule", RULES)
def test_eight_times_the_rules_are_no_more_than_sixteen_times_the_memory(rule: str) -> None:
    assert peak_bytes(judge(rule, MANY)) <= MOST_GROWTH * peak_bytes(judge(rule, FEW))
