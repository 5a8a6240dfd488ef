"""What the commands on policies hand to the command line: an object of the contract, its text, the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from auditctl.findings import Finding
from auditctl.hints import Invocation
from auditctl.patterns import lazily
from auditctl.report import finding_row, yaml_lines

_UNSEEN = lazily("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class CommandResult(NamedTuple):
    """``document`` is what ``-o json`` prints, ``lines`` what a person reads, ``summary`` what is left of it with -q.

    ``notes`` are for stderr, where a person reads them and no program stumbles over them. ``styled``: the lines hold
    our own escapes for the terminal, and none of a policy's. ``verbatim``: the lines are a file's text, and stay as they are.
    """

    document: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    summary: str = ""
    exit_code: int = 0
    notes: tuple[str, ...] = ()
    styled: bool = False
    verbatim: bool = False

    def pasteable(self, invocation: Invocation) -> CommandResult:
        """Return the answer with the commands that it names as they have to be typed (program, global options)."""
        typed = invocation.pasteable
        return self._replace(
            document=_fixes_typed(self.document, invocation),
            lines=self.lines if self.verbatim else tuple(map(typed, self.lines)),
            summary=self.summary if self.verbatim else typed(self.summary),
            notes=tuple(map(typed, self.notes)),
        )

    def text(self, output: str, *, quiet: bool = False) -> str:
        """The answer in the asked format."""
        match output:
            case "json":
                return json.dumps(self.document, indent=2)
            case "yaml":
                return "\n".join(yaml_lines(self.document))
            case _:
                text = "\n".join((*(() if quiet else self.lines), *filter(None, (self.summary,))))
                return text if self.styled else visible(text)


def _fixes_typed(value: Any, invocation: Invocation) -> Any:
    """Return the JSON value with each ``fix`` in it as it has to be typed."""
    if isinstance(value, Mapping):
        return {
            key: invocation.pasteable(one) if key == "fix" and isinstance(one, str) else _fixes_typed(one, invocation)
            for key, one in value.items()
        }
    return [_fixes_typed(one, invocation) for one in value] if isinstance(value, list) else value


def visible(text: str) -> str:
    """The text without what a policy could do to a terminal: controls, and what turns the writing around."""
    return _UNSEEN.sub("\ufffd", text)


def finding_rows(findings: Iterable[Finding]) -> list[Mapping[str, Any]]:
    """The findings in the contract's shape, which is the report's."""
    return [finding_row(finding) for finding in findings]
