"""``log report``: a page about a log, for whoever opens it after an incident or shows it to an auditor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from auditctl import facts
from auditctl.compatibility import UTC
from auditctl.errors import UsageError
from auditctl.log.aggregate import PolicyMatcher
from auditctl.log.filters import NO_FILTERS, LogFilters, Selection
from auditctl.log.forecast import DAY_SECONDS, Load, RotationFlags, kept
from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.report_counts import ReportCounting, ReportCounts
from auditctl.log.report_html import ReportPage, RuleVolume, report_page
from auditctl.log.report_view import refused_rows, sensitive_rows
from auditctl.log.tally_views import cell_counts
from auditctl.operations.answer import CommandResult, amount
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log.forecast import node_rotation
from auditctl.operations.log.volume import refuse_times
from auditctl.operations.log_sources import log_input
from auditctl.operations.page_file import write_page
from auditctl.operations.policy.tally_shortfalls import require_enough
from auditctl.operations.policy_files import LoadedPolicyFile, read_policy, server_version

_STANDARD_OUTPUT = "-"
_USUAL_ROTATION = RotationFlags(maxsize=100, maxbackup=10, maxage=30)
"""What a first ``enable`` sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The options of ``log report``."""

    html: str
    logs: tuple[str, ...] = ()
    policy: str | None = None
    title: str = "What the audit log tells"
    kubernetes: str | None = None
    processes: int | None = None
    filters: LogFilters = NO_FILTERS


class _Rules(NamedTuple):
    rows: list[RuleVolume]
    note: str


def log_report(plane: ControlPlane, options: ReportOptions) -> CommandResult:
    """Write the page.

    Raises:
        RefusedError: a log cannot be read or the page cannot be written; PolicyError: the server would refuse the policy.
        UsageError: a filter is not of its form, or asks of a tally what it has not.
    """
    named = read_policy(options.policy, server_version(plane, options.kubernetes)) if options.policy else None
    judge = PolicyMatcher((named.policy,)) if named is not None else None
    names = frozenset(judge.names) if judge is not None else frozenset()
    reading, selection = reader(), Selection.of(options.filters, datetime.now(UTC))
    with log_input(plane, options.logs) as logs:
        refuse_times(options.filters, logs.tallies)
        if options.filters.given and logs.tallies:
            raise UsageError(f"{logs.tallies[0].name}: a tally cannot be filtered", fix="name the log")
        require_enough([named] if named is not None else [], logs.tallies)
        counts = tallied(
            logs.pieces,
            lambda pieces: ReportCounting(ReportCounts(names)).scan(pieces, reading, selection),
            options.processes,
        )
        files = sorted({piece.name for piece in logs.pieces} | {each.name for each in logs.tallies})
    for each in logs.tallies:
        counts.take_tally(each.tally)
    page = _page(options, counts, _rules(plane, counts, named, judge), files)
    text = report_page(page, *(facts.template(f"report.{kind}").read_text("utf-8") for kind in ("html", "css", "js")))
    summary = f"{counts.selected} events on one page of {amount(len(text.encode()))}"
    document = {"html": options.html, "events": counts.selected, "log": counts.tally.account.rows()}
    notes = tuple(counts.tally.account.sentences())
    if options.html == _STANDARD_OUTPUT:
        return CommandResult(document={**document, "html": text}, pieces=iter([text.encode()]), notes=(*notes, summary))
    write_page(options.html, text, "report.html")
    return CommandResult(document=document, summary=f"{options.html}: {summary}", notes=notes)


def _page(options: ReportOptions, counts: ReportCounts, rules: _Rules, files: Sequence[str]) -> ReportPage:
    rates, account = counts.tally.rates, counts.tally.account
    span, size = rates.span_seconds, sum(cell.sums[1] for cell in counts.tally.cells.values())
    users = {key.user for key in counts.tally.cells}
    refused = sum(row.count for row in refused_rows(counts))
    figures = [
        (f"{counts.selected:,}", "events"),
        (amount(size), "in the log"),
        (f"{counts.selected / span:.1f}" if span else "-", "events a second"),
        (amount(size / span * DAY_SECONDS) if span else "-", "a day at this rate"),
        (f"{len(users):,}", "users"),
        (f"{refused:,}", "refused requests"),
        (f"{sum(row.count for row in sensitive_rows(counts)):,}", "sensitive reads"),
    ]
    begins, ends = (_stamp(rates.first), _stamp(rates.last)) if rates.first is not None else ("-", "-")
    where = ", ".join(files[:6]) + (f" and {len(files) - 6} more" if len(files) > 6 else "")
    filtered = f" {counts.selected} of {account.events} events match the filters." if options.filters.given else ""
    return ReportPage(
        title=options.title,
        subtitle=f"{begins} to {ends} UTC, from {where}.{filtered}",
        figures=figures,
        counts=counts,
        rules=rules.rows,
        rules_note=rules.note,
        notes=tuple(account.sentences()),
        command="kube-auditctl",
        logs=tuple(options.logs),
    )


def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _rules(
    plane: ControlPlane, counts: ReportCounts, named: LoadedPolicyFile | None, judge: PolicyMatcher | None
) -> _Rules:
    """Return each rule with its part of the volume, and how far the log would reach back without it."""
    if named is None or judge is None:
        return _Rules([], "Name the policy with --policy FILE: here stands what each rule makes of the volume.")
    sums: dict[int, list[int]] = {}
    for key, volume, _ in cell_counts(judge, [counts.tally]).volumes():
        sums_of_rule = sums.setdefault(judge.rule(key), [0, 0])
        sums_of_rule[0] += volume.events
        sums_of_rule[1] += volume.bytes
    flags, _ = node_rotation(plane)
    rotation = flags or _USUAL_ROTATION
    span, size = counts.tally.rates.span_seconds, sum(sums_of_rule[1] for sums_of_rule in sums.values())
    rows = [_rule(named, rule, sums_of_rule, (size, span), rotation) for rule, sums_of_rule in sums.items()]
    rows.sort(key=lambda row: -row.bytes)
    days = kept(_load(size, span), rotation).days if span else None
    whose = "the flags of this node" if flags is not None else "the defaults of enable"
    words = f"{rotation.maxbackup} files of {rotation.maxsize} MB, {rotation.maxage} days at most ({whose})"
    reach = "for ever" if days is None else f"for {days:.1f} days"
    return _Rules(rows, f"By the rules of {named.name}. With {words} the log is kept {reach} at this rate.")


def _rule(
    named: LoadedPolicyFile, rule: int, sums: Sequence[int], whole: tuple[int, int], rotation: RotationFlags
) -> RuleVolume:
    size, span = whole
    label, level = "no rule", "None"
    if rule >= 0:
        sums_of_rule = named.policy.rules[rule]
        label, level = f"rules[{rule}] {named.name}:{sums_of_rule.line}", sums_of_rule.level.value
    days = kept(_load(size - sums[1], span), rotation).days if span else None
    return RuleVolume(label=label, level=level, events=sums[0], bytes=sums[1], days=days)


def _load(size: int, span: int) -> Load:
    return Load(1.0, size / span)
