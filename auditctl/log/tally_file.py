"""A tally as a file: gzip of JSON lines, a header first and a count of the lines last (``templates/schemas/tally.schema.json``)."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any

from auditctl.compatibility import UTC, datetime_of
from auditctl.errors import RefusedError
from auditctl.log.sizes import EventVolume
from auditctl.log.tally import SUMS, CellSums, Tally, TallyKey, TallyNode, TallySeries, TallyUser
from auditctl.log.volume import Rates

API_VERSION, KIND = "auditctl/v1", "Tally"
FORMAT = 1
_MARK = b'{"apiVersion":"auditctl/v1","kind":"Tally"'
_MOST_BYTES = 1 << 30
"""A tally is a few kilobytes; a file that unpacks to more than this is not one of ours."""
_MOST_NUMBER = 1 << 62
_TEXTS = ("verb", "stage", "level", "group", "resource", "subresource", "namespace", "name", "path")
_NUMBERS = (*("".join(map(str.title, name.split("_"))) for name in EventVolume._fields), "Refused")
NUMBERS = tuple(name[:1].lower() + name[1:] for name in _NUMBERS)
"""The sums of a cell, as the file names them."""


class TallyError(RefusedError):
    """A tally that cannot be read."""


def is_tally(head: bytes) -> bool:
    """Return whether a file that begins so, unpacked, is a tally."""
    return head.startswith(_MARK)


def tally_bytes(tally: Tally) -> bytes:
    """Return the file. Two tallies that say the same are the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as file:
        for row in _rows(tally):
            file.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
    return packed.getvalue()


def _rows(tally: Tally) -> Iterator[Mapping[str, Any]]:
    tally.series.fit()
    yield _header(tally)
    users = sorted({key.user for key in tally.cells})
    for user in users:
        yield {"user": _bare({"username": user.username, "groups": list(user.groups), "actsAs": user.acts_as})}
    places = {user: place for place, user in enumerate(users)}
    origin = _second(_origin(tally)) or 0
    ordered = sorted(tally.cells.items(), key=lambda item: (places[item[0].user], _key_texts(item[0])))
    for key, cell in ordered:
        yield {"cell": _cell_row(key, cell, places[key.user], origin)}
    for (part, level, kind), (events, size) in sorted(tally.series.parts.items()):
        yield {"time": {"part": part, "level": level, "kind": kind, "events": events, "bytes": size}}
    yield {"end": {"users": len(users), "cells": len(ordered), "times": len(tally.series.parts)}}


def _key_texts(key: TallyKey) -> tuple[object, ...]:
    return (*(getattr(key, name) for name in _TEXTS), key.namespace_of_body)


def _bare(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row without what is empty, 0 or false: that is what a missing key means."""
    return {key: value for key, value in row.items() if value}


def _header(tally: Tally) -> dict[str, Any]:
    rates, account = tally.rates, tally.account
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "format": FORMAT,
        "names": "all" if tally.names is None else sorted(tally.names),
        "nodes": [_bare(node._asdict()) for node in tally.nodes],
        "events": account.events,
        "bytes": account.bytes,
        "damaged": [
            {"kind": kind, "count": count, "bytes": size} for kind, (count, size) in sorted(account.damaged.items())
        ],
        "origin": _origin(tally),
        "partSeconds": tally.series.part_seconds,
        "firstSecond": rates.first,
        "lastSecond": rates.last,
        "busiestSecond": rates.busiest,
    }


def _origin(tally: Tally) -> str:
    """Return the time of the first event; the times of cells count from it."""
    return min((cell.first for cell in tally.cells.values() if _second(cell.first) is not None), default="")


def _cell_row(key: TallyKey, cell: CellSums, user: int, origin: int) -> dict[str, Any]:
    numbers = dict(zip(NUMBERS, cell.sums, strict=True))
    first, last = _second(cell.first), _second(cell.last)
    times = {} if first is None or last is None else {"since": first - origin, "until": last - origin}
    texts = {name: getattr(key, name) for name in _TEXTS}
    return {"user": user, **_bare({**texts, "namespaceOfBody": key.namespace_of_body, **numbers}), **times}


def _second(stamp: str) -> int | None:
    try:
        return int(datetime_of(stamp).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None


def read_tally(name: str, file: IO[bytes]) -> Tally:
    """Return the tally that an open file holds.

    Raises:
        TallyError: it is damaged, cut short, or of a format that this version does not know.
    """
    try:
        return _TallyReader(name, file).tally()
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged(name, f"the compressed file is cut short or damaged ({type(error).__name__})") from error


def _damaged(name: str, reason: str) -> TallyError:
    return TallyError(
        f"{name}: the tally cannot be read: {reason}", check="tally-damaged", fix="tally the log anew (log tally)"
    )


class _TallyReader:
    """Reads the lines one by one, and believes none of them: a tally comes from another machine."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._name = name
        self._file = file
        self._number = 0
        self._read_bytes = 0
        self._users: list[TallyUser] = []
        self._cells = self._times = 0
        self._origin = 0

    def tally(self) -> Tally:
        tally = self._header(self._line())
        takes: dict[str, Callable[[Tally, dict[str, Any]], None]] = {
            "user": self._user,
            "cell": self._cell,
            "time": self._time,
        }
        while True:
            row = self._line()
            kind = next(iter(row), "")
            part = row[kind] if len(row) == 1 else None
            if not isinstance(part, dict) or kind not in (*takes, "end"):
                raise self._wrong("it is no part of a tally")
            if kind == "end":
                return self._ended(tally, part)
            takes[kind](tally, part)

    def _line(self) -> dict[str, Any]:
        line = self._file.readline(_MOST_BYTES - self._read_bytes)
        self._number += 1
        self._read_bytes += len(line)
        if not line.endswith(b"\n"):
            raise _damaged(self._name, f"it ends early, at line {self._number}")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._wrong("it is not JSON") from error
        if not isinstance(row, dict):
            raise self._wrong("it is no object")
        return row

    def _wrong(self, reason: str) -> TallyError:
        return _damaged(self._name, f"line {self._number}: {reason}")

    def _header(self, row: dict[str, Any]) -> Tally:
        if (row.get("apiVersion"), row.get("kind")) != (API_VERSION, KIND) or row.get("format") != FORMAT:
            raise TallyError(
                f"{self._name}: the tally has format {row.get('format')!r} of {row.get('apiVersion')!r}, and this version "
                f"reads format {FORMAT} of {API_VERSION!r}",
                check="tally-version",
                fix="use one version of auditctl on all nodes",
            )
        names = row.get("names")
        if names != "all" and not (isinstance(names, list) and all(isinstance(each, str) for each in names)):
            raise self._wrong('names is neither a list nor "all"')
        tally = Tally(None if names == "all" else frozenset(names), map(self._node, self._rows(row, "nodes")))
        tally.account.events, tally.account.bytes = self._count(row, "events"), self._count(row, "bytes")
        for each in self._rows(row, "damaged"):
            tally.account.damaged[self._text(each, "kind")] = (self._count(each, "count"), self._count(each, "bytes"))
        self._origin = _second(self._text(row, "origin")) or 0
        tally.series = TallySeries(max(self._count(row, "partSeconds"), 1))
        first = None if row.get("firstSecond") is None else self._count(row, "firstSecond")
        busiest = self._count(row, "busiestSecond")
        tally.rates = Rates.of(tally.series.part_seconds, {}, first, self._count(row, "lastSecond"), busiest)
        return tally

    def _node(self, row: dict[str, Any]) -> TallyNode:
        first, last = self._text(row, "first"), self._text(row, "last")
        return TallyNode(self._text(row, "name"), first, last, self._count(row, "events"), self._count(row, "bytes"))

    def _user(self, _: Tally, row: dict[str, Any]) -> None:
        groups = row.get("groups", [])
        if not isinstance(groups, list) or not all(isinstance(each, str) for each in groups):
            raise self._wrong("groups is not a list of texts")
        self._users.append(TallyUser(self._text(row, "username"), tuple(groups), self._text(row, "actsAs")))

    def _cell(self, tally: Tally, row: dict[str, Any]) -> None:
        user = row.get("user")
        if not isinstance(user, int) or not 0 <= user < len(self._users):
            raise self._wrong("the cell has a user that is not in the list")
        texts = {name: self._text(row, name) for name in _TEXTS}
        key = TallyKey(user=self._users[user], namespace_of_body=row.get("namespaceOfBody") is True, **texts)
        sums = [self._count(row, name) for name in NUMBERS]
        times = [self._stamp(self._count(row, name)) if name in row else "" for name in ("since", "until")]
        tally.cell(key).absorb(CellSums(sums, *times))
        self._cells += 1

    def _time(self, tally: Tally, row: dict[str, Any]) -> None:
        part, events, size = (self._count(row, name) for name in ("part", "events", "bytes"))
        sums = tally.series.parts.setdefault((part, self._text(row, "level"), self._text(row, "kind")), [0, 0])
        total = tally.rates.parts.setdefault(part, [0, 0])
        for each in (sums, total):
            each[0] += events
            each[1] += size
        self._times += 1

    def _ended(self, tally: Tally, row: dict[str, Any]) -> Tally:
        if [row.get(name) for name in ("users", "cells", "times")] != [len(self._users), self._cells, self._times]:
            raise self._wrong("lines are missing before it")
        if sum(cell.sums[0] for cell in tally.cells.values()) != tally.account.events:
            raise self._wrong("the cells do not add up to the events")
        return tally

    def _rows(self, row: dict[str, Any], name: str) -> list[dict[str, Any]]:
        rows = row.get(name)
        if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
            raise self._wrong(f"{name} is not a list of objects")
        return rows

    def _text(self, row: dict[str, Any], name: str) -> str:
        value = row.get(name, "")
        if not isinstance(value, str):
            raise self._wrong(f"{name} is no text")
        return value

    def _count(self, row: dict[str, Any], name: str) -> int:
        value = row.get(name, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST_NUMBER:
            raise self._wrong(f"{name} is no count")
        return value

    def _stamp(self, seconds: int) -> str:
        try:
            return datetime.fromtimestamp(self._origin + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        except (ValueError, OverflowError, OSError) as error:
            raise self._wrong("a time is none") from error


assert len(NUMBERS) == SUMS  # noqa: S101 (both are made of the same records)
