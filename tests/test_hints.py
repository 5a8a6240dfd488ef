"""Commands in messages: named as the program was called, with the options that select the node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from foldernode import PLAIN

from auditctl.hints import COMMANDS, Invocation, program_name

PRACTICE = Invocation("kube-auditctl", (("--rootfs", "/tmp/n 1"), ("--kubeconfig", "a.conf")))
GIVEN = "kube-auditctl --rootfs '/tmp/n 1' --kubeconfig a.conf"


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("auditctl enable", f"{GIVEN} enable"),
        ("repair it, then: auditctl restart", f"repair it, then: {GIVEN} restart"),
        ("see `auditctl flags`, or auditctl status", f"see `{GIVEN} flags`, or {GIVEN} status"),
        ("sudo auditctl doctor --fix", f"sudo {GIVEN} doctor --fix"),
        ("auditctl --rootfs /other enable", "kube-auditctl --rootfs /other enable"),
        ("auditctl --rootfs=/other enable", "kube-auditctl --rootfs=/other enable"),
    ],
)
def test_a_command_is_written_as_it_has_to_be_typed(text: str, typed: str) -> None:
    assert PRACTICE.pasteable(text) == typed


def test_a_diff_in_a_plan_stays_the_text_of_the_file() -> None:
    """A policy's own comment may name a command of ours; what is shown of it must be what is installed."""
    plan = ("--- a", "+++ b", "@@ -1 +1 @@", " # see auditctl enable", "+# auditctl enable", "next: auditctl verify")

    assert tuple(PRACTICE.pasteable_lines(plan)) == (*plan[:-1], f"next: {GIVEN} verify")


@pytest.mark.parametrize(
    "text",
    [
        "/usr/sbin/auditctl enable",
        "kube-auditctl enable",
        "auditctl/policy-sha256: enable",
        "a bug of auditctl: see the log",
        "the state directory /var/lib/auditctl log",
        "auditctl enabled it",
        "auditctl enable (pid 7) is changing this node now",
    ],
)
def test_what_is_no_command_of_ours_stays(text: str) -> None:
    assert PRACTICE.pasteable(text) == text


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("/opt/auditctl/bin/kube-auditctl", "kube-auditctl"),
        ("auditctl", "auditctl"),
        ("/usr/bin/kubectl-auditctl", "kubectl auditctl"),
        ("/x/auditctl/__main__.py", "kube-auditctl"),
        ("/x/pytest", "auditctl"),
        ("./kube-auditctl.pyz", "kube-auditctl.pyz"),
    ],
)
def test_the_program_is_named_as_it_was_called(argument: str, name: str) -> None:
    assert program_name(argument) == name


def test_every_command_of_the_application_is_known_to_the_hints() -> None:
    import typer

    from auditctl.cli.application import build

    group = typer.main.get_command(build([]))
    assert set(group.commands) <= set(COMMANDS)  # type: ignore[attr-defined]


def called(name: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program under that name."""
    program = Path(sys.executable).with_name(name)
    line = [str(program), "--rootfs", str(folder), *words]
    environment = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("name", "shown"), [("kube-auditctl", "kube-auditctl"), ("kubectl-auditctl", "kubectl auditctl")]
)
def test_hints_usage_and_json_name_the_program_and_the_node(name: str, shown: str, tmp_path: Path) -> None:
    """D1, D2: pasted from a practice node, a hint must not act on the real one."""
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())

    enabled = called(name, tmp_path, "enable", "--no-wait")
    steps = [line.removeprefix("next: ") for line in enabled.stdout.splitlines() if line.startswith("next: ")]
    assert steps == [f"{shown} --rootfs {tmp_path} verify"]

    report = json.loads(called(name, tmp_path, "enable", "--no-wait", "-o", "json").stdout)
    assert all(step.startswith(f"{shown} --rootfs {tmp_path} ") for step in report["nextSteps"])

    refused = called(name, tmp_path, "flags", "zzz")
    assert refused.returncode == 2
    assert f"`{shown} --rootfs {tmp_path} flags`" in refused.stderr

    usage = called(name, tmp_path, "staus")
    assert usage.returncode == 2
    assert f"Usage: {shown} " in usage.stderr
    assert f"Try '{shown} -h'" in usage.stderr


def test_a_shipped_policy_is_printed_byte_for_byte(tmp_path: Path) -> None:
    """Its comments name commands; they are a file's text, not a hint."""
    shown = called("kube-auditctl", tmp_path, "policy", "show", "baseline")

    assert shown.stdout == (Path(__file__).parents[1] / "templates/policies/baseline.yaml").read_text()
