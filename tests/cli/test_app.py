"""Words that people paste or mistype: a flag with its dashes, a number with a unit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from auditctl.cli.app import run


def test_a_flag_is_taken_with_its_dashes(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["auditctl", "flags", "--audit-log-mode", "--kubernetes", "1.30"]) == 0
    output = capfd.readouterr()
    assert "--audit-log-mode  (string; default blocking)" in output.out
    assert "1.30" in output.err


def test_an_option_that_flags_does_not_have_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["auditctl", "flags", "--audit-lag-mode"]) == 2
    assert "has no flag --audit-lag-mode" in capfd.readouterr().err


@pytest.mark.parametrize("value", ["7d", "ten", "1.5"])
def test_a_number_that_is_none_is_explained(value: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["auditctl", "enable", "--log-maxage", value]) == 2
    assert f"'{value}' is not a whole number (write 7, not 7d or 7.5)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["enable", "--allow", "logdeletion"], "did you mean log-deletion?"),
        (["verify", "--flag", "audit-log-maxag=30"], "did you mean audit-log-maxage?"),
        (["verify", "--flag", "log-maxage=30"], "did you mean audit-log-maxage?"),
        (["log", "forecast", "--days", "7d"], "'7d' is not a number (write 7 or 7.5, not 7d)"),
        (["policy", "explain", "baseline", "--url", "healthz"], "write --url /healthz"),
        (["policy", "explain", "baseline", "--url", "/healthz", "--method", "GTE"], "'GTE' is no method of HTTP"),
    ],
)
def test_a_misspelt_value_is_answered_with_the_nearest(
    words: list[str], meant: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["auditctl", *words]) == 2
    assert meant in capfd.readouterr().err


def test_an_interrupt_while_modules_load_is_no_traceback() -> None:
    """Loading takes a second on a busy node; the import hook stands for Ctrl-C in it."""
    code = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
sys.argv = ["/usr/bin/kube-auditctl", "status"]
from auditctl.__main__ import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "kube-auditctl: interrupted; nothing was changed\n")
