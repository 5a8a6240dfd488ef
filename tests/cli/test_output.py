"""The same report as JSON and as YAML; text for people; nothing else on stdout."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from foldernode import PLAIN
from ruamel.yaml import YAML

from auditctl.cli.app import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())
    return tmp_path


def test_yaml_says_what_json_says(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read back by another reader, it is the same object with the contract's keys."""
    words = ["auditctl", "enable", "--dry-run", "--rootfs", str(root)]
    assert run([*words, "-o", "json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert run([*words, "-o", "yaml"]) == 0
    as_yaml = YAML(typ="safe", pure=True).load(capsys.readouterr().out)

    assert as_yaml == as_json
    assert list(as_json) == [
        "apiVersion", "kind", "command", "outcome", "changed", "exitCode", "summary", "manifest", "settings", "findings", "verification",
        "receipt", "timings", "standby", "change", "nextSteps",
    ]  # fmt: skip
    assert as_json["settings"]["policy"]["containerPath"] == "/etc/kubernetes/audit/policy.yaml"
    assert as_json["receipt"] is None


def test_a_refusal_is_a_report_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-o json on exit 3; in text it goes to stderr, and is said once."""
    words = ["auditctl", "--rootfs", str(root), "enable", "--policy", "no-such-policy"]
    assert run([*words, "-o", "json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["exitCode"], report["changed"]) == ("Refused", 3, False)
    assert report["findings"][0]["check"] == "policy-missing"

    assert run([*words, "-q"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("no-such-policy") == 1
    assert "next: " in told.err


def executed(words: list[str], stdout: Any = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "auditctl", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["policy", "show", "baseline"],
        ["policy", "list", "-o", "json"],
        ["policy", "matrix", "baseline", "-o", "json"],
        ["policy", "convert", "{old}"],
        ["policy", "explain", "baseline", "get", "pods"],
        ["policy", "explain", "baseline", "--requests", "{requests}"],
        ["flags"],
        ["recover", "--unit"],
        ["completion", "bash"],
        ["--rootfs", "{root}", "history", "-o", "json"],
        ["--rootfs", "{root}", "enable", "--dry-run"],
        ["kubeadm", "render", "--as", "kind", "--rootfs", "{root}"],
        ["--help"],
        ["enable", "--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_an_answer_that_does_not_fit_on_the_disk_is_an_error(words: list[str], root: Path) -> None:
    """Said on stderr, without a traceback; exit 1. `/dev/full` answers every write with ENOSPC."""
    (root / "old.yaml").write_text("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]\n")
    (root / "requests").write_text('{"user": "a", "groups": [], "method": "GET", "url": "/api/v1/pods"}\n')
    places = {"root": root, "old": root / "old.yaml", "requests": root / "requests"}

    with open("/dev/full", "w") as full:
        ran = executed([word.format(**places) for word in words], stdout=full)

    assert ran.returncode == 1, ran.stderr
    assert "cannot be written to standard output: no space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


def test_a_change_keeps_the_code_of_the_nodes_state(root: Path) -> None:
    """The node was changed, whether or not anybody could read that."""
    with open("/dev/full", "w") as full:
        ran = executed(["--rootfs", str(root), "enable", "--no-wait", "-o", "json"], stdout=full)

    assert ran.returncode == 0, ran.stderr
    assert "cannot be written to standard output" in ran.stderr
    assert "audit-policy-file" in (root / "etc/kubernetes/manifests/kube-apiserver.yaml").read_text()


def test_a_locale_that_cannot_encode_the_answer_is_an_error() -> None:
    """The character is written as an escape, and that is said; JSON is ASCII anyway."""
    words = ["policy", "explain", "baseline", "get pods by 日本"]
    ran = executed(words, PYTHONIOENCODING="ascii")
    assert ran.returncode == 1
    assert "\\u65e5" in ran.stdout
    assert "ascii has no character" in ran.stderr

    assert executed([*words, "-o", "json"], PYTHONIOENCODING="ascii").returncode == 0
    assert executed(words, PYTHONIOENCODING="utf-8").returncode == 0


@pytest.mark.parametrize("words", [["policy", "show", "baseline"], ["--help"], ["policy", "convert", "{old}"]])
def test_a_closed_pipe_is_no_error(words: list[str], root: Path) -> None:
    """As with `| head -1`: the reader has what it wanted."""
    (root / "old.yaml").write_text("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]\n")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = executed([word.format(old=root / "old.yaml") for word in words], stdout=writer)
    finally:
        os.close(writer)

    assert (ran.returncode, ran.stderr) == (0, "")


def test_names_cannot_write_to_the_terminal(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of a policy file stands in findings, the summary and progress, on a coloured terminal too."""
    name = root / "p\x1b]0;owned\x07\nauditing is on\u202e.yaml"
    name.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Nope}]\n")

    code = run(["auditctl", "--rootfs", str(root), "enable", "--policy", str(name), "--dry-run"])

    printed = capsys.readouterr().err
    assert code == 3
    assert "\\x1b]0;owned\\x07\\nauditing is on\\u202e" in printed
    assert not {"\x1b", "\x07", "\u202e"} & set(printed)


def test_a_long_command_says_on_a_terminal_that_it_works() -> None:
    """Standard input does not end: after two seconds there is a word on stderr."""
    words = [sys.executable, "-m", "auditctl", "policy", "validate", "-"]
    leader, terminal = pty.openpty()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=terminal, text=True) as ran:
        os.close(terminal)
        assert os.read(leader, 200) == b"[auditctl] policy validate: working; Ctrl-C stops it\r\n"
        out, _ = ran.communicate("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n")
    os.close(leader)
    assert ran.returncode == 0
    assert "accepted" in out


def test_watch_redraws_on_a_terminal_and_prints_the_time_elsewhere(root: Path) -> None:
    """On a terminal the screen is cleared before each report."""
    words = [sys.executable, "-m", "auditctl", "--rootfs", str(root), "status", "--watch"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as plain:
        assert plain.stdout is not None
        assert [plain.stdout.readline() for _ in range(2)][1].endswith("UTC, again every 2 s; Ctrl-C ends it\n")
        plain.send_signal(signal.SIGINT)
        assert (plain.wait(60), plain.stderr.read() if plain.stderr else "") == (0, "")
    leader, terminal = pty.openpty()
    with subprocess.Popen(words, stdout=terminal, stderr=subprocess.PIPE, env=os.environ | {"TERM": "xterm"}) as drawn:
        os.close(terminal)
        assert os.read(leader, 7) == b"\x1b[H\x1b[2J"
        drawn.send_signal(signal.SIGINT)
        with suppress(OSError):  # EIO: the terminal has closed
            while os.read(leader, 4096):
                pass
        assert drawn.wait(60) == 0
    os.close(leader)
