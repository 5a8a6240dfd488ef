"""``log top`` and ``log stats``: who and what makes the volume, and events over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditctl.compatibility import UTC
from auditctl.errors import UsageError
from auditctl.log.aggregate import CellCounts, Counting, PolicyMatcher
from auditctl.log.damage import ReadStatistics
from auditctl.log.events import Reader
from auditctl.log.filters import NO_FILTERS, LogFilters, Selection
from auditctl.log.forecast import DAY_SECONDS
from auditctl.log.labels import labels_of
from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.segments import LogSegment
from auditctl.log.tally import Tally
from auditctl.log.tally_views import cell_counts, user_test, volume_counts
from auditctl.log.terminal_chart import terminal_chart
from auditctl.log.volume import BY, Rates, Share, VolumeCounts, add
from auditctl.operations.answer import CommandResult, amount, share, table
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import LoadedTally, log_input, node_policy
from auditctl.operations.policy.tally_shortfalls import require_enough
from auditctl.operations.policy_files import LoadedPolicyFile, read_policy, server_version
from auditctl.policy.types import Policy

_COLUMNS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TopOptions:
    """The options of ``log top``."""

    logs: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    most: int = 10
    policy: str | None = None
    kubernetes: str | None = None
    processes: int | None = None
    filters: LogFilters = NO_FILTERS


def log_top(plane: ControlPlane, options: TopOptions) -> CommandResult:
    """Return the biggest users, verbs, resources, namespaces, levels and, with a policy, rules; by bytes.

    Raises:
        RefusedError: a log cannot be read; PolicyError: the server would refuse the policy; UsageError: by rule, and the
            policy is not known.
    """
    path = options.policy or (node_policy(plane, options.logs) if "rule" in options.by else None)
    if path is None and "rule" in options.by:
        raise UsageError("--by rule needs --policy", fix="name the policy that the log was written with")
    named = read_policy(path, server_version(plane, options.kubernetes)) if path else None
    reading, selection = reader(), Selection.of(options.filters, datetime.now(UTC))
    judge = PolicyMatcher((named.policy,)) if named is not None else None
    with log_input(plane, options.logs) as logs:
        refuse_times(options.filters, logs.tallies)
        require_enough([named] if named is not None else [], logs.tallies)
        both = tallied(logs.pieces, lambda pieces: _Both(pieces, reading, judge, selection), options.processes)
    for each in logs.tallies:
        both.take_tally(each.tally, judge, options.filters)
    counts, account = both.counts, both.counts.account
    if named is not None and judge is not None:
        for key, volume, _ in both.cells.volumes():
            add(counts.by["rule"], _rule(named, judge.rule(key)), volume.events, volume.bytes)
    _name_logs(counts)
    dimensions = [name for name in options.by or BY if counts.by[name] or name != "rule"]
    shares = {name: counts.top(name, options.most) for name in dimensions}
    events, total = (sum(column) for column in zip((0, 0), *counts.by["level"].values(), strict=True))
    document = {"log": account.rows(), "top": {name: [_row(each, total) for each in shares[name]] for name in shares}}
    return CommandResult(
        document=document,
        lines=tuple(_tables(shares, events, total)) if events else (),
        summary=_summary(events, total, account, options.filters),
        notes=tuple(account.sentences()),
        exit_code=int(account.is_no_log),
    )


def _name_logs(counts: VolumeCounts) -> None:
    """Put the short names of the logs in the place of their paths."""
    result, counts.by["log"] = counts.by["log"], {}
    labels = labels_of(list(result))
    for name, (events, size) in result.items():
        add(counts.by["log"], labels[name], events, size)


def _summary(events: int, size: int, account: ReadStatistics, filters: LogFilters) -> str:
    """Return how much there is; with filters, of how much: an empty answer says that nothing matched."""
    if not account.events and not account.is_no_log:
        return "The log has no event."
    if not filters.given:
        return f"{account.events} events, {amount(account.bytes)}"
    if not events:
        return f"No event matches the filters; {account.events} events were read."
    return f"{events} of {account.events} events match the filters, {amount(size)}"


class _Both:
    """The counts of a log, and the cells of a policy where there is one."""

    def __init__(
        self, pieces: Iterable[LogSegment], reading: Reader, judge: PolicyMatcher | None, selection: Selection
    ) -> None:
        counting = Counting(judge, reading) if judge is not None else None
        take = counting.take if counting is not None else None
        self.counts = VolumeCounts(reading).scan(pieces, take, selection)
        self.cells = counting.tally if counting is not None else CellCounts()

    def take_tally(self, tally: Tally, judge: PolicyMatcher | None, filters: LogFilters) -> None:
        """Add a tally: the cells of the users that the filters let pass."""
        passes = user_test(filters.user)
        self.counts.absorb(volume_counts(tally, passes))
        for node in tally.nodes if not filters.user else ():
            add(self.counts.by["log"], node.name, node.events, node.bytes)
        if judge is not None:
            self.cells.absorb(cell_counts(judge, [tally], passes))

    def absorb(self, other: _Both) -> None:
        """Take in what another process gathered."""
        self.counts.absorb(other.counts)
        self.cells.absorb(other.cells)


def _rule(named: LoadedPolicyFile, rule: int) -> str:
    policy: Policy = named.policy
    return (
        f"rules[{rule}] {named.name}:{policy.rules[rule].line} {policy.rules[rule].level.value}"
        if rule >= 0
        else "no rule"
    )


def _row(each: Share, total: int) -> dict[str, Any]:
    part = round(each.bytes / total, 6) if total else None
    return {"value": each.value, "events": each.events, "bytes": each.bytes, "share": part}


def _tables(shares: dict[str, list[Share]], events: int, total: int) -> Iterator[str]:
    for name, result in shares.items():
        rows = [
            (each.events, share(each.events, events), amount(each.bytes), share(each.bytes, total), each.value)
            for each in result
        ]
        yield from table([("EVENTS", "SHARE", "BYTES", "SHARE", name.upper()), *rows])
        yield ""


def log_stats(
    plane: ControlPlane, logs: tuple[str, ...], processes: int | None = None, filters: LogFilters = NO_FILTERS
) -> CommandResult:
    """Return events over time, a second and a day.

    Raises:
        RefusedError: a log cannot be read.
    """
    rates = measured(plane, logs, processes, filters)
    account, span = rates.account, rates.span_seconds
    columns = rates.columns(_COLUMNS)
    size = rates.bytes
    per_second = rates.events / span if span else 0.0
    per_day = size / span * DAY_SECONDS if span else 0.0
    peak, each = rates.busiest, size / rates.events if rates.events else 0.0
    lines = (
        *(("events a second (times are UTC)", *terminal_chart(columns, rates.first or 0, span)) if columns else ()),
        f"{_moment(rates.first)} to {_moment(rates.last)} UTC ({span} s), a column is {span / len(columns):.1f} s"
        if columns and rates.first is not None
        else "No event has a time.",
        f"{per_second:.1f} events/s on average, {peak} in the busiest second",
        f"{amount(each) if each else '-'} an event, {amount(per_day)} a day at this rate",
    )
    document = {
        "log": account.rows(),
        "first": None if rates.first is None else _moment(rates.first),
        "seconds": span,
        "columns": columns,
        "eventsPerSecond": round(per_second, 3),
        "peakEventsPerSecond": peak,
        "bytesPerEvent": round(each, 1) if each else None,
        "bytesPerDay": round(per_day),
    }
    return CommandResult(
        document=document,
        lines=lines if rates.events else (),
        summary=_summary(rates.events, rates.bytes, account, filters),
        notes=tuple(account.sentences()),
        exit_code=int(account.is_no_log),
    )


def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def measured(
    plane: ControlPlane, logs: tuple[str, ...], processes: int | None = None, filters: LogFilters = NO_FILTERS
) -> Rates:
    """Return the events by second.

    Raises:
        RefusedError: a log cannot be read; UsageError: a filter is not of its form.
    """
    reading, selection = reader(), Selection.of(filters, datetime.now(UTC))
    with log_input(plane, logs) as result:
        refuse_times(filters, result.tallies)
        if filters.user and result.tallies:
            raise UsageError(
                f"--user: {result.tallies[0].name} is a tally, and has no times by user", fix="name the log"
            )
        rates = tallied(result.pieces, lambda pieces: Rates(reading).scan(pieces, selection), processes)
    for each in result.tallies:
        rates.account.absorb(each.tally.account)
        rates.absorb(each.tally.rates)
    return rates


def refuse_times(filters: LogFilters, tallies: Sequence[LoadedTally]) -> None:
    """Raise UsageError for a time: the cells of a tally have no times of single events."""
    if tallies and (filters.since is not None or filters.until is not None):
        option = "--since" if filters.since is not None else "--until"
        raise UsageError(
            f"{option}: {tallies[0].name} is a tally, and has no times of single events", fix="name the log"
        )
