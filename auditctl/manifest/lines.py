"""A text as lines, and splices on it. Lines keep their own ends, so that a mixed text stays mixed."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from auditctl.errors import BugError
from auditctl.patterns import lazily

# YAML 1.1 (and the kubelet's go-yaml, is_break) also breaks lines at NEL, LS and PS
BREAK = lazily("\r\n|[\n\r\x85\u2028\u2029]")


class Splice(NamedTuple):
    """Replace the characters from ``start`` up to ``end`` by ``replacement``; an insertion has ``start == end``."""

    start: int
    end: int
    replacement: str


class TextLines:
    """The line table of one text; lines count from 0 here.

    A last line without an end is given one while we work (its neighbour's) and loses it again in ``spliced``: so the
    text keeps having no final line end, whatever is put behind that line or taken out.
    """

    def __init__(self, text: str) -> None:
        starts = [0, *(line_break.end() for line_break in BREAK.finditer(text))]
        self.lent_end = ""
        if starts[-1] < len(text):
            ends = BREAK.findall(text)
            self.lent_end = ends[-1] if ends else "\n"
            starts.append(len(text) + len(self.lent_end))
        self.text = text + self.lent_end
        self.starts = starts[:-1] if len(starts) > 1 else starts

    def number(self, offset: int) -> int:
        """Return the line that ``offset`` is on."""
        return bisect_right(self.starts, offset) - 1

    def start(self, line: int) -> int:
        """Return the offset where ``line`` begins; the end of the text for the line behind the last."""
        return self.starts[line] if line < len(self.starts) else len(self.text)

    def content(self, line: int) -> str:
        """Return the text of ``line`` without its end; empty behind the last line."""
        return BREAK.split(self.text[self.start(line) : self.start(line + 1)], maxsplit=1)[0]

    def line_end(self, line: int) -> str:
        """Return the characters that end ``line``."""
        line_break = BREAK.search(self.text, self.start(line))
        return line_break.group() if line_break else "\n"

    def is_comment(self, line: int) -> bool:
        """Tell whether ``line`` holds nothing but a comment."""
        return line >= 0 and self.content(line).lstrip(" \t\ufeff").startswith("#")

    def insertion(self, line: int, new_lines: Iterable[str]) -> Splice:
        """Return the splice that puts ``new_lines`` before ``line``, each ended as the line above is."""
        end = self.line_end(max(line - 1, 0))
        return Splice(self.start(line), self.start(line), "".join(new + end for new in new_lines))

    def removals(self, spans: Iterable[tuple[int, int]]) -> list[Splice]:
        """Return the splices that take out whole lines; each span is its first line and the line behind its last."""
        return [Splice(self.start(first), self.start(behind), "") for first, behind in sorted(set(spans))]

    def spliced(self, splices: Iterable[Splice]) -> str:
        """Return the text with all splices performed; their positions are those of the original text.

        An insertion and a removal may touch. Raises BugError where two overlap: one would undo the other.
        """
        parts, position = [], 0
        for splice in sorted(splices, key=lambda one: (one.start, one.end)):
            if splice.start < position:
                raise BugError(f"two splices overlap at offset {splice.start}; nothing was written", check="splice")
            parts += [self.text[position : splice.start], splice.replacement]
            position = splice.end
        whole = "".join([*parts, self.text[position:]])
        return re.sub(f"(?:{BREAK.pattern})\\Z", "", whole) if self.lent_end else whole
