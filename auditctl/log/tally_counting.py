"""Events of a log to the cells of a tally."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.log.aggregate import BODY_FILLED, METHODS, path_of
from auditctl.log.events import CompactEvent, ObjectReference, Reader
from auditctl.log.reading import CountBlock, count_blocks
from auditctl.log.segments import LogSegment
from auditctl.log.tally import CellSums, Tally, TallyKey, TallyUser, kept_name, kind_of_user
from auditctl.policy.request import attributes

_MOST_KEPT = 20_000
_MOST_SECONDS = 10_000
_REFUSED = re.compile(rb'"code":\s*40[13]\b')


def _of_resource(reference: ObjectReference) -> tuple[str, str, str, str]:
    return reference.api_group, reference.resource, reference.subresource, reference.namespace


class _ObjectUrl(NamedTuple):
    """Whether a URL names a namespace, and the object that it names; None: not known."""

    has_namespace: bool
    name: str | None


class TallyCounting:
    """Puts events into the cells of a tally."""

    def __init__(self, tally: Tally, reader: Reader) -> None:
        self.tally = tally
        self._reader = reader
        self._users: dict[tuple[bytes, bytes], tuple[TallyUser, str]] = {}
        self._cells: dict[tuple[object, ...], tuple[CellSums, str]] = {}
        self._statuses: dict[bytes, bool] = {}
        self._urls: dict[str, _ObjectUrl] = {}
        self._seconds: dict[tuple[str, str, str], list[int]] = {}

    def scan(self, pieces: Iterable[LogSegment]) -> Tally:
        """Count all events in these pieces; return the tally."""
        for piece in pieces:
            for block in count_blocks(piece, self._reader.lines, self._reader, self.tally.account):
                self.take(block)
        self.finish()
        return self.tally

    def take(self, block: CountBlock) -> None:
        """Count a block's events. Written out in one go, as ``Counting.take``: calls would double its time."""
        get, seconds = self._cells.get, self._seconds
        names = self.tally.names
        for event, size in zip(block.events, block.sizes, strict=True):
            reference, verb, level = event.object_ref, event.verb, event.level
            target: object = reference
            if reference is None or not reference.resource:
                target = event.request_uri
            elif verb in BODY_FILLED:
                target = self._filled(event, reference)
            elif names is not None and reference.name not in names:
                target = (*_of_resource(reference), not reference.name)
            key = (level, event.stage, verb, bytes(event.user), bytes(event.impersonated_user), target)
            known = get(key)
            if known is None:
                known = self._known(event, key)
            cell, kind = known
            sums = cell.sums
            sums[0] += 1
            sums[1] += size
            if event.request_object:
                sums[2] += 1
                sums[3] += len(event.request_object)
                if verb != "patch":  # the server never alters a patch
                    sums[6] += self._managed(event.request_object)
            if event.response_object:
                sums[4] += 1
                sums[5] += len(event.response_object)
                sums[7] += self._managed(event.response_object)
            if event.response_status:
                sums[8] += self._refused(bytes(event.response_status))
            stamp = (event.stage_timestamp or "")[:19]
            if stamp > cell.last or stamp < cell.first:
                cell.span(stamp, stamp)
            second = seconds.get((stamp, level, kind))
            if second is None:
                second = self._second(stamp, level, kind)
            second[0] += 1
            second[1] += size

    def _filled(self, event: CompactEvent, reference: ObjectReference) -> tuple[str, str, str, str, bool, str]:
        """Return what a cell tells of an object whose reference the server may have filled from the body."""
        path = event.request_uri.partition("?")[0]
        url = self._urls.get(path) or self._url(path, event.verb)
        of_body = bool(reference.namespace) and not url.has_namespace
        name = kept_name(reference.name, self.tally.names) if url.name in {None, reference.name} else ""
        return (*_of_resource(reference), of_body, name)

    def _url(self, path: str, verb: str) -> _ObjectUrl:
        """Return what the path of a URL names. What no server takes apart is not known: the reference is believed."""
        try:
            named = attributes(METHODS[verb], path, None)
            url = _ObjectUrl(bool(named.namespace), named.name)
        except RefusedError:
            url = _ObjectUrl(has_namespace=True, name=None)
        if len(self._urls) >= _MOST_KEPT:
            self._urls.clear()
        self._urls[path] = url
        return url

    def _second(self, stamp: str, level: str, kind: str) -> list[int]:
        if len(self._seconds) >= _MOST_SECONDS:
            self.finish()
        return self._seconds.setdefault((stamp, level, kind), [0, 0])

    def _refused(self, status: bytes) -> bool:
        refused = self._statuses.get(status)
        if refused is None:
            if len(self._statuses) >= _MOST_KEPT:
                self._statuses.clear()
            refused = self._statuses[status] = _REFUSED.search(status) is not None
        return refused

    def finish(self) -> None:
        """Hand the times over to the tally."""
        self.tally.rates.count(self.tally.series.count_stamps(self._seconds))
        self._seconds.clear()

    def _known(self, event: CompactEvent, line_key: tuple[object, ...]) -> tuple[CellSums, str]:
        """Return the cell of an event and the kind of its user, and keep them for its like."""
        user, kind = self._user(event)
        if len(self._cells) >= _MOST_KEPT:
            self._cells.clear()
        known = self._cells[line_key] = (self.tally.cell(self._key(event, user)), kind)
        return known

    def _key(self, event: CompactEvent, user: TallyUser) -> TallyKey:
        reference = event.object_ref
        if reference is None or not reference.resource:
            return TallyKey(user=user, verb=event.verb, stage=event.stage, level=event.level, path=path_of(event))
        if event.verb in BODY_FILLED:
            group, resource, subresource, namespace, of_body, name = self._filled(event, reference)
        else:
            group, resource, subresource, namespace = _of_resource(reference)
            of_body, name = False, kept_name(reference.name, self.tally.names)
        return TallyKey(
            user=user,
            verb=event.verb,
            stage=event.stage,
            level=event.level,
            group=group,
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            namespace_of_body=of_body,
            name=name,
        )

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
