"""Events of a log to the cells of a tally."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields

from auditctl.compatibility import UTC, datetime_of
from auditctl.errors import RefusedError
from auditctl.log.aggregate import BODY_FILLED, METHODS, path_of
from auditctl.log.events import CompactEvent, ObjectReference, Reader
from auditctl.log.reading import EventBlock, blocks
from auditctl.log.segments import LogSegment
from auditctl.log.tally import CellSums, Tally, TallyKey, TallyUser, kept_name, kind_of_user
from auditctl.policy.request import attributes

_MOST_KEPT = 20_000
_MOST_SECONDS = 10_000
_REFUSED = re.compile(rb'"code":\s*40[13]\b')
_FIELDS = tuple(field.name for field in fields(TallyKey))
_UNNAMED_BY_URL = frozenset({"create", "deletecollection"})
_NAMESPACED = re.compile(r"/(?:api/[^/%]+|apis/[^/%]+/[^/%]+)/namespaces/[^/%?]")


class TallyCounting:
    """Puts events into the cells of a tally."""

    def __init__(self, tally: Tally, reader: Reader) -> None:
        self.tally = tally
        self._reader = reader
        self._users: dict[tuple[bytes, bytes], tuple[TallyUser, str]] = {}
        self._cells: dict[tuple[object, ...], CellSums] = {}
        self._seconds: dict[tuple[str, str, str], list[int]] = {}

    def scan(self, pieces: Iterable[LogSegment]) -> Tally:
        """Count all events in these pieces; return the tally."""
        for piece in pieces:
            for block in blocks(piece, self._reader, self.tally.account):
                self.take(block)
        self.finish()
        return self.tally

    def take(self, block: EventBlock) -> None:
        """Count a block's events."""
        for event, line in zip(block.events, block.lines, strict=True):
            self.take_event(event, len(line) + 1)

    def take_event(self, event: CompactEvent, size: int) -> None:
        """Count one event of so many bytes."""
        user, kind = self._user(event)
        cell = self._cell(event, user)
        sums = cell.sums
        sums[0] += 1
        sums[1] += size
        if event.request_object:
            sums[2] += 1
            sums[3] += len(event.request_object)
            if event.verb != "patch":  # the server never alters a patch
                sums[6] += self._managed(event.request_object)
        if event.response_object:
            sums[4] += 1
            sums[5] += len(event.response_object)
            sums[7] += self._managed(event.response_object)
        if event.response_status and _REFUSED.search(bytes(event.response_status)):
            sums[8] += 1
        stamp = (event.stage_timestamp or "")[:19]
        cell.span(stamp, stamp)
        self.count_second(stamp, event.level, kind, size)

    def count_second(self, stamp: str, level: str, kind: str, size: int) -> None:
        """Count the time of one event."""
        key = (stamp, level, kind)
        sums = self._seconds.get(key)
        if sums is None:
            if len(self._seconds) >= _MOST_SECONDS:
                self.finish()
            sums = self._seconds[key] = [0, 0]
        sums[0] += 1
        sums[1] += size

    def finish(self) -> None:
        """Hand the times over to the tally."""
        seconds, self._seconds = self._seconds, {}
        by_stamp: dict[str, list[int]] = {}
        for (stamp, level, kind), (events, size) in seconds.items():
            try:
                second = int(datetime_of(stamp).replace(tzinfo=UTC).timestamp())
            except ValueError:  # no time
                continue
            self.tally.series.count(second, level, kind, events, size)
            sums = by_stamp.setdefault(stamp, [0, 0])
            sums[0] += events
            sums[1] += size
        self.tally.rates.count(by_stamp)

    def _cell(self, event: CompactEvent, user: TallyUser) -> CellSums:
        values: tuple[object, ...]
        reference = event.object_ref
        head = (user, event.verb, event.stage, event.level)
        if reference is None or not reference.resource:
            values = (*head, "", "", "", "", False, "", path_of(event))
        else:
            of_body = bool(reference.namespace) and event.verb in BODY_FILLED and not _url_has_namespace(event)
            name = kept_name(_url_name(event, reference), self.tally.names)
            target = (reference.api_group, reference.resource, reference.subresource)
            values = (*head, *target, reference.namespace, of_body, name, "")
        cell = self._cells.get(values)
        if cell is None:
            if len(self._cells) >= _MOST_KEPT:
                self._cells.clear()
            key = TallyKey(**dict(zip(_FIELDS, values, strict=True)))  # type: ignore[arg-type] # in their order
            cell = self._cells[values] = self.tally.cell(key)
        return cell

    def _user(self, event: CompactEvent) -> tuple[TallyUser, str]:
        raw = (bytes(event.user), bytes(event.impersonated_user))
        entry = self._users.get(raw)
        if entry is None:
            if len(self._users) >= _MOST_KEPT:
                self._users.clear()
            identity = self._reader.identity(raw[0])
            acts_as = self._reader.identity(raw[1]).username if raw[1] else ""
            groups = tuple(sorted(set(identity.groups))) if identity.username else ()
            user = TallyUser(identity.username, groups, acts_as)
            entry = self._users[raw] = (user, kind_of_user(user.username))
        return entry

    def _managed(self, body: bytes) -> int:
        raw = bytes(body)
        return self._reader.managed(raw) if b'"managedFields"' in raw else 0


def _url_has_namespace(event: CompactEvent) -> bool:
    """Return whether the URL names a namespace, so that the policy knew it."""
    if _NAMESPACED.match(event.request_uri):
        return True
    try:
        return bool(attributes(METHODS[event.verb], event.request_uri, None).namespace)
    except RefusedError:
        return True  # no URL of a server: the reference is believed


def _url_name(event: CompactEvent, reference: ObjectReference) -> str:
    """Return the object name that the URL has; that of a created object stands in its body alone."""
    if not reference.name or event.verb not in _UNNAMED_BY_URL:
        return reference.name
    if not event.request_uri.partition("?")[0].endswith("/" + reference.name) and not reference.subresource:
        return ""
    try:
        name = attributes(METHODS[event.verb], event.request_uri, None).name
    except RefusedError:
        return reference.name
    return reference.name if name == reference.name else ""
