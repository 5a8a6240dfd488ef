"""The unit for the boot names the very program that printed it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auditctl.operations.recover import unit


def test_the_unit_calls_the_program_that_printed_it(tmp_path: Path) -> None:
    """A single file has no name on PATH; everything else is as shipped."""
    ran = subprocess.run([sys.executable, "-m", "auditctl", "recover", "--unit"], capture_output=True, text=True)
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("ExecStart=")]
    command = line.removeprefix("ExecStart=").split()

    assert (command[0], command[2:]) == (sys.executable, ["--quiet", "recover"])
    assert "Before=kubelet.service" in ran.stdout
    assert subprocess.run([*command[:2], "--version"], capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("path", "written"),
    [("/opt/a b/auditctl.pyz", '"/opt/a b/auditctl.pyz"'), ("/opt/100%/$x.pyz", "/opt/100%%/$$x.pyz")],
)
def test_what_systemd_would_read_otherwise_is_quoted(path: str, written: str) -> None:
    """Blanks, specifiers, variables."""
    assert f"ExecStart=/usr/bin/python3 {written} --quiet recover" in unit(["/usr/bin/python3", path]).summary


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "auditctl-recover.service"
    path.write_text(unit([sys.executable, str(tmp_path)]).summary + "\n")
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True)

    assert "auditctl-recover.service" not in ran.stderr
