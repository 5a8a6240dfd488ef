"""The index of rules: it decides as ``evaluate`` does, and looks at few rules of a long policy."""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path

from auditctl.policy.evaluate import evaluate
from auditctl.policy.first_match import RuleIndex
from auditctl.policy.load import load
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import Attributes, GroupResources, Level, Policy, PolicyRule, User

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "policy" / "decisions.jsonl.gz"
WORDS = ("", "a", "b", "*")


def test_the_index_decides_the_recorded_requests_as_evaluate_does() -> None:
    for line in gzip.decompress(GOLDEN.read_bytes()).splitlines():
        case = json.loads(line)
        policy = load(json.dumps(case["policy"]).encode()).policy
        assert policy is not None
        index = RuleIndex(policy)
        for request in case["requests"]:
            try:
                user = User(request["user"], tuple(request["groups"] or ()))
                each = attributes(request["method"], request["url"], user)
            except RequestError:
                continue
            assert index.decide(each) == evaluate(policy, each), each


def some(chance: random.Random, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(chance.choices(words, k=chance.choice((0, 0, 1, 2))))


def random_rule(chance: random.Random) -> PolicyRule:
    entry = GroupResources(
        chance.choice(("", "a", "*")), some(chance, ("a", "b", "*", "a/*", "*/b", "a/b", "")), some(chance, WORDS)
    )
    return PolicyRule(
        level=chance.choice(list(Level)),
        users=some(chance, WORDS),
        user_groups=some(chance, WORDS),
        verbs=some(chance, ("get", "list")),
        resources=chance.choice(((), (), (entry,), (entry, GroupResources("b")))),
        namespaces=some(chance, WORDS),
        non_resource_urls=some(chance, ("/a", "/a*", "*", "/a/**", "/b/*")),
    )


def random_request(chance: random.Random) -> Attributes:
    user = chance.choice((None, User("a", ()), User("b", ("a", "b", "a"))))
    if chance.random() < 0.4:
        return Attributes(
            user=user, is_resource_request=False, verb="get", path=chance.choice(("/a", "/ab", "/a/b", "/b/c", ""))
        )
    return Attributes(
        user=user,
        is_resource_request=True,
        verb=chance.choice(("get", "list")),
        api_group=chance.choice(("", "a", "*")),
        namespace=chance.choice(WORDS),
        resource=chance.choice(("a", "b")),
        subresource=chance.choice(("", "b")),
        name=chance.choice(WORDS),
    )


def test_the_index_decides_any_request_by_any_rules_as_evaluate_does() -> None:
    chance = random.Random(20)
    for _ in range(400):
        policy = Policy(tuple(random_rule(chance) for _ in range(chance.randrange(12))))
        index = RuleIndex(policy)
        for _ in range(20):
            each = random_request(chance)
            assert index.decide(each) == evaluate(policy, each), (policy, each)


def test_a_request_asks_few_of_many_rules() -> None:
    """5,000 rules for one user each, and one for everybody: only the last one is asked."""
    rules = [PolicyRule(level=Level.METADATA, users=(f"user-{number}",), verbs=("get",)) for number in range(5000)]
    index = RuleIndex(Policy((*rules, PolicyRule(level=Level.REQUEST))))
    request = Attributes(user=User("nobody"), is_resource_request=True, verb="get", resource="pods")
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        decision = index.decide(request)
    finally:
        sys.setprofile(None)

    assert decision.rule == 5000
    assert calls.count("matches") == 2  # by the index, and by evaluate for the decision itself
