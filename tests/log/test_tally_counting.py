"""What events become in a tally: sums, times, refusals; and nothing that is secret."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from auditctl.log import sources
from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.tally import Tally
from auditctl.log.tally_counting import TallyCounting
from auditctl.log.tally_file import tally_bytes

GOLDEN = Path(__file__).parents[1] / "golden/logs/request-response-1.36.jsonl"
SECRET = "s3cr3t"
EVENT: dict[str, Any] = {
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"id-{SECRET}",
    "stage": "ResponseComplete", "requestURI": f"/api/v1/namespaces/prod/secrets/{SECRET}?token={SECRET}", "verb": "get",
    "user": {"username": "alice", "uid": SECRET, "groups": ["dev"], "extra": {"x": [SECRET]}},
    "sourceIPs": ["10.0.0.7"], "userAgent": f"agent-{SECRET}",
    "objectRef": {"resource": "secrets", "namespace": "prod", "name": SECRET, "uid": SECRET, "apiVersion": "v1"},
    "responseStatus": {"metadata": {}, "status": "Failure", "message": SECRET, "code": 403},
    "requestObject": {"data": {"password": SECRET}}, "responseObject": {"data": {"password": SECRET}},
    "requestReceivedTimestamp": "2026-11-21T20:29:05.000000Z", "stageTimestamp": "2026-11-21T20:29:05.250000Z",
    "annotations": {"x": SECRET},
}  # fmt: skip
PATH = {"requestURI": f"/healthz?token={SECRET}", "objectRef": None}
CREATE = {"verb": "create", "requestURI": f"/api/v1/namespaces/prod/secrets?fieldManager={SECRET}"}
EXEC = {
    "requestURI": f"/api/v1/namespaces/prod/pods/{SECRET}/exec?command={SECRET}",
    "objectRef": {"resource": "pods", "namespace": "prod", "name": SECRET, "subresource": "exec"},
}


def log_of(tmp_path: Path, *events: dict[str, Any]) -> str:
    path = tmp_path / "audit.log"
    path.write_text("".join(json.dumps({**EVENT, **each}, separators=(",", ":")) + "\n" for each in events))
    return str(path)


def tally_of(path: str, names: frozenset[str] | None = frozenset(), processes: int = 1) -> Tally:
    opened, reading = sources.open_sources([path]), reader()
    tally = tallied(sources.pieces(opened), lambda pieces: TallyCounting(Tally(names), reading).scan(pieces), processes)
    sources.close(opened)
    return tally


def test_a_secret_of_bodies_names_and_queries_is_in_no_tally(tmp_path: Path) -> None:
    path = log_of(tmp_path, {}, PATH, CREATE, EXEC)
    text = gzip.decompress(tally_bytes(tally_of(path)))

    assert SECRET.encode() in Path(path).read_bytes()
    assert SECRET.encode() not in text
    assert b"10.0.0.7" not in text
    assert SECRET.encode() in gzip.decompress(tally_bytes(tally_of(path, None)))  # asked for


def test_sums_times_and_refusals(tmp_path: Path) -> None:
    later = {"stageTimestamp": "2026-11-21T20:30:05.250000Z", "responseStatus": {"metadata": {}, "code": 200}}
    path = log_of(tmp_path, {}, later)
    ((key, cell),) = tally_of(path).cells.items()
    body = len(json.dumps(EVENT["requestObject"], separators=(",", ":")))

    assert (key.resource, key.namespace, key.name, key.user.username) == ("secrets", "prod", "-", "alice")
    assert cell.volume.events == cell.volume.requests == cell.volume.responses == 2
    assert cell.volume.bytes == Path(path).stat().st_size
    assert cell.volume.request_bytes == cell.volume.response_bytes == 2 * body
    assert cell.refused == 1
    assert (cell.first, cell.last) == ("2026-11-21T20:29:05", "2026-11-21T20:30:05")


def test_managed_fields_are_counted_but_not_those_of_a_patch(tmp_path: Path) -> None:
    managed = {"metadata": {"managedFields": [{"manager": "kubectl"}]}}
    bodies = {"requestObject": managed, "responseObject": managed}
    update, patch = (
        {**bodies, "verb": verb, "requestURI": "/api/v1/namespaces/prod/secrets/x"} for verb in ("update", "patch")
    )
    cells = tally_of(log_of(tmp_path, update, patch)).cells
    volumes = {key.verb: cell.volume for key, cell in cells.items()}

    assert volumes["update"].request_managed_bytes == volumes["update"].response_managed_bytes > 0
    assert volumes["patch"].request_managed_bytes == 0
    assert volumes["patch"].response_managed_bytes == volumes["update"].response_managed_bytes


@pytest.mark.parametrize("stamp", [None, "", "yesterday", "2026-11-21"])
def test_an_event_without_a_time_counts_all_the_same(tmp_path: Path, stamp: str | None) -> None:
    tally = tally_of(log_of(tmp_path, {"stageTimestamp": stamp}))

    assert sum(cell.sums[0] for cell in tally.cells.values()) == 1


def test_two_processes_make_the_tally_of_one(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(GOLDEN.read_bytes() * 40)

    assert path.stat().st_size > 4 << 20
    assert tally_bytes(tally_of(str(path), None, 2)) == tally_bytes(tally_of(str(path), None, 1))
