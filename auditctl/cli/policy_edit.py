"""``policy edit``: an editor, the verdict, what changes, then ``enable`` of it, as visudo and `kubectl edit` do.

The editor works on a copy. Neither the file nor the node sees a text that the API server would refuse.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.enable_options import EnableOptions
from auditctl.cli.options import ChangeArguments, takes
from auditctl.cli.output import write
from auditctl.errors import RefusedError
from auditctl.node.change import files
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.page_file import write_output
from auditctl.printable import printable
from auditctl.report import ManifestChange, Outcome, Report

_EDITORS = ("sensible-editor", "nano", "vim", "vi")


class EditedText(NamedTuple):
    """A policy to edit: where it is, and its bytes."""

    path: Path
    content: bytes


@takes(ChangeArguments)
def edit(
    context: typer.Context,
    options: ChangeArguments,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A policy; default: the node's own.")] = None,
) -> None:
    """Edit a policy in $EDITOR; if it is valid, show what changes, and enable it."""
    inherited = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}

    def operation(plane: ControlPlane) -> Report:
        return edit_and_enable(plane, file, EnableOptions(**inherited))

    run_and_exit(context, "policy edit", operation, changes=options.changes_node, interactive=True)


def edit_and_enable(plane: ControlPlane, file: Path | None, options: EnableOptions) -> Report:
    """Edit a policy (the node's where ``file`` is None), then enable it.

    Raises:
        RefusedError: there is no policy or no editor, or the edited text is not valid; it is kept, and named.
    """
    policy = _node_policy(plane) if file is None else EditedText(file, files.read_following(file, "policy"))
    folder = Path(tempfile.mkdtemp(prefix="auditctl-edit-"))  # 0700: nobody else may change the text meanwhile
    copy = folder / policy.path.name
    copy.write_bytes(policy.content)
    _edit_until_valid(plane, copy)
    content = copy.read_bytes()
    if content == policy.content:
        shutil.rmtree(folder)
        return Report(
            command="policy edit",
            outcome=Outcome.UNCHANGED,
            summary="No change: the text is the same.",
            manifest=ManifestChange(path=""),
        )
    _show_changes(plane, policy, copy)
    source = copy
    if file is not None and not options.dry_run:
        _write(file, content, copy)
        source = file
    report = dataclasses.replace(options, policy=str(source)).enable(plane)
    if report.exit_code in (0, 1):
        shutil.rmtree(folder)
        return report
    step = f"the edited policy is kept: {copy}"
    return replace(report, next_steps=(*report.next_steps, step))


def _node_policy(plane: ControlPlane) -> EditedText:
    from auditctl.node.preflight.node_checks import host_of
    from auditctl.settings import POLICY_FLAG

    _, manifest = plane.read_manifest()
    host = host_of(plane.root, manifest, POLICY_FLAG)
    if host is None:
        raise RefusedError(
            "Auditing is off: the node has no policy to edit",
            check="auditing-off",
            fix="auditctl enable --policy baseline",
        )
    return EditedText(host, files.read_following(host, "policy"))


def _write(file: Path, content: bytes, copy: Path) -> None:
    """Put the edited text where it came from. Raises RefusedError."""
    try:
        write_output(file, content)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        text = f"{file}: the policy cannot be written: {reason}; the edited policy is kept: {copy}"
        raise RefusedError(text, check="policy-unreadable") from error


def _edit_until_valid(plane: ControlPlane, copy: Path) -> None:
    """Run the editor until the text is valid, or the user gives up."""
    from auditctl.operations.policy.validate import ValidateOptions, validate

    editor = _editor()
    while True:
        code = subprocess.call([*editor, str(copy)])
        if code != 0:
            raise RefusedError(
                f"the editor {editor[0]} ended with code {code}", check="editor", fix=f"your text: {copy}"
            )
        verdict = validate(plane, ValidateOptions(files=(str(copy),)))
        for line in (*verdict.lines, verdict.summary):
            write(sys.stderr, printable(line))
        if verdict.exit_code == 0:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()) or not _again():
            raise RefusedError(
                f"{copy}: the API server would not load this policy as it is written",
                check="policy-invalid",
                fix=f"auditctl policy edit {copy}",
            )


def _editor() -> list[str]:
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if named:
        return shlex.split(named)
    editor = next((name for name in _EDITORS if shutil.which(name)), None)
    if editor is None:
        raise RefusedError("there is no editor", check="editor", fix="set EDITOR, for example EDITOR=vi")
    return [editor]


def _again() -> bool:
    sys.stderr.write("Edit again? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def _show_changes(plane: ControlPlane, policy: EditedText, copy: Path) -> None:
    """Say on stderr which requests change level; an old text that is not valid has none."""
    from auditctl.operations.policy.compare import diff

    before = copy.with_name(f"before-{copy.name}")
    before.write_bytes(policy.content)
    try:
        changes: CommandResult = diff(plane, str(before), str(copy), None)
    except RefusedError as error:
        write(sys.stderr, printable(f"the old policy is not valid, so it is not compared: {error.message}"))
        return
    for line in (*changes.lines, changes.summary):
        write(sys.stderr, printable(line))
