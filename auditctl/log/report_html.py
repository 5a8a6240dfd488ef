"""A report as one page that needs nothing else: no link leads out of it, and nothing but our script and style apply.

A log is written by whoever sends requests: every user name, agent, path and object name in it is foreign text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from auditctl.log import report_view
from auditctl.log.redaction import redacted_text, redacted_uri
from auditctl.log.report_chart import chart
from auditctl.log.report_counts import ReportCounts, SampleRequest
from auditctl.log.report_view import LEVELS, USER_KINDS, HeatCell, HeatMap, ReportRow
from auditctl.log.tally import TallyUser
from auditctl.policy.page_text import content_hash, filled, page_json, page_text
from auditctl.printable import printable

_HEATS = 8
_PATTERN = frozenset("*?[]!,")
_LABELS = {"user": "Users", "agent": "User agents", "address": "Source addresses"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVolume:
    """What a rule makes of the volume. ``days`` is how far the log would reach back without it (None: not known)."""

    label: str
    level: str
    events: int
    bytes: int
    days: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """What the page tells. ``figures`` are its numbers with their words; ``commands`` begin with ``command``."""

    title: str
    subtitle: str
    figures: Sequence[tuple[str, str]]
    counts: ReportCounts
    rules: Sequence[RuleVolume]
    rules_note: str
    notes: Sequence[str]
    command: str
    logs: Sequence[str]


def report_page(content: ReportPage, shell: str, style: str, script: str) -> str:
    """Return the page, from its shell, style and script, which ship with us."""
    details = _Details(content)
    heat = report_view.heat_map(content.counts)
    slots = {
        "script-hash": content_hash(script),
        "style-hash": content_hash(style),
        "style": style,
        "script": script,
        "title": page_text(content.title),
        "subtitle": page_text(content.subtitle),
        "figures": "".join(
            f"<li><strong>{page_text(number)}</strong><span>{page_text(words)}</span></li>"
            for number, words in content.figures
        ),
        "notes": "".join(f"<p>{page_text(note)}</p>" for note in content.notes),
        "charts": _charts(content.counts),
        "heat": _heat_table(heat, details),
        "refused": _row_table(report_view.refused_rows(content.counts), details, "No request was refused."),
        "sensitive": _row_table(report_view.sensitive_rows(content.counts), details, "No such request is in the log."),
        "first-seen": _newcomer_tables(content.counts),
        "rules": _rule_table(content),
        "facts": page_json({"details": details.rows}),
    }
    return filled(shell, slots)


class _Details:
    """What the script shows of a cell or row, by its place."""

    def __init__(self, content: ReportPage) -> None:
        self._content = content
        self.rows: list[dict[str, Any]] = []

    def of_cell(self, user: TallyUser, target: str, cell: HeatCell) -> int:
        """Return the place of what one user did with one target."""
        verbs = ", ".join(f"{verb} {count}" for verb, count in cell.verbs)
        refused = f"; {cell.refused} refused" if cell.refused else ""
        return self._add(user, target, "", f"{cell.count} requests: {verbs}{refused}", cell.requests)

    def of_row(self, row: ReportRow) -> int:
        """Return the place of the requests with one verb."""
        words = f"{row.count} requests, the first {_time(row.first)}, the last {_time(row.last)} UTC"
        return self._add(row.user, row.target, row.verb, words, ((row.verb, each) for each in row.requests))

    def _add(
        self, user: TallyUser, target: str, verb: str, words: str, requests: Iterable[tuple[str, SampleRequest]]
    ) -> int:
        self.rows.append(
            {
                "title": printable(f"{user.label}: {verb} {target}".replace("  ", " ")),
                "words": words,
                "requests": [_request(each_verb, each) for each_verb, each in requests],
                "command": self._command(user, target, verb),
            }
        )
        return len(self.rows) - 1

    def _command(self, user: TallyUser, target: str, verb: str) -> str:
        """Return the command that lists all of them; nothing where a name would be read as a pattern."""
        name = user.acts_as or user.username
        if not name or _PATTERN & {*name, *target} or not (name + target).isprintable():
            return ""
        words = [self._content.command, "log tail", f"--user {quote(name)}"]
        words += [f"--resource {quote(target)}"] if not target.startswith("/") else []
        words += [f"--verb {quote(verb)}"] if verb else []
        return " ".join((*words, *(quote(log) for log in self._content.logs)))


def _request(verb: str, request: SampleRequest) -> list[str]:
    place = f"{request.namespace}/{request.name}" if request.namespace else request.name
    texts = [
        _time(request.time),
        str(request.code or "-"),
        verb,
        redacted_text(place) if place else redacted_uri(request.uri),
        request.source,
        redacted_text(request.agent),
        request.audit_id,
    ]
    return list(map(printable, texts))


def _time(stamp: str) -> str:
    return stamp.replace("T", " ") or "-"


def _charts(counts: ReportCounts) -> str:
    line = report_view.timeline(counts.series)
    if not line.columns:
        return '<p class="quiet">No event has a time.</p>'
    drawn = []
    for title, names, css, parts in (
        ("Events a second, by level", LEVELS, "l", [column.levels for column in line.columns]),
        ("Events a second, by kind of user", USER_KINDS, "k", [column.kinds for column in line.columns]),
    ):
        used = [name for name in names if any(name in part for part in parts)]
        keys = "".join(f'<li><span class="{css}{names.index(name)}"></span>{page_text(name)}</li>' for name in used)
        drawn.append(
            f'<figure><figcaption>{title}<span class="quiet"> (a column is {line.seconds} s)</span></figcaption>'
            f'<ul class="key">{keys}</ul><div class="scroll" tabindex="0" aria-label="{title}">'
            f"{chart(line, parts, names, css, title)}</div></figure>"
        )
    return "".join(drawn)


def _heat_table(heat: HeatMap, details: _Details) -> str:
    if not heat.users:
        return '<p class="quiet">No request has ended in this log.</p>'
    highest = max(cell.count for row in heat.cells for cell in row if cell is not None)
    heads = "".join(f'<th scope="col"><span>{page_text(target)}</span></th>' for target in heat.targets)
    rows = []
    for user, cells in zip(heat.users, heat.cells, strict=True):
        drawn = "".join(_heat_cell(user, *pair, highest, details) for pair in zip(heat.targets, cells, strict=True))
        rows.append(f'<tr><th scope="row">{page_text(user.label)}</th>{drawn}</tr>')
    users, targets = heat.left_out
    more = f"Not drawn: {users} more users, {targets} more resources and URLs." if users or targets else ""
    return (
        f'<div class="scroll" tabindex="-1"><table class="heat"><thead><tr><td></td>{heads}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="quiet">{more}</p>'
    )


def _heat_cell(user: TallyUser, target: str, cell: HeatCell | None, highest: int, details: _Details) -> str:
    if cell is None:
        return "<td></td>"
    heat = min(1 + (cell.count.bit_length() - 1) * _HEATS // max(highest.bit_length(), 1), _HEATS)
    refused = f", {cell.refused} refused" if cell.refused else ""
    words = page_text(f"{user.label}, {target}: {cell.count} requests{refused}")
    return (
        f'<td><button type="button" class="cell h{heat}{" alarm" if cell.refused else ""}" title="{words}" '
        f'aria-label="{words}" data-d="{details.of_cell(user, target, cell)}">{_short(cell.count)}</button></td>'
    )


def _short(count: int) -> str:
    for unit in ("", "k", "M", "G"):
        if count < 1000:
            return f"{count:.0f}{unit}"
        count //= 1000
    return f"{count}T"


def _row_table(rows: Sequence[ReportRow], details: _Details, nothing: str) -> str:
    if not rows:
        return f'<p class="quiet">{nothing}</p>'
    head = "".join(
        f'<th scope="col">{word}</th>' for word in ("Requests", "User", "What", "Kind", "First", "Last (UTC)")
    )
    return (
        f'<div class="scroll" tabindex="-1"><table class="rows"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(_row(row, details) for row in rows)}</tbody></table></div>"
    )


def _row(row: ReportRow, details: _Details) -> str:
    words = page_text(f"{row.count} requests: {row.user.label}, {row.verb} {row.target}")
    button = (
        f'<button type="button" class="more" aria-label="{words}" data-d="{details.of_row(row)}">{row.count}</button>'
    )
    cells = (row.user.label, f"{row.verb} {row.target}", row.sensitive, _time(row.first), _time(row.last))
    return f"<tr><td>{button}</td>{''.join(f'<td>{page_text(cell)}</td>' for cell in cells)}</tr>"


def _newcomer_tables(counts: ReportCounts) -> str:
    by_field = report_view.newcomers(counts)
    parts = []
    for field, rows in by_field.items():
        body = "".join(
            f"<tr><td>{page_text(_time(row.presence.first))}</td><td>{page_text(row.value)}</td>"
            f"<td>{row.presence.events}</td></tr>"
            for row in rows
        )
        head = '<tr><th scope="col">First</th><th scope="col">Who</th><th scope="col">Events</th></tr>'
        parts.append(
            f"<details{' open' if field == 'user' else ''}><summary>{_LABELS[field]} ({len(rows)})</summary>"
            f'<div class="scroll" tabindex="-1"><table class="rows"><thead>{head}</thead><tbody>{body}</tbody></table></div></details>'
        )
    if "agent" not in by_field:
        parts.append('<p class="quiet">A tally has no user agents and no addresses.</p>')
    return "".join(parts)


def _rule_table(content: ReportPage) -> str:
    note = f'<p class="quiet">{page_text(content.rules_note)}</p>'
    if not content.rules:
        return note
    total = sum(rule.bytes for rule in content.rules) or 1
    head = "".join(
        f'<th scope="col">{word}</th>'
        for word in ("Rule", "Level", "Events", "Bytes", "Share", "", "Days kept without it")
    )
    return note + (
        f'<div class="scroll" tabindex="-1"><table class="rows"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(_rule_rows(content.rules, total))}</tbody></table></div>"
    )


def _rule_rows(rules: Sequence[RuleVolume], total: int) -> Iterator[str]:
    for rule in rules:
        share = 100 * rule.bytes / total
        bar = (
            f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect class="l1" width="{share:.1f}" height="10"/></svg>'
        )
        days = "-" if rule.days is None else f"{rule.days:.1f}"
        yield (
            f"<tr><td>{page_text(rule.label)}</td><td>{page_text(rule.level)}</td><td>{rule.events}</td>"
            f"<td>{rule.bytes}</td><td>{share:.1f} %</td><td>{bar}</td><td>{days}</td></tr>"
        )
