"""Global options before or after the command; durations; the hand-over to auditd."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from auditctl import durations
from auditctl.cli.command_line import hoist


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["enable", "-o", "json"], ["-o", "json", "enable"]),
        (["enable", "--rootfs=/x", "--policy", "p"], ["--rootfs=/x", "enable", "--policy", "p"]),
        (["-q", "enable", "-v"], ["-q", "-v", "enable"]),
        (["status", "-ojson"], ["-ojson", "status"]),
        (["x", "--", "-q"], ["x", "--", "-q"]),
        (["enable", "--version"], ["--version", "enable"]),
    ],
)
def test_global_options_come_to_the_front(words: list[str], expected: list[str]) -> None:
    """Where typer reads them."""
    assert hoist(words).words == expected


def test_an_option_without_its_value_is_named() -> None:
    """Not taken for a missing command."""
    assert hoist(["status", "-o"]).lacking == "-o"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400), ("0", 0), (".5s", 0.5), ("1h1m1s", 3661)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    """time.ParseDuration."""
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "300", "5M", "5 m", "-5m", "2d", "m", "5m3", "x5m"])
def test_what_go_refuses_is_refused(text: str) -> None:
    """In its words."""
    with pytest.raises(ValueError, match=r"time: (missing unit in|invalid) duration"):
        durations.parse(text)


AUDITD = "/usr/sbin/auditctl"
# In a mount namespace of its own auditd's program is something that cannot be executed.
WITHOUT_AUDITD = ("unshare", "--mount", "sh", "-c", f'mount --bind /dev/null {AUDITD} && exec "$@"', "sh")


def as_auditctl(tmp_path: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Call the front door under the name of auditd's program."""
    program = tmp_path / "auditctl"
    program.write_text(f"#!{sys.executable}\nfrom auditctl.__main__ import main\nmain()\n")
    program.chmod(0o755)
    return subprocess.run([*before, program, *words], capture_output=True, text=True)


@pytest.mark.skipif(os.path.exists(AUDITD) and os.getuid() != 0, reason="auditd is here; hiding it takes root")
@pytest.mark.parametrize(
    "words",
    [("-l",), ("-s",), ("-w", "/etc/passwd", "-p", "wa"), ("--reset-lost",), ("-v",), ("-e1",), ("-w/etc/passwd",)],
)
def test_auditds_options_are_handed_over_or_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Where auditd is not, one line says which program this is; exit 2. (Where it is: tests/packages.)"""
    ran = as_auditctl(tmp_path, *words, before=WITHOUT_AUDITD if os.path.exists(AUDITD) else ())

    assert ran.returncode == 2
    assert "auditd" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [(("-h",), 0), (("--version",), 0), (("-q", "status", "--rootfs", "/nowhere"), 3), (("enbale",), 2)],
)
def test_our_own_words_are_ours(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    """A command word, -h and --version."""
    ran = as_auditctl(tmp_path, *words)

    assert ran.returncode == code
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("enable", "--timeout", "300"),
        ("enable", "--allow", "everything"),
        ("enable", "--log-maxage", "-1"),
        ("enable", "--set", "profiling=false"),
        ("enable", "--no-log", "--log-path", "/x/y"),
        ("enable", "extra"),
        ("-o", "xml", "status"),
        ("--manifest", "relative", "status"),
        ("verify", "--expect", "nonsense"),
        ("disable", "--purge-logs"),
        ("disable", "--purge-logs", "--yes", "--no-wait"),
        ("enable", "--timeout", "0"),
        ("enable", "--policy", ""),
        ("status", "--rootfs"),
        ("verify", "--flag", "foo=1"),
        ("verify", "--expect", "get secrets"),
    ],
)
def test_usage_errors_are_exit_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Before anything is looked at."""
    ran = as_auditctl(tmp_path, *words)

    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
