"""``auditctl lab check --wants FILE``: a lab author's own requirements, graded by meaning."""

from pathlib import Path
from typing import Annotated

import typer

from auditctl.cli.context import finish
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report

Wants = Annotated[
    Path, typer.Option("--wants", metavar="FILE", help="Grade the node by the requirements of this YAML file.")
]


def check(context: typer.Context, wants: Wants) -> None:
    """Is it solved? Exit 0: yes; 1: not yet; 3: it cannot be told."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.grade_file import grade_file

        return grade_file(plane, wants)

    finish(context, "lab check", operation)
