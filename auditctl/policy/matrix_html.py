"""A policy's picture as one page that needs nothing else: no link leads out of it, and nothing but our script runs.

Whatever comes from a policy is escaped where it enters the page; the page's own policy for content names our script
by its digest, so that nothing else could run even if something slipped through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditctl.patterns import lazily
from auditctl.policy.matrix import Cell, Cells, Matrix, Person, Table
from auditctl.policy.matrix_lines import text_lines
from auditctl.policy.matrix_rows import METHODS, VERBS, Row, Scope
from auditctl.policy.matrix_words import LETTERS, MEANINGS, because, letters, listed, sentence, where
from auditctl.policy.page_text import content_hash, filled, page_json, page_text
from auditctl.policy.types import Level, Policy

_CLASSES = {Level.NONE: "N", Level.METADATA: "M", Level.REQUEST: "Rq", Level.REQUEST_RESPONSE: "RR"}
_PLAIN = lazily(r"[A-Za-z0-9./:()_-]{1,120}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a page tells: the policy's name and text, the server that it is for, the picture, and the rules' lines."""

    name: str
    server: str
    raw: bytes
    policy: Policy
    matrix: Matrix
    lines: tuple[tuple[int, int], ...]


def page(content: Page, shell: str, script: str) -> str:
    """Return the page, from its shell and its script, which ship with us."""
    facts = _Facts(content)
    tables = "\n".join(_table(facts, index, table) for index, table in enumerate(content.matrix.tables))
    slots = {
        "script-hash": content_hash(script),
        "title": page_text(f"{content.name}: what is recorded"),
        "heading": page_text(content.name),
        "what": page_text(f"What {content.server} records with this policy: resources down, verbs across."),
        "legend": "".join(_legend()),
        "people": "".join(_link(index, table) for index, table in enumerate(content.matrix.tables)),
        "tables": tables,
        "source": "".join(
            f'<li data-n="{number}">{page_text(line) or " "}</li>'
            for number, line in enumerate(text_lines(content.raw), 1)
        ),
        "footer": page_text(_footer(content.matrix)),
        "facts": facts.text(),
        "script": script,
    }
    return filled(shell, slots)


def _footer(matrix: Matrix) -> str:
    parts = ["Made by auditctl policy matrix. A cell is for every namespace and name: where they matter it is split."]
    if matrix.others:
        parts.append(f"The policy also names users and groups who are none of these: {listed(matrix.others)}.")
    if matrix.rows.left_out:
        parts.append(f"{matrix.rows.left_out} more resources or URLs that it names are not drawn.")
    return " ".join(parts)


def _legend() -> Iterator[str]:
    for level in Level:
        sample = f'<span class="cell {_CLASSES[level]}" aria-hidden="true">{LETTERS[level]}</span>'
        yield f"<li>{sample}<span>{level.value}: {MEANINGS[level]}</span></li>"
    split = '<span class="cell split" aria-hidden="true"><span class="N">-</span><span class="M">M</span></span>'
    yield f"<li>{split}<span>depends on namespace or name</span></li>"
    yield '<li><span class="cell M sensitive" aria-hidden="true">M</span><span>sensitive</span></li>'
    yield '<li><span class="cell N sensitive concern" aria-hidden="true">-</span><span>sensitive: look twice</span></li>'


def _who(people: Sequence[Person]) -> str:
    return ", ".join(person.label for person in people)


def _link(index: int, table: Table) -> str:
    return f'<a href="#t{index}">{page_text(_who(table.people))}</a>'


class _Facts:
    """What the script needs to know of cells and rules; alike cells are told once."""

    def __init__(self, content: Page) -> None:
        self.content = content
        self._places: dict[str, int] = {}

    def place(self, cell: Cell, row: Row, verb: str, people: Sequence[Person]) -> int:
        rules = self.content.policy.rules
        cases = [
            [
                case.rule,
                case.level.value,
                where(case, cell, row, verb),
                because(rules[case.rule], row, verb, people) if case.rule >= 0 else "",
            ]
            for case in cell.cases
        ]
        return self._places.setdefault(page_json({"cases": cases, "cut": cell.cut}), len(self._places))

    def text(self) -> str:
        """Return JSON that no parser of HTML takes for anything else."""
        cells = f'"cells":[{",".join(self._places)}]'
        rest = page_json(
            {"classes": {level.value: name for level, name in _CLASSES.items()}, "rules": self.content.lines}
        )
        return f"{{{cells},{rest[1:]}"


def _table(facts: _Facts, index: int, table: Table) -> str:
    rows = facts.content.matrix.rows
    who = "".join(f"<p>{page_text(_person(person))}</p>" for person in table.people)
    return (
        f'<section class="card table" id="t{index}" data-who="{page_text(_who(table.people))}">'
        f'<div class="who"><h2>{page_text(_who(table.people))}</h2><div class="quiet">{who}</div></div>'
        f"{_grid(facts, (index, table), 'Resources', VERBS, rows.resources, table.resources)}"
        f"{_grid(facts, (index, table), 'URLs that are no resource', METHODS, rows.urls, table.urls)}</section>"
    )


def _person(person: Person) -> str:
    if person.user is None:
        return f"{person.label}: authentication failed"
    groups = f" of {', '.join(person.user.groups)}" if person.user.groups else ", in no group"
    return f"{person.user.name}{groups}"


def _grid(
    facts: _Facts,
    owner: tuple[int, Table],
    caption: str,
    verbs: tuple[str, ...],
    rows: tuple[Row, ...],
    cells: tuple[Cells, ...],
) -> str:
    heads = "".join(
        f'<th scope="col"><span>{verb.replace("delete", "delete<wbr>") if verb != "delete" else verb}</span></th>'
        for verb in verbs
    )
    parts = [
        f'<div class="scroll" tabindex="-1"><table><caption>{caption}</caption><thead><tr><td class="first"></td>{heads}</tr></thead>'
    ]
    group: str | None = None
    for number, row in enumerate(rows):
        if row.group != group or group is None:
            parts.append(f"{'' if group is None else '</tbody>'}<tbody>{_group_row(row, len(verbs))}")
            group = row.group
        parts.append(_row(facts, owner, (number, row), verbs, cells[number]))
    return "".join((*parts, "</tbody></table></div>" if rows else "</table></div>"))


def _group_row(row: Row, width: int) -> str:
    if row.scope is Scope.URL:
        return ""
    name = row.label if row.label == "(anything else)" else row.group_label
    return f'<tr class="group"><th scope="rowgroup" colspan="{width + 1}">{page_text(name)}</th></tr>'


def _row(
    facts: _Facts, owner: tuple[int, Table], numbered: tuple[int, Row], verbs: tuple[str, ...], cells: Cells
) -> str:
    index, table = owner
    number, row = numbered
    label = row.label
    short = label if row.scope is Scope.URL else row.bare_label
    own = ' <span class="own" title="named by the policy">own</span>' if row.named_by_policy else ""
    name = label if _PLAIN.fullmatch(label) else f"row{number}"
    drawn = []
    for verb, cell in zip(verbs, cells, strict=True):
        if cell is None:
            drawn.append('<td><span class="absent"></span></td>')
            continue
        words = f"{verb} {label} by {_who(table.people)}: {sentence(cell, row, verb, facts.content.lines)}"
        address = page_text(f"t{index}:{verb}:{name}")
        reason_attribute = f' data-why="{page_text(cell.why)}"' if cell.why else ""
        reason_attribute += f' data-concern="{cell.concern.value}"' if cell.concern else ""
        words_text = page_text(words)
        drawn.append(
            f'<td><a class="{_class(cell)}" id="{address}" href="#{address}" data-v="{verb}" '
            f'data-c="{facts.place(cell, row, verb, table.people)}"{reason_attribute} aria-label="{words_text}" title="{words_text}">{_inner(cell)}</a></td>'
        )
    return f'<tr data-label="{page_text(label.lower())}" data-name="{page_text(label)}"><th scope="row">{page_text(short)}{own}</th>{"".join(drawn)}</tr>'


def _class(cell: Cell) -> str:
    words = ["cell", "split" if cell.depends else _CLASSES[cell.levels[0]]]
    words += ["sensitive"] if cell.why else []
    words += ["concern"] if cell.concern else []
    return " ".join(words)


def _inner(cell: Cell) -> str:
    if not cell.depends:
        return letters(cell)
    parts = [f'<span class="{_CLASSES[level]}">{LETTERS[level]}</span>' for level in cell.levels]
    return "".join((*parts, "<span>?</span>" if cell.cut else ""))
