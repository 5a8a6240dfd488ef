"""What the operating system offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from auditctl.system import IS_LINUX, READ_ONLY, open_flag, require_linux

IMITATION = Path(__file__).parent / "offnode" / "imitation"


def test_a_flag_that_the_system_lacks_changes_nothing() -> None:
    assert open_flag("O_APPEND") == os.O_APPEND
    assert open_flag("O_BINARY") == 0
    assert READ_ONLY & os.O_CLOEXEC


def test_on_linux_every_command_may_run() -> None:
    assert IS_LINUX

    require_linux("enable")


def test_elsewhere_the_refusal_names_what_is_needed() -> None:
    code = """
from auditctl.errors import RefusedError
from auditctl.system import require_linux
for subject in ("enable", "lab up"):
    try:
        require_linux(subject)
    except RefusedError as error:
        print(error.message, error.exit_code)
"""
    environment = {**os.environ, "PYTHONPATH": str(IMITATION), "AUDITCTL_TEST_SYSTEM": "macos"}

    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    enable, lab = ran.stdout.splitlines()
    assert enable.startswith("enable needs a Linux control-plane node; this is ")
    assert lab.startswith("lab up needs Linux; this is ")
    assert enable.endswith(" 3")
