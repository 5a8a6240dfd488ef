"""What the commands on policies hand to the command line: an object of the contract, its text, the exit code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from auditctl.findings import Finding
from auditctl.report import finding_row, yaml_lines


class Answer(NamedTuple):
    """``document`` is what ``-o json`` prints, ``lines`` what a person reads, ``summary`` what is left of it with -q.

    ``notes`` are for stderr, where a person reads them and no program stumbles over them.
    """

    document: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    summary: str = ""
    exit_code: int = 0
    notes: tuple[str, ...] = ()

    def text(self, output: str, *, quiet: bool = False) -> str:
        """The answer in the asked format."""
        match output:
            case "json":
                return json.dumps(self.document, indent=2)
            case "yaml":
                return "\n".join(yaml_lines(self.document))
            case _:
                told = () if quiet else self.lines
                return "\n".join((*told, *filter(None, (self.summary,))))


def finding_rows(findings: Iterable[Finding]) -> list[Mapping[str, Any]]:
    """The findings in the contract's shape, which is the report's."""
    return [finding_row(finding) for finding in findings]
