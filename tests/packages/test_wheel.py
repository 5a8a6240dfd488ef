"""`pip install` of the wheel into a fresh virtual environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from building import NAMES, RECEIPT, Built, needs_dpkg, without_our_environment

pytestmark = needs_dpkg


@pytest.mark.timeout(300)
def test_the_wheel_in_a_fresh_environment_runs_the_demo_to_the_receipt(built: Built, tmp_path: Path) -> None:
    """And all three names are there, each the same program."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{built.wheel}[lab]"], check=True, capture_output=True)

    said = [
        subprocess.run([environment / "bin" / name, "--version"], capture_output=True, text=True, check=True).stdout
        for name in ("auditctl", *NAMES)
    ]
    demo = subprocess.run(
        [environment / "bin/auditctl", "lab", "demo"], capture_output=True, text=True, env=without_our_environment()
    )

    assert len(set(said)) == 1
    assert said[0].startswith("auditctl ")
    assert (demo.returncode, RECEIPT in demo.stdout) == (0, True), demo.stderr
