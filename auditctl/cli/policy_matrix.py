"""Draw a policy on a terminal: coloured where colours may be written, always with letters, as lists where it is narrow."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from auditctl.cli.output import coloured
from auditctl.operations.policy.matrix import Drawn
from auditctl.policy.matrix import Cell, Cells, Concern, Person, Table
from auditctl.policy.matrix_rows import METHODS, VERBS, Row, Scope
from auditctl.policy.matrix_words import LETTERS, MEANINGS, letters, listed, place, where
from auditctl.policy.types import Level
from auditctl.printable import printable

_STYLES = {Level.NONE: "dim", Level.METADATA: "cyan", Level.REQUEST: "yellow", Level.REQUEST_RESPONSE: "bold magenta"}
_SHORT = {"deletecollection": "delcol"}
_SHORTEST = {verb: verb[:3] for verb in (*VERBS, *METHODS)} | {"deletecollection": "dcol"}
_ALARM = "bold red"
_LABEL_WIDTH = 24  # pods/ephemeralcontainers
_WIDTH_IN_A_PIPE = 110
_NARROWEST = 30


class Strip(NamedTuple):
    """Rows that are drawn as one because all of their signs are the same."""

    group: str
    labels: tuple[str, ...]
    signs: tuple[Text | None, ...]

    @property
    def label(self) -> str:
        """Return the names, with the group before them where they have one."""
        names = ", ".join(self.labels)
        return printable(f"{self.group}: {names}" if self.group else names)


def lines(drawn: Drawn) -> tuple[str, ...]:
    """Return the picture as lines, as wide as standard output is."""
    colour = coloured(sys.stdout)
    out = StringIO()
    console = Console(
        file=out,
        width=_width(),
        force_terminal=colour,
        no_color=not colour,
        color_system="auto" if colour else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    for part in _parts(drawn, console.width):
        console.print(part)
    server = f"kube-apiserver {drawn.version[0]}.{drawn.version[1]}"
    title = printable(f"{drawn.named.name}: what {server} records")  # as long as it is: a path is not cut
    return (title, *(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n")))


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if not sys.stdout.isatty() and not columns.isdecimal():
        return _WIDTH_IN_A_PIPE
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def _parts(drawn: Drawn, width: int) -> Iterator[RenderableType]:
    matrix = drawn.matrix
    yield from _legend(matrix.tables)
    for table in matrix.tables:
        yield Text()
        yield Text(printable(", ".join(person.label for person in table.people)), style="bold")
        for person in table.people:
            yield Padding(Text(printable(_person(person)), style="dim"), (0, 0, 0, 2))
        notes = _Notes(drawn)
        yield from _block("RESOURCE", VERBS, _strips(matrix.rows.resources, table.resources, VERBS, notes), width)
        yield from _block("URL", METHODS, _strips(matrix.rows.urls, table.urls, METHODS, notes), width)
        yield from notes.lines()
    if matrix.others:
        yield Text()
        others = printable(listed(matrix.others))
        yield Text(f"The policy also names users and groups who are none of these: {others} (--user).")
    if matrix.rows.left_out:
        yield Text(f"{matrix.rows.left_out} more resources or URLs that it names are not drawn.")


def _person(person: Person) -> str:
    user = person.user
    if user is None:
        return "authentication failed (401)"
    return f"{user.name} of {', '.join(user.groups)}" if user.groups else user.name


def _legend(tables: Sequence[Table]) -> Iterator[RenderableType]:
    """Yield the meaning of each sign that occurs."""
    cells = [cell for table in tables for row in (*table.resources, *table.urls) for cell in row if cell]
    levels = [
        (LETTERS[level], _STYLES[level], f"{level.value}: {MEANINGS[level]}")
        for level in Level
        if any(level in cell.levels for cell in cells)
    ]
    signs = (
        ("*", "", "sensitive", any(cell.why and not cell.concern for cell in cells)),
        ("!", _ALARM, f"sensitive, and {Concern.UNSEEN.value}", any(cell.concern is Concern.UNSEEN for cell in cells)),
        ("!", _ALARM, f"sensitive, and {Concern.BODY.value}", any(cell.concern is Concern.BODY for cell in cells)),
        ("(1)", "", "depends on namespace or name: see below", any(cell.depends for cell in cells)),
    )
    for sign, style, words in (*levels, *(row[:3] for row in signs if row[3])):
        yield Padding(Text.assemble((f"{sign:3} ", style), words), (0, 0, 0, 2))


def _strips(rows: Sequence[Row], cells: Sequence[Cells], verbs: tuple[str, ...], notes: _Notes) -> tuple[Strip, ...]:
    """Return the rows, those of one group with the same signs as one."""
    strips: dict[object, Strip] = {}
    for row, of_row in zip(rows, cells, strict=True):
        signs = tuple(cell and _sign(cell, row, verb, notes) for verb, cell in zip(verbs, of_row, strict=True))
        whole = row.scope is Scope.URL or row.label == "(anything else)"
        label = row.label if whole else row.bare_label
        key = (row.group, *(sign and sign.plain for sign in signs))
        if key in strips:
            strips[key] = strips[key]._replace(labels=(*strips[key].labels, label))
        else:
            strips[key] = Strip("" if whole or not row.group else row.group_label, (label,), signs)
    return tuple(strips.values())


class _Notes:
    """The conditions of the cells that depend on namespace or name, each listed once under a number."""

    def __init__(self, drawn: Drawn) -> None:
        self._lines = drawn.lines
        self._numbers: dict[str, int] = {}

    def number(self, cell: Cell, row: Row, verb: str) -> int:
        cases = (
            f"{LETTERS[case.level]} {where(case, cell, row, verb)} ({place(case.rule, self._lines)})"
            for case in cell.cases
        )
        text = "; ".join((*map(printable, cases), *(("and more rules than are listed",) if cell.cut else ())))
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def lines(self) -> Iterator[RenderableType]:
        for text, number in self._numbers.items():
            yield Padding(Text(f"({number}) {text}"), (0, 0, 0, 2))


def _block(head: str, verbs: tuple[str, ...], strips: Sequence[Strip], width: int) -> Iterator[RenderableType]:
    """Yield a grid where it fits, with whole verbs if possible; else a list."""
    for names, gap in (({}, 2), (_SHORT, 2), (_SHORT, 1), (_SHORTEST, 1)):
        heads = tuple(names.get(verb, verb) for verb in verbs)
        widths = [
            max(len(name), *(sign.cell_len if sign else 0 for sign in column))
            for name, column in zip(heads, zip(*(strip.signs for strip in strips), strict=True), strict=True)
        ]
        if sum(widths) + gap * len(widths) + _LABEL_WIDTH <= width:
            yield _grid(head, heads, strips, gap)
            return
    yield Text(f"{head}: signs and verbs", style="bold")
    yield from _list(verbs, strips)


def _grid(head: str, heads: tuple[str, ...], strips: Sequence[Strip], gap: int) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_edge=False, header_style="bold")
    grid.add_column(head, overflow="fold", min_width=_LABEL_WIDTH)
    for name in heads:
        grid.add_column(name, no_wrap=True, min_width=len(name))
    for strip in strips:
        grid.add_row(Text(strip.label), *(sign or Text() for sign in strip.signs))
    return grid


def _sign(cell: Cell, row: Row, verb: str, notes: _Notes) -> Text:
    """Return the letters, ``*`` for sensitive or ``!`` for a concern, and the number of the note."""
    text = Text()
    for index, level in enumerate(cell.levels):
        text.append("/" if index else "").append(LETTERS[level], style=_STYLES[level])
    text.append(letters(cell)[len(text.plain) :])
    if cell.concern:
        text.append("!", style=_ALARM)
    elif cell.why:
        text.append("*")
    return text.append(f"({notes.number(cell, row, verb)})") if cell.depends else text


def _list(verbs: tuple[str, ...], strips: Sequence[Strip]) -> Iterator[RenderableType]:
    """Yield a line for each row, and below it the verbs of each sign."""
    for strip in strips:
        yield Text(strip.label, style="bold", overflow="fold")
        named: dict[str, tuple[Text, list[str]]] = {}
        for verb, sign in zip(verbs, strip.signs, strict=True):
            if sign:
                named.setdefault(sign.plain, (sign, []))[1].append(verb)
        for sign, of_sign in named.values():
            yield Padding(Text.assemble(sign, f" {' '.join(of_sign)}"), (0, 0, 0, 3))
