"""Words that people paste or mistype: a flag with its dashes, a number with a unit."""

from __future__ import annotations

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
