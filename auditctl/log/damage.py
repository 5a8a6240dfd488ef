"""What is not an event: located, named and counted, never fatal. Every intact event beside it is found.

Where damage comes from: a crash tears the last line; a full disk leaves half an event, and the next one
follows in the same line; an external truncation leaves a run of NUL bytes; a shipper wraps each line in its own format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditctl.log.events import Reader
from auditctl.patterns import lazily

_BOM = b"\xef\xbb\xbf"
_START = b'{"kind":"Event'
_NULS = lazily(rb"\x00+")
_NEXT = lazily(rb'\{"kind":"Event|\x00')
_SPACE = lazily(rb"[ \t\r\n]+")
_LINE_PREFIX = lazily(  # of containerd, of syslog, of journalctl: a time, and who wrote the line
    rb"(?:<\d{1,3}>(?:1 )?)?(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) [^{\x00]{0,200}"
)
_PRETTY_PRINTED = lazily(rb'[ \t]*(?:"[^"]*": .*|"[^"]*",?|[\[{\]}]+,?)\Z')
_LEGACY = b' AUDIT: id="'
_READ = json.JSONDecoder().raw_decode
_MOST_PLACES = 50
_FIRST_WINDOW = 4096  # an error of `json` costs as much as the text before it, for it counts the lines there
_LONGEST_LITERAL = 16
_MOST_FAILED_READINGS = 32
"""How many times the length of a line may be read in vain; nested torn events would cost the square of it."""

# formats that hold audit events in another shape: a key of theirs, and their name
_WRAPPINGS = (
    ("protoPayload", "Google Cloud Logging entry"),
    ("logEvents", "CloudWatch Logs export"),
    ("@message", "CloudWatch Logs Insights result"),
    ("operationName", "Azure diagnostic log record"),
    ("_source", "Elasticsearch document"),
    ("streams", "Loki push"),
    ("__topic__", "Alibaba Cloud SLS record"),
    ("specversion", "CloudEvent"),
    ("stream", "container log in json-file format"),
    ("__REALTIME_TIMESTAMP", "journal record of journalctl -o json"),
    ("@timestamp", "Logstash or Beats record"),
)
_LEGACY_KIND = "line of the text format of Kubernetes before 1.8, which has no events"
_PRETTY_KIND = "line of pretty-printed JSON"
_REMEDIES = {
    _PRETTY_KIND: "write one event a line: jq -c . FILE | auditctl log tail -",
    "wrapped: container log in json-file format": "unwrap them: jq -j .log FILE | auditctl log tail -",
    "wrapped: journal record of journalctl -o json": "unwrap them: jq -r .MESSAGE FILE | auditctl log tail -",
    "wrapped: Elasticsearch document": "unwrap them: jq -c ._source FILE | auditctl log tail -",
}


class Damage(NamedTuple):
    """Bytes of a file that are no event. ``offset`` counts from 0; of a compressed file it is that of the text."""

    kind: str
    offset: int
    length: int


class RecoveredEvent(NamedTuple):
    """An event's own bytes, without what stands around them."""

    raw: bytes


class ReadStatistics:
    """What a reading met: events, bytes, and damage by kind, the first places with their offsets."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0
        self.lists = 0
        self.damaged: dict[str, tuple[int, int]] = {}
        self._places: dict[str, list[tuple[str, Damage]]] = {}
        self._last: tuple[str, Damage] | None = None

    @property
    def places(self) -> list[tuple[str, Damage]]:
        """Return the first places of each kind, by file and offset."""
        return sorted(
            (each for kind in self._places.values() for each in kind), key=lambda each: (each[0], each[1].offset)
        )

    def note(self, file: str, damage: Damage) -> None:
        """Count it; what goes on where the last one ended is the same one."""
        count, length = self.damaged.get(damage.kind, (0, 0))
        places = self._places.setdefault(damage.kind, [])
        last, self._last = self._last, (file, damage)
        if last is not None and last[0] == file and last[1].kind == damage.kind and _end(last[1]) == damage.offset:
            self._last = (file, last[1]._replace(length=last[1].length + damage.length))
            if places[-1] == last:
                places[-1] = self._last
        else:
            count += 1
            if len(places) < _MOST_PLACES:
                places.append(self._last)
        self.damaged[damage.kind] = (count, length + damage.length)

    def absorb(self, other: ReadStatistics) -> None:
        self.events += other.events
        self.bytes += other.bytes
        self.lists += other.lists
        for kind, (count, length) in other.damaged.items():
            mine = self.damaged.get(kind, (0, 0))
            self.damaged[kind] = (mine[0] + count, mine[1] + length)
            both = (*self._places.get(kind, ()), *other._places.get(kind, ()))  # a tally has no places
            self._places[kind] = sorted(both)[:_MOST_PLACES]

    def rows(self) -> dict[str, Any]:
        """Return the account for ``-o json``."""
        return {
            "events": self.events,
            "bytes": self.bytes,
            "damaged": [
                {"kind": kind, "count": count, "bytes": length}
                for kind, (count, length) in sorted(self.damaged.items())
            ],
            "places": [
                {"file": file, "kind": each.kind, "offset": each.offset, "length": each.length}
                for file, each in self.places
            ],
        }

    @property
    def is_no_log(self) -> bool:
        """Tell whether bytes were read and not one of them belongs to an audit event: another file was named."""
        return bool(self.damaged) and not self.events

    def sentences(self) -> Iterator[str]:
        """Yield one sentence for each kind of damage, with its first places."""
        if self.is_no_log:
            yield f"This is no audit log: {self.bytes} bytes were read, and no audit event is among them."
        for kind, (count, length) in sorted(self.damaged.items()):
            where = [f"{file} byte {each.offset}" for file, each in self.places if each.kind == kind][:3]
            more = ", ..." if count > len(where) else ""
            places = f": {', '.join(where)}{more}" if where else ", in what was tallied"
            remedy = f"; {_REMEDIES[kind]}" if kind in _REMEDIES else ""
            yield f"skipped {count} x {kind} ({length} bytes){places}{remedy}"


def _end(damage: Damage) -> int:
    return damage.offset + damage.length


def recover(line: bytes, offset: int, reader: Reader) -> Iterator[RecoveredEvent | Damage]:
    """Yield the intact events in a line that is not just one event, and the damage around them, in their order."""
    at = 0
    end = len(line)
    values = _ValueReader(line)
    is_array = line.startswith(b"[{")
    while at < end:
        if line.startswith(_BOM, at):
            at += len(_BOM)
        elif is_array and line[at : at + 1] in b"[,]":
            at += 1
        elif space := _SPACE.match(line, at):
            at = space.end()
        elif nuls := _NULS.match(line, at):
            yield Damage("run of NUL bytes", offset + at, nuls.end() - at)
            at = nuls.end()
        elif (prefix := _LINE_PREFIX.match(line, at)) and line.startswith(_START, prefix.end()):
            at = prefix.end()
        else:
            length = values.length_at(at) if line[at : at + 1] == b"{" else 0
            if length:
                yield from _judge(line[at : at + length], offset + at, reader)
            else:
                length = _next_start(line, at) - at
                yield Damage(_name_of_text(line, at), offset + at, length)
            at += length


class _ValueReader:
    """Finds where JSON values of one line end. The line is decoded once, and not for each value in it.

    Each byte becomes one character, so that places in the text are places in the line; what stands inside of strings
    does not matter here.
    """

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._text = ""
        self._budget = _MOST_FAILED_READINGS * len(line)

    def length_at(self, at: int) -> int:
        """Return the bytes of the JSON value that begins at ``at``; 0 if none does."""
        if self._budget <= 0:
            return 0
        self._text = self._text or self._line.decode("latin-1")
        size = _FIRST_WINDOW
        while True:
            window = self._text[at : at + size]
            try:
                return _READ(window)[1]
            except json.JSONDecodeError as error:
                self._budget -= error.pos + 1
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(window) - _LONGEST_LITERAL
                if not is_cut or at + size >= len(self._text):
                    return 0
            except (ValueError, RecursionError):
                self._budget -= len(window)
                return 0
            size *= 16


def _next_start(line: bytes, at: int) -> int:
    """Return where the next event or run of NUL bytes may begin."""
    following = _NEXT.search(line, at + 1)
    return following.start() if following else len(line)


def _name_of_text(line: bytes, at: int) -> str:
    """Return the name of what begins at ``at`` and is no JSON value."""
    if at == 0 and _LEGACY in line[:200]:
        return _LEGACY_KIND
    if _PRETTY_PRINTED.match(line) and not line.startswith(_START):
        return _PRETTY_KIND
    return "torn event" if line.startswith(b"{", at) else "not JSON"


def _judge(value: bytes, offset: int, reader: Reader) -> Iterator[RecoveredEvent | Damage]:
    """Yield a whole JSON value: an event, a list of them, or something else."""
    try:
        reader.one(value)
    except ValueError:
        pass
    else:
        yield RecoveredEvent(value)
        return
    try:
        items = reader.items(value)
    except (ValueError, KeyError):
        yield Damage(_name(value), offset, len(value))
        return
    place = 0
    for item in items:
        place = max(value.find(item, place), 0)
        yield from _judge(item, offset + place, reader)
        place += len(item)


def _name(value: bytes) -> str:
    try:
        value_read = json.loads(value)
    except ValueError:
        return "not JSON"
    if isinstance(value_read, dict):
        for key, name in _WRAPPINGS:
            if key in value_read:
                return f"wrapped: {name}"
        kind = value_read.get("kind")
        if isinstance(kind, str) and re.fullmatch(r"[A-Za-z]{1,40}", kind):
            return f"JSON of kind {kind}, incomplete as an audit event" if kind == "Event" else f"JSON of kind {kind}"
    return "JSON, but no audit event"
