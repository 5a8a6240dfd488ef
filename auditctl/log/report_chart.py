"""Events over time as a drawing (SVG): stacked columns, with axes and times (UTC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from auditctl.compatibility import UTC
from auditctl.log.axes import nice_times, nice_values, time_label
from auditctl.log.report_view import Timeline
from auditctl.policy.page_text import page_text

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 230, 64, 12, 10, 34
_TICKS = 4


def chart(line: Timeline, parts: Sequence[Mapping[str, int]], names: Sequence[str], css: str, title: str) -> str:
    """Return the drawing; ``parts`` are the columns' events by name, drawn from below in the order of ``names``."""
    highest = max((sum(part.values()) for part in parts), default=0) / line.seconds
    values = nice_values(highest, _TICKS)
    top = values[-1] or 1.0
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    label = page_text(title)
    drawn = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}"><title>{label}</title>'
    ]
    for value in values:
        y = _TOP + plot_height * (1 - value / top)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text class="tick end" x="{_LEFT - 8}" y="{y + 4:.1f}">{value:g}</text>')
    drawn += _times(line, plot_width)
    step = plot_width / max(len(parts), 1)
    for index, part in enumerate(parts):
        base, left = _TOP + float(plot_height), _LEFT + index * step
        words = _words(line, index, part, names)
        if words:
            drawn.append(f'<g class="column"><title>{page_text(words)}</title>')
            drawn.append(f'<rect class="hit" x="{left:.2f}" y="{_TOP}" width="{step:.2f}" height="{plot_height}"/>')
            for place, name in enumerate(names):
                height = plot_height * part.get(name, 0) / line.seconds / top
                if height:
                    base -= height
                    drawn.append(
                        f'<rect class="{css}{place}" x="{left:.2f}" y="{base:.2f}" width="{max(step - 0.6, 0.6):.2f}" '
                        f'height="{max(height, 0.4):.2f}"/>'
                    )
            drawn.append("</g>")
    return "".join((*drawn, "</svg>"))


def _words(line: Timeline, index: int, part: Mapping[str, int], names: Sequence[str]) -> str:
    if not part:
        return ""
    stamp = datetime.fromtimestamp(line.columns[index].begins, UTC).strftime("%Y-%m-%d %H:%M:%S")
    by = ", ".join(f"{name} {part[name]}" for name in names if part.get(name))
    return f"{stamp} UTC: {sum(part.values())} events ({by})"


def _times(line: Timeline, plot_width: int) -> Iterator[str]:
    if not line.columns:
        return
    begins = line.columns[0].begins
    ends = line.columns[-1].begins + line.seconds
    step, times = nice_times(begins, ends, 8)
    for second in times:
        x = _LEFT + plot_width * (second - begins) / (ends - begins)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM + 5}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 19}">{time_label(second, step)}</text>'
