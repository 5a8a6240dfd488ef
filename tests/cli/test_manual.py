"""`help --man` prints the manual page, for every way of installing."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from typer.main import get_command

from auditctl.cli.app import run
from auditctl.cli.application import build


def commands(group: object, before: str = "") -> list[str]:
    """Every command of the application, in words."""
    names: list[str] = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        names += commands(command, f"{before}{name} ") if hasattr(command, "commands") else [f"{before}{name}"]
    return names


def test_the_page_has_every_command_and_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["auditctl", "help", "--man"]) == 0
    page = capsys.readouterr().out

    sections = [line.removeprefix('.SS "').replace("\\-", "-") for line in page.splitlines() if line.startswith(".SS")]
    application = get_command(build([]))
    assert [name for name in commands(application) if not any(each.startswith(name) for each in sections)] == []
    assert ".B \\-\\-no\\-downtime" in page
    assert page.startswith('.TH KUBE\\-AUDITCTL 8 ""')


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_the_page_is_clean_roff(capsys: pytest.CaptureFixture[str]) -> None:
    run(["auditctl", "help", "--man"])

    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"], input=capsys.readouterr().out, capture_output=True, text=True
    )

    assert (ran.returncode, ran.stderr) == (0, "")
