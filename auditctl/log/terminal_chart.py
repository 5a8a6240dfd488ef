"""Events over time as lines of text: columns with a scale at the left and times (UTC) below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditctl.log.axes import nice_times, nice_values, time_label

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ROWS_A_STEP = 2
_STEPS = 4
_LEAST_LABEL_GAP = 10


def terminal_chart(counts: Sequence[int], begins: int, seconds: int) -> Iterator[str]:
    """Yield the lines; ``counts`` are events in equal parts of so many seconds from ``begins`` (since 1970) on."""
    if not counts:
        return
    each = seconds / len(counts)
    values = nice_values(max(counts) / each, _STEPS)
    rows = _ROWS_A_STEP * (len(values) - 1)
    labels = [f"{value:g}" for value in values]
    width = max(map(len, labels))
    eighths = [round(count / each / values[-1] * rows * 8) if count else 0 for count in counts]
    heights = [max(height, 1) if count else 0 for height, count in zip(eighths, counts, strict=True)]
    for row in range(rows, 0, -1):
        step, rest = divmod(row, _ROWS_A_STEP)
        label, mark = (labels[step], "┤") if not rest else ("", "│")
        drawn = "".join(_BLOCKS[min(max(height - 8 * (row - 1), 0), 8)] for height in heights)
        yield f"{label:>{width}} {mark}{drawn}".rstrip()
    marks, times = _times(len(counts), begins, seconds)
    yield f"{labels[0]:>{width}} ┼{marks}"
    yield f"{'':{width}}  {times}".rstrip()


def _times(width: int, begins: int, seconds: int) -> tuple[str, str]:
    """Return the line below the columns, and the times below that."""
    line, words = ["─"] * width, [" "] * (width + _LEAST_LABEL_GAP)
    step, times = nice_times(begins, begins + seconds, max(width // _LEAST_LABEL_GAP, 1))
    for second in times:
        place = min((second - begins) * width // max(seconds, 1), width - 1)
        line[place] = "┬"
        label = time_label(second, step)
        words[place : place + len(label)] = label
    return "".join(line), "".join(words)
