"""The picture of a recorded run: one SVG without scripts, fonts or addresses of elsewhere. `python tests/picture/drawing.py`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

from recording import COLUMNS, Line, Run, Step, record

PICTURE = Path(__file__).parents[2] / ".github/run.svg"
_CELL, _ROW, _EDGE, _BAR = 7.83, 19, 18, 34
_COLOURS = {
    "": "#d7dae0",
    "1": "#ffffff",
    "32": "#7fd88f",
    "31": "#ff7b72",
    "33": "#e3b341",
    "36": "#76c7e0",
    "$": "#8b949e",
}
_SPACE = "&#160;"  # a plain one may be folded into its neighbour
_BOLD = ("1", "typed")
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"


def draw(steps: tuple[Step, ...]) -> str:
    """Every step under its prompt, then the exit code where it is not 0."""
    rows = [row for step in steps for line in _shown(step) for row in _wrapped(line)]
    width, height = round(COLUMNS * _CELL + 2 * _EDGE), _BAR + len(rows) * _ROW + _EDGE
    dots = "".join(
        f'<circle cx="{_EDGE + 4 + 20 * at}" cy="17" r="6" fill="{fill}"/>'
        for at, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    text = "\n".join(
        f'<text y="{_BAR + 13 + at * _ROW}">{"".join(_pieces(row))}</text>' for at, row in enumerate(rows) if row
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        'aria-label="A recorded run of auditctl on its practice node">\n'
        f'<rect width="{width}" height="{height}" rx="9" fill="#161b22"/>\n{dots}\n'
        f'<g font-family="{_FONT}" font-size="13">\n{text}\n</g>\n</svg>\n'
    )


def _shown(step: Step) -> Iterator[Line]:
    yield (Run("$", "$ "), Run("typed", step.typed))
    yield from step.lines
    if step.code:
        yield (Run("$", f"(exit {step.code})"),)
    yield ()


def _wrapped(line: Line) -> Iterator[Line]:
    """As a terminal does it, at the last column."""
    cells = [(run.style, one) for run in line for one in run.text]
    for start in range(0, max(len(cells), 1), COLUMNS):
        grouped = groupby(cells[start : start + COLUMNS], key=lambda cell: cell[0])
        yield tuple(Run(style, "".join(one for _, one in part)) for style, part in grouped)


def _pieces(row: Line) -> Iterator[str]:
    """Each piece at its own column and as wide as its cells, whatever font the reader has."""
    column = 0
    for run in row:
        fill = _COLOURS.get(run.style, _COLOURS["1"] if run.style in _BOLD else _COLOURS[""])
        weight = ' font-weight="600"' if run.style in _BOLD else ""
        place = (
            f'x="{_EDGE + column * _CELL:.1f}" textLength="{len(run.text) * _CELL:.1f}" lengthAdjust="spacingAndGlyphs"'
        )
        yield f'<tspan {place} fill="{fill}"{weight}>{escape(run.text).replace(" ", _SPACE)}</tspan>'
        column += len(run.text)


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(record()))
    print(PICTURE)
