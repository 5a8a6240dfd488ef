"""Cutting by bytes is cutting by JSON, or is left to it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from auditctl import facts
from auditctl.log import events_json, events_msgspec, policy_filter
from auditctl.log.damage import ReadStatistics
from auditctl.log.event_cut import cut_bytes
from auditctl.log.policy_filter import FilterCounts, PolicyFilter
from auditctl.log.reading import event_block
from auditctl.policy.load import load
from auditctl.policy.types import Level, Policy

LOGS = sorted((Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*"))
READER = events_msgspec.READER
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
BARE = HEAD + "omitManagedFields: true\nrules: [{level: %s}]\n"
MANAGED = [{"manager": "kubectl", "fieldsV1": {"f:a": {}}}]
OBJECT = {"kind": "Pod", "metadata": {"name": "a", "managedFields": MANAGED}, "spec": {"template": {"metadata": {}}}}


def text_of(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def policy(text: str) -> Policy:
    loaded = load(text.encode()).policy
    assert loaded is not None
    return loaded


def filtered(chosen: Policy, text: bytes) -> list[bytes]:
    block = event_block(text, 0, "log", READER, ReadStatistics())
    return list(PolicyFilter(chosen, READER).lines(block, FilterCounts()))


def by_json(monkeypatch: pytest.MonkeyPatch, chosen: Policy, text: bytes) -> list[bytes]:
    """The same without the cut by bytes."""
    with monkeypatch.context() as patch:
        patch.setattr(policy_filter, "cut_bytes", lambda *_, **__: None)
        return filtered(chosen, text)


@pytest.mark.parametrize("name", [*facts.policy_names(), "Metadata", "Request", "RequestResponse"])
def test_recorded_logs_are_cut_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = policy(BARE % name if name[0].isupper() else facts.policy_text(name))
    for path in LOGS:
        assert filtered(chosen, text_of(path)) == by_json(monkeypatch, chosen, text_of(path))


def test_most_lines_of_the_server_are_cut_by_their_bytes() -> None:
    lines = [line for path in LOGS for line in text_of(path).splitlines()]
    cut = [cut_bytes(READER.one(line), line, Level.METADATA, READER, strips=False) for line in lines]

    assert sum(each is not None for each in cut) > 0.95 * len(lines)


EVENT = json.loads(text_of(next(path for path in LOGS if path.suffix == ".jsonl")).splitlines()[0])
INNER = {"requestObject": 1, "responseObject": {"a": 1}, "metadata": {"managedFields": MANAGED}}
BODIES: list[Any] = [
    OBJECT, INNER, {"a": INNER}, [OBJECT], {"items": [OBJECT, OBJECT]}, {"rows": [{"object": OBJECT}, {"object": INNER}]},
    {"metadata": {"managedFields": MANAGED}}, {"metadata": {"managedFields": []}}, {"metadata": {"managedFields": None}},
    {"metadata": {"a": 1, "managedFields": MANAGED}, "x": {"metadata": {"managedFields": MANAGED}}}, 1, "x", None,
    {"a": ',"responseObject":{"a":1}', 'a,"managedFields":[]': ""}, {"metadata": {"managedFields": MANAGED, "name": "x"}},
]  # fmt: skip


@pytest.mark.parametrize("level", ["Metadata", "Request", "RequestResponse"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["the server's", "with spaces"])
@pytest.mark.parametrize("request_body", BODIES, ids=range(len(BODIES)))
def test_bodies_that_hold_the_same_keys_are_cut_alike(
    level: str, separators: tuple[str, str], request_body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = policy(BARE % level)
    for response_body in BODIES:
        for verb in ("create", "patch"):
            event = {**EVENT, "level": "RequestResponse", "verb": verb, "annotations": INNER}
            event |= {"requestObject": request_body, "responseObject": response_body}
            text = json.dumps(event, separators=separators).encode() + b"\n"
            for spelled in (text, text.replace(b'"level":"RequestResponse"', b'"level" :"RequestResponse"')):
                assert filtered(chosen, spelled) == by_json(monkeypatch, chosen, spelled)


def as_the_server(**bodies: Any) -> bytes:
    """A line of level RequestResponse, with the bodies where the server writes them."""
    members = [*{**EVENT, "level": "RequestResponse"}.items()]
    at = next(index for index, (key, _) in enumerate(members) if key == "requestReceivedTimestamp")
    members[at:at] = bodies.items()
    return json.dumps(dict(members), separators=(",", ":")).encode()


def test_keys_that_are_there_twice_are_left_to_the_json() -> None:
    line = as_the_server(requestObject=OBJECT)
    twice = line[:-1] + b',"requestObject":{"kind":"Other"}}'

    assert cut_bytes(READER.one(line), line, Level.METADATA, READER, strips=False) is not None
    assert cut_bytes(READER.one(twice), twice, Level.METADATA, READER, strips=False) is None


def test_random_lines_are_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of events put into others, as far as the whole is still an event."""
    chance = random.Random(5)
    lines = [line for path in LOGS for line in text_of(path).splitlines()]
    policies = [policy(BARE % level) for level in ("Metadata", "Request", "RequestResponse")]
    events = 0
    for _ in range(3000):
        line, other = chance.choice(lines), chance.choice(lines)
        at, begin = (chance.choice([i for i, c in enumerate(text) if c in b',{}"']) for text in (line, other))
        mixed = line[:at] + other[begin : begin + chance.randrange(60)] + line[at:]
        try:
            READER.one(mixed)
        except ValueError:
            continue
        events += 1
        for chosen in policies:
            assert filtered(chosen, mixed + b"\n") == by_json(monkeypatch, chosen, mixed + b"\n")
    assert events > 50


def test_the_standard_librarys_reader_leaves_managed_fields_to_the_json() -> None:
    line = as_the_server(responseObject=OBJECT)
    reader = events_json.READER

    assert cut_bytes(reader.one(line), line, Level.REQUEST_RESPONSE, reader, strips=True) is None
    assert cut_bytes(reader.one(line), line, Level.METADATA, reader, strips=False) is not None
