"""Numbers and columns as people read them, for the answers of commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditctl.printable import printable


def share(part: float, whole: float) -> str:
    """Return the share as ``12.3 %``."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def amount(count: float) -> str:
    """Return bytes as people read them: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def table(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Columns; those of numbers to the right. What a log says is escaped where a terminal would obey it."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))] if texts else []
    for row in texts:
        cells = (
            cell.rjust(width) if cell[:1].isdigit() or cell == "-" else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()
