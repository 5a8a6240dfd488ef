"""The tallies of logs answer as the logs do, or say what they lack."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from auditctl import facts
from auditctl.log import sources
from auditctl.log.aggregate import CellCounts, PolicyMatcher
from auditctl.log.events_json import READER as STANDARD
from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.replay import Replay, judge_of, replay
from auditctl.log.suggest import suggestions
from auditctl.log.tally import Tally
from auditctl.log.tally_counting import TallyCounting
from auditctl.log.tally_file import read_tally, tally_bytes
from auditctl.log.tally_views import cell_counts, shortfalls, user_test, volume_counts
from auditctl.log.volume import BY, Rates, VolumeCounts
from auditctl.policy.load import load
from auditctl.policy.types import Policy

LOGS = sorted(map(str, (Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*")))
SHIPPED = [(name, facts.policy_text(name)) for name in facts.policy_names()]
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
ODD = (
    "omitStages: [RequestReceived]\nrules:\n"
    "- {level: Metadata, users: [kubernetes-super-admin], namespaces: [ci, kube-system], omitManagedFields: true}\n"
    "- {level: None, userGroups: ['system:nodes'], verbs: [get, watch]}\n"
    "- {level: Request, resources: [{group: '', resources: ['configmaps', 'pods/*']}], namespaces: [ci]}\n"
    "- {level: None, nonResourceURLs: ['/healthz*', '/version']}\n"
    "- {level: RequestResponse}\n"
)
POLICIES = [*SHIPPED, ("odd", HEAD + ODD)]


def policy(text: str) -> Policy:
    loaded = load(text.encode()).policy
    assert loaded is not None
    return loaded


def scanned(paths: list[str], judge: PolicyMatcher) -> CellCounts:
    reading, opened = reader(), sources.open_sources(paths)
    counts = tallied(sources.pieces(opened), lambda pieces: judge.scan(pieces, reading), 1)
    sources.close(opened)
    return counts


def tally_of(path: str, names: frozenset[str] | None = frozenset(), *, standard: bool = False) -> Tally:
    """The tally of a log, written and read again."""
    opened = sources.open_sources([path])
    tally = TallyCounting(Tally(names), STANDARD if standard else reader()).scan(sources.pieces(opened))
    sources.close(opened)
    return read_tally(path, io.BytesIO(gzip.decompress(tally_bytes(tally))))


@pytest.fixture(scope="module")
def tallies() -> list[Tally]:
    return [tally_of(path, None) for path in LOGS]


def merged(tallies: list[Tally]) -> Tally:
    total = Tally(None)
    for each in tallies:
        total.absorb(each)
    return total


def replayed(judge: PolicyMatcher, counts: CellCounts) -> Replay:
    return replay(judge, counts)


def test_there_are_logs_of_several_policies() -> None:
    assert len(LOGS) >= 3


@pytest.mark.parametrize("text", [text for _, text in POLICIES], ids=[name for name, _ in POLICIES])
def test_logs_and_their_tallies_give_the_same_replay(text: str, tallies: list[Tally]) -> None:
    judge = judge_of((policy(text), policy(facts.policy_text("baseline"))))
    of_logs = replayed(judge, scanned(LOGS, judge))

    assert of_logs.recorded.events > 400
    assert replayed(judge, cell_counts(judge, tallies)) == of_logs
    assert replayed(judge, cell_counts(judge, [merged(tallies)])) == of_logs


@pytest.mark.parametrize("name", ["metadata", "baseline", "forensic"])
def test_logs_and_their_tallies_give_the_same_suggestions(name: str, tallies: list[Tally]) -> None:
    judge = PolicyMatcher((policy(facts.policy_text(name)),), by_user=True)
    of_logs = suggestions(judge, scanned(LOGS, judge), 8)

    assert of_logs
    assert suggestions(judge, cell_counts(judge, tallies), 8) == of_logs


def test_logs_and_their_tallies_have_the_same_top(tallies: list[Tally]) -> None:
    opened = sources.open_sources(LOGS)
    counts = VolumeCounts(reader()).scan(sources.pieces(opened))
    sources.close(opened)
    of_tallies = VolumeCounts()
    for each in tallies:
        of_tallies.absorb(volume_counts(each))

    for name in BY:
        assert of_tallies.top(name, 1000) == counts.top(name, 1000), name
    assert of_tallies.account.events == counts.account.events


def test_logs_and_their_tallies_have_the_same_rates(tallies: list[Tally]) -> None:
    rates, total = Rates(reader()), merged(tallies).rates
    opened = sources.open_sources(LOGS)
    rates.scan(sources.pieces(opened))
    sources.close(opened)

    assert (total.events, total.bytes, total.span_seconds) == (rates.events, rates.bytes, rates.span_seconds)
    busiest = [each.rates.busiest for each in tallies]
    assert total.busiest == max(busiest) == rates.busiest


def test_both_readers_make_the_same_tally() -> None:
    for path in LOGS:
        assert tally_bytes(tally_of(path, None)) == tally_bytes(tally_of(path, None, standard=True))


EVENT = {
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "1", "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/prod/secrets/db", "verb": "get", "user": {"username": "alice", "groups": ["dev"]},
    "objectRef": {"resource": "secrets", "namespace": "prod", "name": "db", "apiVersion": "v1"},
    "stageTimestamp": "2026-11-21T20:29:05.250000Z",
}  # fmt: skip
NAMED = HEAD + (
    "rules:\n- level: None\n  resources: [{group: '', resources: [secrets], resourceNames: [db]}]\n- level: Metadata\n"
)


def log_of(tmp_path: Path, *events: dict[str, Any]) -> str:
    path = tmp_path / "audit.log"
    path.write_text("".join(json.dumps({**EVENT, **each}, separators=(",", ":")) + "\n" for each in events))
    return str(path)


def test_a_rule_that_asks_for_a_name_that_is_not_kept_is_named_with_its_line(tmp_path: Path) -> None:
    path = log_of(tmp_path, {}, {"verb": "list", "requestURI": "/api/v1/secrets", "objectRef": {"resource": "secrets"}})
    chosen = policy(NAMED)

    (short,) = shortfalls(chosen, tally_of(path))
    assert (short.rule, short.line, short.events) == (0, 4, 1)  # a list has no name that the tally could have left out
    assert "db" in short.names
    assert shortfalls(chosen, tally_of(path, None)) == []
    assert shortfalls(chosen, tally_of(path, frozenset(["db"]))) == []


def test_a_kept_name_decides_and_another_is_only_some_name(tmp_path: Path) -> None:
    other = {"requestURI": "/api/v1/namespaces/prod/secrets/web", "objectRef": {**EVENT["objectRef"], "name": "web"}}  # type: ignore[dict-item]
    tally = tally_of(log_of(tmp_path, {}, other), frozenset(["db"]))
    judge = judge_of((policy(NAMED),))

    assert {key.name for key in tally.cells} == {"db", "-"}
    assert replay(judge, cell_counts(judge, [tally])).predicted.events == 1


def test_the_name_and_namespace_that_only_a_body_has_play_no_part(tmp_path: Path) -> None:
    create = {"verb": "create", "requestURI": "/api/v1/secrets"}
    tally = tally_of(log_of(tmp_path, create), None)
    in_prod = policy(HEAD + "rules:\n- {level: None, namespaces: [prod]}\n- level: Metadata\n")

    assert [(key.name, key.namespace_of_body) for key in tally.cells] == [("", True)]
    for chosen in (policy(NAMED), in_prod):
        judge = judge_of((chosen,))
        assert replay(judge, cell_counts(judge, [tally])).predicted.events == 1


def test_paths_beyond_the_limit_concern_only_rules_about_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditctl.log.tally.MOST_PATHS", 2)
    paths = [{"requestURI": f"/scan/{number}", "objectRef": None} for number in range(5)]
    tally = tally_of(log_of(tmp_path, *paths))

    assert shortfalls(policy(HEAD + "rules: [{level: Metadata}]\n"), tally) == []
    (short,) = shortfalls(policy(HEAD + "rules: [{level: None, nonResourceURLs: ['/scan/4']}]\n"), tally)
    assert short.events == 3


def test_users_beyond_the_limit_are_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditctl.log.tally.MOST_USERS", 2)
    users = [{"user": {"username": f"u{number}"}} for number in range(5)]
    tally = tally_of(log_of(tmp_path, *users))

    assert sum(cell.sums[0] for cell in tally.cells.values()) == 5
    assert next((short.rule, short.events) for short in shortfalls(policy(NAMED), tally)) == (-1, 3)


def test_a_filter_of_users_counts_the_impersonated_ones_too(tmp_path: Path) -> None:
    tally = tally_of(log_of(tmp_path, {}, {"impersonatedUser": {"username": "bob"}}, {"user": {"username": "carol"}}))

    assert [share.value for share in volume_counts(tally, user_test(["bob"])).top("user", 9)] == ["alice as bob"]
    assert len(volume_counts(tally, user_test(["!carol"])).top("user", 9)) == 2
