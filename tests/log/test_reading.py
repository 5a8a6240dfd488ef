"""Every intact event is found, whatever happened to the file; the rest is counted, with its place."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from goldenlogs import recorded_logs

from auditctl.log import events_json, events_msgspec, line_assembly, sources
from auditctl.log.damage import ReadStatistics
from auditctl.log.events import Reader
from auditctl.log.reading import blocks, whole_blocks
from auditctl.log.segments import LogSegment

READERS = pytest.mark.parametrize("reader", [events_msgspec.READER, events_json.READER], ids=["msgspec", "json"])


def event(number: int, **more: object) -> bytes:
    """One event as the server writes it."""
    row = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": f"id-{number}",
        "stage": "ResponseComplete", "requestURI": f"/api/v1/namespaces/default/pods/p{number}", "verb": "get",
        "user": {"username": "alice", "groups": ["system:authenticated"]},
        "objectRef": {"resource": "pods", "namespace": "default", "name": f"p{number}", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-21T20:29:55.927083Z", "stageTimestamp": f"2026-11-21T20:29:{number % 60:02}.942278Z",
    }  # fmt: skip
    return json.dumps({**row, **more}, separators=(",", ":")).encode()


def read(path: Path, reader: Reader, pieces: list[LogSegment] | None = None) -> tuple[list[bytes], ReadStatistics]:
    """The events' bytes, in the order of the file."""
    account = ReadStatistics()
    opened = sources.open_sources([str(path)])
    found: list[bytes] = []
    for piece in pieces or sources.pieces(opened):
        for block in blocks(
            LogSegment(piece.name, opened[0].descriptor, piece.start, piece.end, piece.compressed), reader, account
        ):
            assert [each.request_uri for each in block.events] == [reader.one(line).request_uri for line in block.lines]
            found += block.lines
    sources.close(opened)
    return found, account


DAMAGE = {
    "torn-last-line": (lambda a, b: a + b"\n" + b[:200], 1, [("torn event", 1)]),
    "half-an-event-before-one": (lambda a, b: a[:200] + b + b"\n", 1, [("torn event", 0)]),
    "two-in-a-line": (lambda a, b: a + b + b"\n", 2, []),
    "cut-before-a-body": (lambda a, b: a[:-1] + b',"requestObject":' + b + b"\n", 1, [("torn event", 0)]),
    "nul-run": (lambda a, b: a + b"\n" + b"\0" * 5000 + b + b"\n", 2, [("run of NUL bytes", 1)]),
    "nul-run-first": (lambda a, b: b"\0" * 700_000 + a + b"\n" + b + b"\n", 2, [("run of NUL bytes", 0)]),
    "crlf": (lambda a, b: a + b"\r\n" + b + b"\r\n", 2, []),
    "bom": (lambda a, b: b"\xef\xbb\xbf" + a + b"\n" + b + b"\n", 2, []),
    "blank-lines": (lambda a, b: a + b"\n\n\n" + b, 2, []),
    "container-log": (lambda a, b: b"2026-11-21T20:29:55.9Z stdout F " + a + b"\n" + b + b"\n", 2, []),
    "event-list": (
        lambda a, b: b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + a + b"," + b + b"]}\n",
        2,
        [],
    ),
    "cloud": (
        lambda a, b: b'{"protoPayload":{"a":1}}\n' + a + b"\n",
        1,
        [("wrapped: Google Cloud Logging entry", 0)],
    ),
    "other-text": (lambda a, b: b"hello\n" + a + b"\n", 1, [("not JSON", 0)]),
    "other-json": (lambda a, b: a + b'\n{"kind":"Pod"}\n', 1, [("JSON of kind Pod", 1)]),
}  # fmt: skip


@READERS
@pytest.mark.parametrize("kind", DAMAGE)
def test_each_kind_of_damage_costs_only_itself(kind: str, reader: Reader, tmp_path: Path) -> None:
    make, intact, damaged = DAMAGE[kind]
    one, two = event(1), event(2)
    text = make(one, two)
    path = tmp_path / "audit.log"
    path.write_bytes(text)

    found, account = read(path, reader)

    assert found == [each for each in (one, two) if each in text][-intact:] or intact == 1
    assert len(found) == account.events == intact
    assert sorted(account.damaged) == sorted(name for name, _ in damaged)
    after_first = len(one) + 1
    for (_, place), (name, where) in zip(account.places, damaged, strict=False):
        assert (place.kind, place.offset) == (name, where * after_first)


@READERS
def test_random_damage_hides_no_intact_event(reader: Reader, tmp_path: Path) -> None:
    """Bytes overwritten, cut out and put in at random places: lines that none of it touched are found, each once."""
    dice = random.Random(7)
    for _ in range(30):
        lines = [event(number, auditID=f"id-{number}-{'x' * dice.randrange(50)}") for number in range(60)]
        text, intact = bytearray(), []
        for line in lines:
            kind = dice.choice(["keep", "keep", "keep", "flip", "cut", "insert", "newline"])
            broken = bytearray(line + b"\n")
            at = dice.randrange(len(line))
            if kind == "flip":
                broken[at] = 0x01
            elif kind == "cut":
                del broken[at : at + dice.randrange(1, 30)]
            elif kind == "insert":
                broken[at:at] = dice.choice([b"\0\0\0", b"\x02\xff", b"\n{"])
            elif kind == "newline":
                broken[-1:] = dice.choice([b"", b"\0", b" "])
            if kind in ("keep", "newline"):
                intact.append(line)
            text += broken
        path = tmp_path / "audit.log"
        path.write_bytes(text)
        found, account = read(path, reader)
        assert [line for line in found if line in intact] == intact
        assert account.events == len(found)
        assert all(text[place.offset : place.offset + place.length].strip() for _, place in account.places)


@READERS
def test_damage_anywhere_is_counted_with_its_offset_and_all_the_rest_is_found(reader: Reader, tmp_path: Path) -> None:
    """Events as they were recorded, and between them what crashes, full disks and truncations leave."""
    dice = random.Random(11)
    for _ in range(40):
        text, intact, damaged = bytearray(), [], []
        for number in range(dice.randrange(1, 40)):
            line = event(number, requestObject={"a": '}{\n"' * dice.randrange(9), "é": ["\u2028", None, 1.5]})
            at, kind = len(text), dice.choice(["none", "none", "torn", "nul", "words", "pod", "half-in-front"])
            if kind == "torn":
                piece = line[: dice.randrange(60, len(line) - 1)] + b"\n"
                damaged.append(("torn event", at, len(piece) - 1))
            elif kind == "nul":
                piece = b"\0" * dice.randrange(1, 3 * line_assembly.CHUNK_BYTES)
                damaged.append(("run of NUL bytes", at, len(piece)))
            elif kind == "words":
                piece = b"E1121 20:29:55 audit.go] no space left\n"
                damaged.append(("not JSON", at, len(piece) - 1))
            elif kind == "pod":
                piece = b'{"kind":"Pod","metadata":{}}\n'
                damaged.append(("JSON of kind Pod", at, len(piece) - 1))
            elif kind == "half-in-front":
                piece = line[: dice.randrange(60, len(line) - 1)]
                damaged.append(("torn event", at, len(piece)))
            else:
                piece = b""
            text += piece + line + b"\n"
            intact.append(line)
        path = tmp_path / "audit.log"
        path.write_bytes(text)

        found, account = read(path, reader)

        assert found == intact
        assert [tuple(place) for _, place in account.places] == damaged
        kinds = {kind for kind, _, _ in damaged}
        assert account.damaged == {
            kind: (sum(one == kind for one, _, _ in damaged), sum(size for one, _, size in damaged if one == kind))
            for kind in kinds
        }


@READERS
def test_an_event_behind_a_hole_that_is_longer_than_a_piece_is_found(reader: Reader, tmp_path: Path) -> None:
    """`> audit.log` under a running server: it writes on at its old offset."""
    path, lines = tmp_path / "audit.log", [event(number) for number in range(3)]
    with path.open("wb") as file:
        file.seek(40 << 20)
        file.write(b"\n".join(lines) + b"\n")
    found, account = read(path, reader)
    assert found == lines
    assert [tuple(place) for _, place in account.places] == [("run of NUL bytes", 0, 40 << 20)]


BODIES = {
    "half-a-surrogate-pair": rb'{"a":"\ud800"}',
    "no-utf-8": b'{"a":"\xff\xfe"}',
    "deep": b"[" * 50_000 + b"]" * 50_000,
}


@READERS
@pytest.mark.parametrize("kind", BODIES)
def test_no_body_hides_its_event(kind: str, reader: Reader, tmp_path: Path) -> None:
    """A patch is recorded as the client sent it, whatever that was."""
    line = event(1)[:-1] + b',"requestObject":' + BODIES[kind] + b"}"
    path = tmp_path / "audit.log"
    path.write_bytes(event(0) + b"\n" + line + b"\n")
    found, account = read(path, reader)
    assert (found, account.damaged) == ([event(0), line], {})
    assert reader.whole(line).audit_id == "id-1"


@READERS
@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_only_python_calls_json_is_no_event(number: bytes, reader: Reader) -> None:
    for decode in (reader.one, reader.whole):
        with pytest.raises(ValueError):
            decode(event(1)[:-1] + b',"requestObject":{"a":' + number + b"}}")


@READERS
def test_pieces_share_every_event_once_wherever_they_are_cut(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    lines = [event(number) for number in range(20)]
    path.write_bytes(b"\0" * 300 + b"\n".join(lines[:9]) + b"\n" + b"\0" * 500 + b"\n".join(lines[9:]) + b"\n")
    size = path.stat().st_size
    for step in (1, 97, len(lines[0]), len(lines[0]) + 1, size):
        cut = [LogSegment(str(path), 0, start, min(start + step, size)) for start in range(0, size, step)]
        assert read(path, reader, cut)[0] == lines


def test_a_line_longer_than_a_chunk_is_one_event(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    lines = [event(1), event(2, requestObject={"a": "x" * (3 * line_assembly.CHUNK_BYTES)}), event(3)]
    path.write_bytes(b"\n".join(lines))
    assert read(path, events_msgspec.READER)[0] == lines


def test_rotated_files_come_in_the_order_of_time_and_compressed_ones_too(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(event(30) + b"\n")
    (tmp_path / "audit-2026-11-21T20-45-37.643.log.gz").write_bytes(gzip.compress(event(10) + b"\n"))
    (tmp_path / "audit-2026-11-21T20-46-37.643.log").write_bytes(event(20) + b"\n")
    (tmp_path / "audit-2026-11-21T20-46-37.643.log.gz").write_bytes(b"being written")
    opened = sources.open_sources([str(tmp_path)])
    found = [
        block.events[0].audit_id
        for piece in sources.pieces(opened)
        for block in whole_blocks(piece, events_msgspec.READER, ReadStatistics())
    ]
    sources.close(opened)
    assert found == ["id-10", "id-20", "id-30"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a link away")
def test_a_link_that_another_user_put_beside_the_logs_is_not_followed(tmp_path: Path) -> None:
    """Nor is a pipe read; our own link is: its maker chose what is read."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("secret", "kept"):
        (tmp_path / name).write_bytes(event(1) + b"\n")
    os.mkfifo(logs / "pipe.log")
    (logs / "ours.log").symlink_to(tmp_path / "kept")
    (logs / "theirs.log").symlink_to(tmp_path / "secret")
    os.chown(logs / "theirs.log", 65534, 65534, follow_symlinks=False)

    opened = sources.open_sources([str(logs)])

    assert [Path(source.name).name for source in opened] == ["ours.log"]
    sources.close(opened)


def test_a_compressed_file_that_is_cut_short_tells_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "audit-1.log.gz"
    lines = b"".join(event(number, auditID=os.urandom(40).hex()) + b"\n" for number in range(3000))
    path.write_bytes(gzip.compress(lines)[:-5000])
    found, account = read(path, events_msgspec.READER)
    assert 0 < len(found) < 3000
    assert any("compressed file" in kind for kind in account.damaged)


def test_a_needle_finds_what_decoding_finds_and_nothing_in_bodies(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    hidden = event(2, requestObject={"spec": {"verb": "delete"}})
    lines = [event(1, verb="delete"), hidden, event(3), event(4, verb="delete")[:-1] + b',"annotations":{}}', event(5)]
    assert b'"verb":"delete"' in hidden
    path.write_bytes(b"\n".join(lines) + b"\n")
    opened = sources.open_sources([str(path)])
    piece = sources.pieces(opened)[0]
    for needle in (b"", b'"verb":"delete"'):
        found = [
            each.audit_id
            for block in whole_blocks(piece, events_msgspec.READER, ReadStatistics(), needle)
            for each in block.events
            if each.verb == "delete"
        ]
        assert found == ["id-1", "id-4"]
    sources.close(opened)


def test_both_readers_read_the_recorded_logs_alike() -> None:
    for path in recorded_logs():
        for line in path.read_bytes().splitlines():
            one, other = events_msgspec.READER.one(line), events_json.READER.one(line)
            for field in ("level", "stage", "verb", "request_uri", "stage_timestamp"):
                assert getattr(one, field) == getattr(other, field)
            for field in ("user", "request_object", "response_object"):
                assert bytes(getattr(one, field)) == getattr(other, field)
                assert events_msgspec.READER.managed(bytes(one.response_object or b"{}")) == events_json.READER.managed(
                    bytes(other.response_object or b"{}")
                )
            wide, same = events_msgspec.READER.whole(line), events_json.READER.whole(line)
            assert (wide.audit_id, wide.user.username, wide.source_ips) == (
                same.audit_id,
                same.user.username,
                same.source_ips,
            )
            assert (wide.response_status is None) == (same.response_status is None)


SPOILERS = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-", b"1e5", b"NaN", b"Infinity", b"\xff", b"\xed\xa0\x80",
    b"\\ud800", b"\\u00e9", b"\\", b"\0", b"\x01", b"\t", b" ", b"\r", b"200.0", b"2.5", b"1e999", b'"200"', b"01", b"{}", b"[]",
    b"[1]", b'["a"]', b'"verb":"x",', b'"user":null,', b"9" * 30,
)  # fmt: skip


def read_by(decode: Any, line: bytes) -> object:
    """All that a reader makes of a line, in plain values; None where it refuses."""
    try:
        return plain(decode(line))
    except ValueError:
        return None


def plain(value: Any) -> object:
    if value is None or isinstance(value, str | int | bytes):
        return value
    fields = getattr(value, "_fields", None) or getattr(value, "__struct_fields__", None)
    if fields:
        return {name: plain(getattr(value, name)) for name in fields}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else bytes(value)


def test_both_readers_judge_damaged_lines_alike() -> None:
    dice = random.Random(3)
    lines = [line for path in recorded_logs() for line in path.read_bytes().splitlines() if len(line) < 3000]
    for _ in range(3000):
        line = bytearray(dice.choice(lines))
        at = dice.choice([found.start() for found in re.finditer(rb"(?<=:)", line)] + [dice.randrange(len(line))])
        line[at : at + dice.choice((0, 0, 1, 5))] = dice.choice(SPOILERS)
        text = bytes(line)
        for name in ("one", "whole", "items"):
            one, other = (getattr(reader, name) for reader in (events_msgspec.READER, events_json.READER))
            assert read_by(one, text) == read_by(other, text), text


def test_without_msgspec_the_standard_library_reads() -> None:
    code = "import sys; sys.modules['msgspec'] = None; from auditctl.log.readers import reader; print(reader().one.__module__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "auditctl.log.events_json"
