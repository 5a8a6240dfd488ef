"""The chart of the terminal: heights are to the scale at the left, times stand below their columns."""

from __future__ import annotations

from auditctl.log.terminal_chart import terminal_chart

BEGINS = 1_795_293_000  # 2026-11-21 20:30:00


def test_a_chart_has_a_scale_columns_and_times() -> None:
    lines = list(terminal_chart([600 * n for n in range(1, 31)], BEGINS, 30 * 60))

    assert lines == [
        "300 ┤                         ▂▃▅▆█",
        "    │                    ▂▃▅▆██████",
        "200 ┤               ▂▃▅▆███████████",
        "    │          ▂▃▅▆████████████████",
        "100 ┤     ▂▃▅▆█████████████████████",
        "    │▂▃▅▆██████████████████████████",
        "  0 ┼┬─────────┬─────────┬─────────",
        "     20:30     20:40     20:50",
    ]


def test_the_least_column_is_seen_and_an_empty_one_is_empty() -> None:
    lines = list(terminal_chart([1, 0, 100_000], BEGINS, 3))

    assert lines[3] == "       │▁ █"
    assert lines[0] == "100000 ┤  █"


def test_nothing_is_no_chart() -> None:
    assert list(terminal_chart([], BEGINS, 0)) == []
    assert [line[:3] for line in terminal_chart([0, 0], BEGINS, 2)] == ["1 ┤", "  │", "0 ┼", "   "]
