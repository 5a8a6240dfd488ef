"""``log history``, ``log who``, ``log session``, ``log values``: what happened to an object, what a person or a credential did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.compatibility import UTC
from auditctl.errors import UsageError
from auditctl.log import sources
from auditctl.log.damage import ReadStatistics
from auditctl.log.events import FullEvent
from auditctl.log.facets import FIELDS, FacetCounts, FacetValue, field_named
from auditctl.log.filters import ALL_EVENTS, NO_FILTERS, LogFilters, Selection, Test
from auditctl.log.lines import printable
from auditctl.log.object_history import HistoryEntry, ObjectName, with_changes
from auditctl.log.parallel import in_order, tallied
from auditctl.log.readers import reader
from auditctl.log.reading import whole_blocks
from auditctl.log.requests import RecordedRequest, recorded, whole_requests
from auditctl.log.segments import LogSegment
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import node_log, opened
from auditctl.operations.policy_files import built_in
from auditctl.policy.resource_names import resolve

_RECENT_BYTES = 2 << 20
_MOST_RECENT = 50
_PLAIN = re.compile(r"[A-Za-z0-9:._@/=+-]+")  # the same text in JSON: what is not, is looked for in the values alone


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleOptions:
    """The options that the commands share. ``shows_reads``: the history of an object has get, list and watch in it, too."""

    logs: tuple[str, ...] = ()
    filters: LogFilters = NO_FILTERS
    diff: bool = False
    shows_reads: bool = False
    processes: int | None = None


class _Matches(NamedTuple):
    requests: list[RecordedRequest]
    account: ReadStatistics


def log_history(plane: ControlPlane, name: str, namespace: str | None, options: PeopleOptions) -> CommandResult:
    """Return everything that happened to the object KIND/NAME, with differences where ``options.diff`` is set.

    Raises:
        UsageError: the name is not KIND/NAME, or a filter is not of its form; RefusedError: a log cannot be read.
    """
    target, notes = _object_named(name, namespace)
    resources = {resource for _, resource in target.resources}
    needle = f'"resource":"{next(iter(resources))}"'.encode() if len(resources) == 1 else b""

    def may_be(event: FullEvent) -> bool:
        reference = event.object_ref
        return reference is not None and reference.resource in resources and reference.name in ("", target.name)

    matches = _matches(plane, options, may_be, needle)
    requests = [each for each in matches.requests if target.is_of(each)]
    entries = list(with_changes(requests)) if options.diff else [HistoryEntry(each) for each in requests]
    kept = [each for each in entries if options.shows_reads or not each.request.is_read]
    hidden = len(entries) - len(kept)
    subject = f"{name}{f' in namespace {namespace}' if namespace else ''}"
    summary = _summary(len(requests), f"about {subject}", matches.account, "name")
    if hidden:
        summary += f" {hidden} of them only read it and {'is' if hidden == 1 else 'are'} not listed (--reads)."
    result = _result(kept, matches.account, summary, {"object": name, "namespace": namespace})
    if options.diff and kept and not any(each.changes for each in kept):
        notes = (*notes, _no_bodies(kept))
    return replace(result, notes=(*notes, *result.notes))


def recent_values(plane: ControlPlane, field: str) -> list[FacetValue]:
    """Return the values that a field has at the end of the node's own log: some megabytes, for whoever waits for an answer.

    Raises:
        RefusedError: there is no log to read.
    """
    logs = opened(plane, [str(node_log(plane))])
    try:
        begin = max(logs[0].size_bytes - _RECENT_BYTES, 0)
        piece = LogSegment(logs[0].name, logs[0].descriptor, begin, logs[0].size_bytes)
        return FacetCounts(field).scan([piece], reader(), ALL_EVENTS).values()[:_MOST_RECENT]
    finally:
        sources.close(logs)


def log_who(plane: ControlPlane, user: str, options: PeopleOptions) -> CommandResult:
    """Return the requests of a user (``*`` is any text), those that others made as this user included.

    Raises:
        UsageError: a filter is not of its form; RefusedError: a log cannot be read.
    """

    def is_user(event: FullEvent) -> bool:
        other = event.impersonated_user
        return fnmatchcase(event.user.username, user) or (other is not None and fnmatchcase(other.username, user))

    matches = _matches(plane, options, is_user, f'"username":"{user}"'.encode() if _PLAIN.fullmatch(user) else b"")
    entries = [HistoryEntry(each) for each in matches.requests]
    summary = _summary(len(entries), f"of user {user}", matches.account, "user")
    return _result(entries, matches.account, summary, {"user": user})


def log_session(plane: ControlPlane, identity: str, options: PeopleOptions) -> CommandResult:
    """Return the requests with an Audit-ID, or with a credential ID (``authentication.kubernetes.io/credential-id``).

    Raises:
        UsageError: a filter is not of its form; RefusedError: a log cannot be read.
    """
    needle = identity.encode() if _PLAIN.fullmatch(identity) else b""
    matches = _matches(plane, options, lambda _: True, needle)
    resolved = [each for each in matches.requests if identity == each.audit_id or identity in each.credentials]
    summary = _summary(len(resolved), f"with ID {identity}", matches.account)
    return _result(map(HistoryEntry, resolved), matches.account, summary, {"id": identity})


def log_values(plane: ControlPlane, field: str, most: int, options: PeopleOptions) -> CommandResult:
    """Return the values that a field has in the log, most events first.

    Raises:
        UsageError: there is no such field; RefusedError: a log cannot be read.
    """
    name = field_named(field)
    if name is None:
        raise UsageError(f"{field} is not one of {', '.join(FIELDS)}")
    reading, selection = reader(), Selection.of(options.filters, datetime.now(UTC))
    logs = opened(plane, options.logs)
    try:
        parts = sources.pieces(logs)
        counts = tallied(parts, lambda pieces: FacetCounts(name).scan(pieces, reading, selection), options.processes)
    finally:
        sources.close(logs)
    values = counts.values()
    chosen = values[:most]
    document = {
        "field": name,
        "log": counts.account.rows(),
        "distinct": len(values),
        "values": [each._asdict() for each in chosen],
    }
    rows = [("EVENTS", "LAST (UTC)", name.upper())]
    rows += [(str(each.events), _stamp(each.last), printable(each.value)) for each in chosen]
    more = f"; the first {most} are listed (-n)" if len(values) > most else ""
    read = f"{counts.account.events} events were read"
    if options.filters.given:
        read += f", {counts.matched} match the filters"
    summary = f"{len(values)} value{'' if len(values) == 1 else 's'}{more}; {read}."
    if not values:
        summary = f"No event that matches has this field; {counts.account.events} events were read."
    return CommandResult(
        document=document,
        lines=tuple(_table(rows) if chosen else ()),
        summary=summary,
        notes=tuple(counts.account.sentences()),
        exit_code=int(counts.account.is_no_log),
    )


def _object_named(name: str, namespace: str | None) -> tuple[ObjectName, tuple[str, ...]]:
    """Return the object, and notes on how its kind was understood."""
    kind, slash, rest = name.partition("/")
    if not (kind and slash and rest):
        raise UsageError(f"{name} is not KIND/NAME (deploy/web, secrets/db, widgets.example.org/w1)")
    resources = resolve(kind, built_in(facts.NEWEST), facts.NEWEST)
    if not resources:
        plural, _, group = kind.lower().partition(".")
        text = f"{kind} is not a built-in kind: the log is searched for the resource {plural}, and for its plural"
        return ObjectName(frozenset((group or None, each) for each in _plurals(plural)), rest, namespace), (text,)
    notes: tuple[str, ...] = ()
    if len(resources) > 1:
        notes = (
            f"{kind} can be {', '.join(f'{each.name}.{each.group}'.rstrip('.') for each in resources)}: all count",
        )
    if namespace is not None and not any(each.namespaced for each in resources):
        notes, namespace = (*notes, f"{kind} has no namespace: -n {namespace} is not used"), None
    return ObjectName(frozenset((each.group, each.name) for each in resources), rest, namespace), notes


def _plurals(word: str) -> tuple[str, ...]:
    """Return a word, and what its plural may be: the plural of a custom resource is in no list of ours."""
    return (word, f"{word}s", f"{word}es", f"{word[:-1]}ies")


def _matches(plane: ControlPlane, options: PeopleOptions, extra: Test, needle: bytes) -> _Matches:
    """Read the logs with a process a core; only the lines that match come back."""
    selection = Selection.of(options.filters, datetime.now(UTC))
    test, account, reading = selection.test, ReadStatistics(), reader()

    def lines_of(piece: LogSegment, met: ReadStatistics) -> Iterator[bytes]:
        for block in whole_blocks(piece, reading, met, needle):
            kept = [
                line
                for event, line in zip(block.events, block.lines, strict=True)
                if extra(event) and (test is None or test(event))
            ]
            if kept:
                yield b"\n".join((*kept, b""))

    logs = opened(plane, options.logs)
    try:
        parts = in_order(sources.pieces(logs), lines_of, account, options.processes)
        events = (recorded(line) for part in parts for line in part.splitlines())
        requests = whole_requests(each for each in events if each is not None)
    finally:
        sources.close(logs)
    return _Matches(sorted(requests, key=lambda each: each.time), account)


def _summary(count: int, subject: str, account: ReadStatistics, field: str = "") -> str:
    """Return how many requests there are; without any the command that lists what the log has."""
    read = f"{account.events} events were read"
    if not count:
        following = f" To list each {field} in the log: auditctl log values {field}" if field and account.events else ""
        return f"No request {subject} is in the log; {read}.{following}"
    return f"{count} request{'' if count == 1 else 's'} {subject}; {read}."


def _no_bodies(entries: Sequence[HistoryEntry]) -> str:
    levels = ", ".join(sorted({each.request.level for each in entries}))
    return (
        f"No difference is known: the log has these requests at level {levels}; --diff needs Request or RequestResponse"
    )


def _result(
    entries: Iterable[HistoryEntry], account: ReadStatistics, summary: str, question: dict[str, Any]
) -> CommandResult:
    listed = list(entries)
    rows = [_row(each) for each in listed]
    return CommandResult(
        document={**question, "log": account.rows(), "requests": rows},
        lines=tuple(_lines(listed)),
        summary=summary,
        notes=tuple(account.sentences()),
        exit_code=int(account.is_no_log),
    )


def _row(entry: HistoryEntry) -> dict[str, Any]:
    changes = [{"path": each.path, "before": each.before, "after": each.after} for each in entry.changes]
    return {**entry.request.row(), "changes": changes, "note": entry.note}


def _lines(entries: Sequence[HistoryEntry]) -> Iterator[str]:
    """One row a request; below it what it changed."""
    if not entries:
        return
    table = list(_table([("TIME (UTC)", "CODE", "USER", "FROM", "ACTION", "OBJECT"), *map(_cells, entries)]))
    yield table[0]
    for line, entry in zip(table[1:], entries, strict=True):
        yield line
        if entry.note:
            yield f"    ({entry.note})"
        yield from (f"    {printable(change.line())}" for change in entry.changes)


def _cells(entry: HistoryEntry) -> tuple[str, ...]:
    each = entry.request
    who = f"{each.user or 'nobody'}{f' as {each.acts_as}' if each.acts_as else ''}"
    texts = (_stamp(each.time), str(each.code or "..."), who, each.source, each.action, each.target)
    return tuple(map(printable, texts))


def _stamp(time: str) -> str:
    return printable(time[:23].replace("T", " "))


def _table(rows: Sequence[tuple[str, ...]], widest: int = 64) -> Iterator[str]:
    widths = [min(widest, max(len(row[column]) for row in rows)) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
