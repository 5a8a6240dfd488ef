"""The result of a command: what ``-o json`` prints, what a person reads, the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from auditctl.findings import Finding
from auditctl.hints import Invocation
from auditctl.printable import printable
from auditctl.report import Report, finding_row, yaml_lines


class ReviewCase(NamedTuple):
    """One thing that a command has tested, for test reports; ``failure`` says what is wrong with it, "" is a pass."""

    name: str
    file: str
    line: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What a command hands to the command line; the report of a command on the node becomes one, too.

    ``document`` is what ``-o json`` prints, ``lines`` what a person reads, ``summary`` what is left of it with ``-q``.
    ``notes`` go to stderr, where a person reads them and no program stumbles over them.
    ``styled``: the lines hold our own escapes for the terminal, and no foreign text that was not made printable.
    ``verbatim``: lines and summary are a file's text, in which no command of ours is rewritten.
    ``is_error``: the text goes to stderr, for stdout is for answers.

    ``pieces`` are printed as they come, in place of document and lines; they are whole lines in the format that was
    requested. An empty piece says that nothing came for now. After the last piece ``closing_notes`` are printed, and
    ``closing_code`` is the exit code where that of the result is 0.
    ``endless``: only Ctrl-C ends the pieces, so that it is no interruption.
    ``findings`` and ``cases`` are what the formats for pipelines show of it (`auditctl.cli.findings_formats`).
    """

    document: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    summary: str = ""
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    styled: bool = False
    verbatim: bool = False
    is_error: bool = False
    pieces: Iterator[bytes] | None = None
    closing_notes: Callable[[], Iterable[str]] = tuple
    closing_code: Callable[[], int] = int
    endless: bool = False
    findings: tuple[Finding, ...] = ()
    cases: tuple[ReviewCase, ...] = ()

    def pasteable(self, invocation: Invocation) -> CommandResult:
        """Return the answer with the commands that it names as they have to be typed (program, global options)."""
        typed = invocation.pasteable
        return replace(
            self,
            document=_fixes_typed(self.document, invocation),
            lines=self.lines if self.verbatim else tuple(invocation.pasteable_lines(self.lines)),
            summary=self.summary if self.verbatim else typed(self.summary),
            notes=tuple(map(typed, self.notes)),
        )

    def text(self, output: str, *, quiet: bool = False) -> str:
        """Return the answer in the format ``output``: json, yaml, or text."""
        match output:
            case "json":
                return json.dumps(self.document, indent=2)
            case "yaml":
                return "\n".join(yaml_lines(self.document))
            case _:
                text = "\n".join((*(() if quiet else self.lines), *filter(None, (self.summary,))))
                return text if self.styled else printable(text, keep_newlines=True)


def text_result(report: Report) -> CommandResult:
    """Return the result of a report whose summary is a whole text to be piped: a script, a unit, a configuration."""
    return CommandResult(document=report.to_dict(), summary=report.summary, exit_code=report.exit_code, verbatim=True)


def _fixes_typed(value: Any, invocation: Invocation) -> Any:
    """Return the JSON value with each ``fix`` in it as it has to be typed."""
    if isinstance(value, Mapping):
        return {
            key: invocation.pasteable(one) if key == "fix" and isinstance(one, str) else _fixes_typed(one, invocation)
            for key, one in value.items()
        }
    return [_fixes_typed(one, invocation) for one in value] if isinstance(value, list) else value


def finding_rows(findings: Iterable[Finding]) -> list[Mapping[str, Any]]:
    """Return the findings in the shape that a report gives them."""
    return [finding_row(finding) for finding in findings]


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
    """Yield lines with columns, numbers to the right; control characters are escaped."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))] if texts else []
    for row in texts:
        cells = (
            cell.rjust(width) if cell[:1].isdigit() or cell == "-" else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()
