"""The shells are answered: commands, commands of a group, options of a command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def answered(words: str, position: int) -> list[str]:
    """What bash is told when it asks as the script does."""
    asked = {"_AUDITCTL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl"], capture_output=True, text=True, timeout=60, env=os.environ | asked
    )
    return ran.stdout.split()


def test_commands_and_options_are_offered() -> None:
    assert answered("auditctl po", 1) == ["policy"]
    assert "validate" in answered("auditctl policy va", 2)
    assert set(answered("auditctl enable --log-max", 2)) == {"--log-maxage", "--log-maxbackup", "--log-maxsize"}


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o default"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_each_shell_gets_its_script(shell: str, word: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", "completion", shell], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, word in ran.stdout) == (0, True)


def test_another_shell_is_a_usage_error() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", "completion", "tcsh"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "bash, zsh, fish" in ran.stdout + ran.stderr
