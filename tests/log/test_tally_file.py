"""The file of a tally: what is written is read again, and what is damaged or foreign gets one sentence."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from auditctl import facts
from auditctl.log import sources
from auditctl.log.readers import reader
from auditctl.log.tally import Tally, TallyNode
from auditctl.log.tally_counting import TallyCounting
from auditctl.log.tally_file import TallyError, is_tally, read_tally, tally_bytes

LOGS = sorted(map(str, (Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*")))


@pytest.fixture(scope="module")
def tally() -> Tally:
    opened = sources.open_sources(LOGS)
    found = TallyCounting(Tally(None, [TallyNode("cp1", events=3)]), reader()).scan(sources.pieces(opened))
    sources.close(opened)
    found.account.damaged["torn event"] = (1, 20)
    return found


def reread(raw: bytes) -> Tally:
    return read_tally("x.tally", io.BytesIO(gzip.decompress(raw)))


def lines(tally: Tally) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(tally_bytes(tally)).splitlines()]


def test_what_is_written_is_read_again(tally: Tally) -> None:
    again = reread(tally_bytes(tally))

    assert {key: (cell.sums, cell.first, cell.last) for key, cell in again.cells.items()} == {
        key: (cell.sums, cell.first, cell.last) for key, cell in tally.cells.items()
    }
    assert again.series.parts == tally.series.parts
    assert (again.names, again.nodes, again.account.damaged) == (tally.names, tally.nodes, tally.account.damaged)
    assert tally_bytes(again) == tally_bytes(tally)


def test_the_file_is_recognised_and_small(tally: Tally) -> None:
    raw = tally_bytes(tally)

    assert is_tally(gzip.decompress(raw))
    assert not is_tally(Path(LOGS[-1]).read_bytes())
    assert len(raw) < tally.account.bytes / 20


def test_every_line_is_of_the_published_schema(tally: Tally) -> None:
    schema = json.loads(facts.template("schemas", "tally.schema.json").read_text())
    check = jsonschema.Draft7Validator(schema)

    assert [error.message for row in lines(tally) for error in check.iter_errors(row)] == []
    assert list(check.iter_errors({"cell": {"user": 0, "events": 1, "bytes": 1, "body": "x"}}))


def edited(rows: list[dict[str, Any]], edit: Callable[[list[dict[str, Any]]], None]) -> bytes:
    edit(rows)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def first(rows: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    part: dict[str, Any] = next(row[kind] for row in rows if kind in row)
    return part


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda rows: rows.pop(), "ends early"),
        (lambda rows: rows.pop(3), "no list|not in the list|missing"),
        (lambda rows: rows.insert(2, {"note": {}}), "line 3: it is no part"),
        (lambda rows: rows.insert(2, {"user": 3}), "line 3: it is no part"),
        (lambda rows: first(rows, "cell").update(events=-1), "events is no count"),
        (lambda rows: first(rows, "cell").update(events=True), "events is no count"),
        (lambda rows: first(rows, "cell").update(events=99_999), "do not add up"),
        (lambda rows: first(rows, "cell").update(verb=[]), "verb is no text"),
        (lambda rows: first(rows, "cell").update(user=10_000), "not in the list"),
        (lambda rows: first(rows, "cell").update(since=1 << 61), "a time is none"),
        (lambda rows: first(rows, "user").update(groups=[1]), "groups is not a list"),
        (lambda rows: rows[0].update(names="some"), "names is neither"),
        (lambda rows: rows[0].update(nodes={}), "nodes is not a list"),
    ],
)
def test_a_damaged_tally_gets_one_sentence(
    tally: Tally, edit: Callable[[list[dict[str, Any]]], None], reason: str
) -> None:
    with pytest.raises(TallyError, match=reason) as caught:
        read_tally("x.tally", io.BytesIO(edited(lines(tally), edit)))

    assert str(caught.value).startswith("x.tally: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"format": 2}, {"format": None}, {"apiVersion": "auditctl/v2"}, {"kind": "Other"}])
def test_a_tally_of_another_version_is_refused_by_name(tally: Tally, change: dict[str, Any]) -> None:
    with pytest.raises(TallyError, match="reads format 1"):
        read_tally("x.tally", io.BytesIO(edited(lines(tally), lambda rows: rows[0].update(change))))


def test_no_damage_makes_another_error(tally: Tally) -> None:
    """A bit, a cut, an exchange of bytes: it is read as before, or refused in one sentence."""
    text, chance = bytearray(gzip.decompress(tally_bytes(tally))), random.Random(7)
    for _ in range(300):
        damaged = bytearray(text)
        at = chance.randrange(len(damaged))
        match chance.randrange(3):
            case 0:
                damaged[at] ^= 1 << chance.randrange(8)
            case 1:
                del damaged[at:]
            case _:
                damaged[at : at + 4] = bytes(chance.randrange(256) for _ in range(4))
        try:
            read_tally("x.tally", io.BytesIO(damaged))
        except TallyError as error:
            assert str(error).startswith("x.tally: ")


def test_a_cut_compressed_file_is_refused(tally: Tally) -> None:
    raw = tally_bytes(tally)

    with gzip.open(io.BytesIO(raw[:-200])) as file, pytest.raises(TallyError, match="cut short"):
        read_tally("x.tally", file)  # type: ignore[arg-type]
