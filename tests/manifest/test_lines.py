"""Lines keep their ends; splices do what they say, and never overlap."""

from __future__ import annotations

import pytest

from auditctl.errors import BugError
from auditctl.manifest.lines import Splice, TextLines


def test_a_line_has_a_number_a_start_a_content_and_an_end() -> None:
    lines = TextLines("a\r\nb\nc\u2028d\x85")
    assert [lines.number(offset) for offset in range(9)] == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert [lines.start(line) for line in range(6)] == [0, 3, 5, 7, 9, 9]
    assert [lines.content(line) for line in range(5)] == ["a", "b", "c", "d", ""]
    assert [lines.line_end(line) for line in range(4)] == ["\r\n", "\n", "\u2028", "\x85"]


def test_a_comment_line_holds_nothing_else() -> None:
    lines = TextLines("\ufeff# a\n \t# b\nc # d\n\n")
    assert [lines.is_comment(line) for line in (-1, 0, 1, 2, 3, 4)] == [False, True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "line", "after"),
    [
        ("a\r\nb\n", 1, "a\r\nx\r\nb\n"),
        ("a\r\nb\n", 2, "a\r\nb\nx\n"),
        ("a\r\nb\n", 0, "x\r\na\r\nb\n"),
        ("a\r\nb", 2, "a\r\nb\r\nx"),
        ("a", 1, "a\nx"),
    ],
)
def test_a_new_line_ends_as_the_line_above(text: str, line: int, after: str) -> None:
    lines = TextLines(text)
    assert lines.spliced([lines.insertion(line, ["x"])]) == after


@pytest.mark.parametrize(
    ("text", "spans", "after"),
    [
        ("a\nb\nc\n", [(1, 2)], "a\nc\n"),
        ("a\nb\nc", [(2, 3)], "a\nb"),
        ("a\nb\nc", [(1, 2), (2, 3), (1, 2)], "a"),
        ("a\n", [(0, 1)], ""),
    ],
)
def test_whole_lines_go(text: str, spans: list[tuple[int, int]], after: str) -> None:
    lines = TextLines(text)
    assert lines.spliced(lines.removals(spans)) == after


def test_a_line_may_come_where_another_goes_but_splices_never_overlap() -> None:
    lines = TextLines("a\nb\nc")
    assert lines.spliced([lines.insertion(1, ["x"]), *lines.removals([(1, 3)])]) == "a\nx"
    with pytest.raises(BugError, match="overlap"):
        lines.spliced([Splice(0, 3, ""), Splice(2, 2, "x")])
