"""Counting by what the line says is counting event by event: on recorded logs, damaged ones, and bodies with the same keys."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditctl import facts
from auditctl.log import events_json, events_msgspec, sources
from auditctl.log.aggregate import CellCounts, Counting, PolicyMatcher
from auditctl.log.damage import ReadStatistics
from auditctl.log.events import Reader
from auditctl.log.reading import blocks, count_blocks
from auditctl.log.replay import judge_of
from auditctl.log.segments import LogSegment
from auditctl.log.tally import Tally
from auditctl.log.tally_counting import TallyCounting
from auditctl.log.tally_views import cell_counts
from auditctl.policy.load import load
from auditctl.policy.types import Policy

LOGS = sorted((Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*"))
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
NAMES = (
    "rules:\n- {level: Request, users: [alice], namespaces: [ci, default], omitManagedFields: true}\n"
    "- {level: None, resources: [{group: '', resources: [configmaps, namespaces], resourceNames: [ci, cfg, kube-root-ca.crt]}]}\n"
    "- {level: None, userGroups: ['system:nodes'], verbs: [get, watch]}\n"
    "- {level: None, nonResourceURLs: ['/healthz*', '/version']}\n- {level: RequestResponse}\n"
)
READERS = [events_msgspec.READER, events_json.READER]


def policy(text: str) -> Policy:
    loaded = load(text.encode()).policy
    assert loaded is not None
    return loaded


def lines_of(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines(keepends=True)


def one_by_one(judge: PolicyMatcher, pieces: list[LogSegment], reader: Reader) -> CellCounts:
    """The cells as each event for itself makes them, nothing kept from one to the next."""
    counts = CellCounts()
    for piece in pieces:
        for block in blocks(piece, reader, counts.account):
            for event, line in zip(block.events, block.lines, strict=True):
                key, username = Counting(judge, reader).key_of(event)
                sums = counts.cells.setdefault(key, [0] * 8)
                managed = reader.managed if judge.managed else lambda _: 0
                request, response = bytes(event.request_object), bytes(event.response_object)
                added = [1, len(line) + 1, bool(request), len(request), bool(response), len(response)]
                added += [
                    0 if event.verb == "patch" or not request else managed(request),
                    managed(response) if response else 0,
                ]
                counts.cells[key] = [a + b for a, b in zip(sums, added, strict=True)]
                counts.who.setdefault(key, set()).add(username)
    return counts


def rows(counts: CellCounts) -> object:
    return sorted((key, volume, who) for key, volume, who in counts.volumes()), counts.account.rows()


def compare(path: Path, judges: list[PolicyMatcher], reader: Reader) -> int:
    opened = sources.open_sources([str(path)])
    pieces = sources.pieces(opened)
    for judge in judges:
        slow = one_by_one(judge, pieces, reader)
        assert rows(judge.scan(pieces, reader)) == rows(slow)
        tally = TallyCounting(Tally(None), reader).scan(pieces)
        of_tally = cell_counts(judge, [tally])
        for sums in (*of_tally.cells.values(), *slow.cells.values()):
            sums[6:] = sums[6:] if judge.managed else [0, 0]
        assert rows(of_tally) == rows(slow)
    sources.close(opened)
    return slow.account.events


@pytest.fixture(scope="module")
def judges() -> list[PolicyMatcher]:
    texts = [facts.policy_text("baseline"), HEAD + NAMES]
    return [judge_of((policy(text),)) for text in texts]


@pytest.mark.parametrize("reader", READERS, ids=["msgspec", "json"])
@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.name)
def test_recorded_logs(log: Path, reader: Reader, judges: list[PolicyMatcher]) -> None:
    assert compare(log, judges, reader) > 30


INNER = {"requestObject": {"managedFields": [1]}, "responseObject": 1, "objectRef": {"resource": "x"}, "verb": "delete"}
TEXT = ',"requestObject":{"a":1},"stageTimestamp":"2026-11-21T20:29:05Z"}\n{"kind":"Event"'


URIS = (
    "/api/v1/namespaces/ci/configmaps", "/api/v1/configmaps", "/api/v1/namespaces/ci/configmaps/cfg", "/healthz/x",
    "/api/v1/namespaces/ci/configmaps?x=/cfg", "/apis/a/v1/namespaces/ci/configmaps", "/api/v1/namespaces", "/version",
    "/api/v1/namespaces/c%69/configmaps/cf%67", "/api/v1/namespaces/ci/configmaps/cfg/status", "/api/v1/namespaces/ci", "",
)  # fmt: skip


def odd_events() -> Iterator[dict[str, Any]]:
    """Events whose bodies, names and messages hold what a search for keys would find."""
    event = json.loads(lines_of(next(path for path in LOGS if path.suffix == ".jsonl"))[0])
    bodies: list[Any] = [INNER, {"metadata": INNER}, [INNER], TEXT, {TEXT: TEXT}, {"items": [INNER]}, 1, None, ""]
    for body in bodies:
        for other in (INNER, None):
            yield {**event, "requestObject": body, "responseObject": other, "verb": "create"}
    yield {**event, "requestURI": TEXT, "userAgent": TEXT, "auditID": TEXT, "annotations": {TEXT: TEXT, **INNER}}
    yield {**event, "user": {"username": TEXT, "groups": [TEXT], "extra": {'a"sourceIPs': [TEXT], "verb": ["x"]}}}
    yield {**event, "objectRef": {"resource": "a}b", "name": TEXT, "namespace": "ci"}}
    reference = {"resource": "configmaps", "namespace": "ci", "name": "cfg", "apiVersion": "v1"}
    for uri in URIS:
        for verb in ("create", "update", "patch", "deletecollection", "get"):
            for more in ({}, {"name": "other"}, {"namespace": "elsewhere"}, {"subresource": "status"}):
                yield {**event, "verb": verb, "requestURI": uri, "objectRef": {**reference, **more}}
        yield {**event, "verb": "get", "requestURI": uri, "objectRef": {}}
    yield {**event, "impersonatedUser": {"username": "bob"}, "responseStatus": {"message": TEXT, "code": 403}}


@pytest.mark.parametrize("reader", READERS, ids=["msgspec", "json"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["the server's", "with spaces"])
def test_bodies_and_texts_that_hold_the_same_keys(
    tmp_path: Path, reader: Reader, judges: list[PolicyMatcher], separators: tuple[str, str]
) -> None:
    log = tmp_path / "audit.log"
    events = list(odd_events())
    log.write_text("".join(json.dumps(event, separators=separators) + "\n" for event in events))

    assert compare(log, judges, reader) == len(events)


def damaged(lines: list[bytes], chance: random.Random) -> bytes:
    """A log with what happens to files: torn and joined lines, holes, foreign bytes, a copy in the middle of a line."""
    text = bytearray(b"".join(chance.sample(lines, 12)))
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(text))
        size = chance.choice([1, 2, 30, 700, 3000])
        match chance.randrange(7):
            case 0:
                del text[at : at + size]
            case 1:
                text[at : at + size] = b"\0" * size
            case 2:
                text[at:at] = chance.choice(lines)[: chance.randrange(1, 400)]
            case 3:
                text[at:at] = chance.choice([b"\n", b"}\n{", b'"', b"\\", b"\r\n", b"{}", b" ", b"\xff", b"\n\n"])
            case 4:  # as many lines as before, and not an event each
                end = text.find(b"\n", at)
                text[end:] = text[end + 1 :] + b"\n"
            case 5:
                text[at] = chance.randrange(256)
            case _:
                text[at:at] = text[max(at - size, 0) : at]
    return bytes(text) if chance.randrange(2) else bytes(text).rstrip(b"\n")


def test_random_damage_is_counted_alike(tmp_path: Path, judges: list[PolicyMatcher]) -> None:
    chance, lines = random.Random(21), [line for path in LOGS for line in lines_of(path)]
    log = tmp_path / "audit.log"
    met = 0
    for _ in range(250):
        log.write_bytes(damaged(lines, chance))
        met += compare(log, judges[1:], events_msgspec.READER)
    assert met > 1500


def test_blocks_for_counting_have_the_sizes_of_the_lines(tmp_path: Path) -> None:
    chance, lines = random.Random(22), [line for path in LOGS for line in lines_of(path)]
    log, reader = tmp_path / "audit.log", events_msgspec.READER
    for _ in range(100):
        log.write_bytes(damaged(lines, chance))
        opened = sources.open_sources([str(log)])
        (piece,) = sources.pieces(opened)
        one, other = ReadStatistics(), ReadStatistics()
        sizes = [size for block in count_blocks(piece, reader.lines, reader, one) for size in block.sizes]
        expected = [len(line) + 1 for block in blocks(piece, reader, other) for line in block.lines]
        sources.close(opened)
        assert sizes == expected
        assert one.rows() == other.rows()
