"""The drawing of events over time: every column is drawn to its height, with words for it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from auditctl.log.report_chart import chart
from auditctl.log.report_view import LEVELS, Column, Timeline


def test_columns_are_as_high_as_their_numbers_and_say_them() -> None:
    columns = [Column(1_795_293_000 + 60 * n, {"Metadata": n, "Request": 2 * n}, {}) for n in range(1, 11)]
    text = chart(Timeline(60, columns), [column.levels for column in columns], LEVELS, "l", "Events & more")
    root = ET.fromstring(text)
    groups = [each for each in root.iter("g") if each.get("class") == "column"]
    heights = [[float(rect.get("height") or 0) for rect in group.findall("rect")[1:]] for group in groups]

    assert len(groups) == 10
    assert all(abs(request - 2 * metadata) < 0.02 for metadata, request in heights)
    assert heights[9][0] > 9 * heights[0][0]
    assert (groups[0][0].text or "").startswith("2026-11-21 20:31:00 UTC: 3 events (Metadata 1, Request 2)")
    assert root.get("aria-label") == "Events & more"


def test_axes_have_round_values_and_times() -> None:
    columns = [Column(1_795_293_000 + 60 * n, {"Metadata": 600}, {}) for n in range(60)]
    text = chart(Timeline(60, columns), [column.levels for column in columns], LEVELS, "l", "t")
    ticks = re.findall(r'class="tick(?: end)?"[^>]*>([^<]+)<', text)

    assert ticks[:3] == ["0", "5", "10"]
    assert "20:40" in ticks


def test_no_columns_are_an_empty_drawing() -> None:
    assert ET.fromstring(chart(Timeline(1, []), [], LEVELS, "l", "t")).tag == "svg"
