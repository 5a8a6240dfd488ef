"""The shells are answered: commands, options, and the values that each may take."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from auditctl.cli.app import run
from auditctl.cli.application import build
from auditctl.cli.candidates import CANDIDATES
from auditctl.cli.completion import VARIABLE, script
from auditctl.operations.change_model import ALLOWED_CHECKS

FILES, NO_FILES = ":0", ":4"
NAMES = ("auditctl", "kube-auditctl", "kubectl-auditctl")


def answered(*words: str) -> tuple[list[str], str]:
    """The candidates for the last word, without their descriptions, and the directive."""
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {VARIABLE: "1"},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    *lines, directive = ran.stdout.splitlines()
    return [line.split("\t")[0] for line in lines], directive


def test_commands_and_options_are_offered() -> None:
    assert answered("po") == (["policy"], NO_FILES)
    assert answered("rec") == (["recover"], NO_FILES)
    assert answered("policy", "va") == (["validate"], NO_FILES)
    assert set(answered("enable", "--log-max")[0]) == {"--log-maxage", "--log-maxbackup", "--log-maxsize"}
    assert "--rootfs" in answered("status", "--")[0]


@pytest.mark.parametrize(
    ("words", "expected", "directive"),
    [
        (("policy", "show", "base"), ["baseline"], NO_FILES),
        (("enable", "--policy", "meta"), ["metadata"], FILES),
        (("enable", "--policy=meta"), ["metadata"], FILES),
        (("enable", "--policy", "=", "meta"), ["metadata"], FILES),
        (("policy", "validate", "quie"), ["quiet"], FILES),
        (("policy", "diff", "metadata", "wri"), ["writes"], FILES),
        (("enable", "--allow", "webhook-r"), ["webhook-reachable"], NO_FILES),
        (("policy", "validate", "--only", "unreach"), ["unreachable"], NO_FILES),
        (("flags", "audit-log-maxa"), ["audit-log-maxage"], NO_FILES),
        (("enable", "--set", "audit-log-maxa"), ["audit-log-maxage="], NO_FILES),
        (("enable", "--unset", "audit-log-maxa"), ["audit-log-maxage"], NO_FILES),
        (("status", "-o", "j"), ["json"], NO_FILES),
        (("-o", "y"), ["yaml"], NO_FILES),
        (("kubeadm", "render", "--as", "ki"), ["kind"], NO_FILES),
        (("kubeadm", "render", "--as", "ku"), ["kubeadmcontrolplane", "kubespray"], NO_FILES),
        (("kubeadm", "render", "--as", "talos", "--policy", "meta"), ["metadata"], FILES),
        (("log", "filter", "--policy", "meta"), ["metadata"], FILES),
        (("policy", "coverage", "--for", "fa"), ["falco"], NO_FILES),
        (("lab", "break", "another-d"), ["another-directory"], NO_FILES),
        (("lab", "list", "--kind", "f"), ["fault"], NO_FILES),
        (("log", "top", "--by", "r"), ["resource", "rule"], NO_FILES),
        (("log", "tail", "--level", "Request"), ["Request", "RequestResponse"], NO_FILES),
        (("completion", "z"), ["zsh"], NO_FILES),
        (("policy", "validate", "--kubernetes", "1.3"), [f"1.{n}" for n in range(37, 29, -1)], NO_FILES),
        (("help", "exit"), ["exit-codes"], NO_FILES),
        (("enable", "--log-path", "/v"), [], FILES),
        (("enable", "--webhook-config", "w"), [], FILES),
        (("status", "--rootfs", "n"), [], FILES),
        (("enable", "--log-maxage", ""), [], NO_FILES),
        (("lab", "up", "./n"), [], FILES),
    ],
)
def test_values_are_offered(words: tuple[str, ...], expected: list[str], directive: str) -> None:
    """Names where names are meant, files only where a file can be meant."""
    assert answered(*words) == (expected, directive)


def test_changes_of_the_named_node_are_offered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the global options that stand on the line."""
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    plain = Path(__file__).parents[1] / "golden/kubeadm/v1.36.2/plain.yaml"
    (manifests / "kube-apiserver.yaml").write_text(plain.read_text())
    assert run(["auditctl", "--rootfs", str(tmp_path), "enable", "--no-wait"]) == 0
    capsys.readouterr()

    ids, directive = answered("--rootfs", str(tmp_path), "rollback", "")

    assert (len(ids), directive) == (1, NO_FILES)
    assert answered("history", "show", "--rootfs", str(tmp_path), ids[0][:4]) == (ids, NO_FILES)


def test_every_source_belongs_to_a_parameter() -> None:
    """A renamed option must not lose its values; and every check of `--allow` is one of them."""
    names = {f"{path} {one.name}".strip() for path, command in commands() for one in command.params}
    names |= {one.name for _, command in commands() for one in command.params}

    assert set(CANDIDATES) - names == set()
    assert answered("enable", "--allow", "")[0] == list(ALLOWED_CHECKS)


def commands(command: Any = None, path: str = "") -> list[tuple[str, Any]]:
    """Every command with its words."""
    command = command or get_command(build([]))
    rows = [(path, command)]
    for name, one in getattr(command, "commands", {}).items():
        rows += commands(one, f"{path} {name}".strip())
    return rows


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o default"), ("zsh", "#compdef"), ("fish", "complete --command")]
)
def test_each_shell_gets_its_script(shell: str, word: str) -> None:
    """For every name of the program: `auditctl` is ours here, in a virtual environment."""
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", "completion", shell], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, word in ran.stdout) == (0, True)
    names = {name for name in NAMES if re.search(rf"(?<![\w-]){name}(?![\w-])", ran.stdout)}
    assert names == set(NAMES)
    assert not re.search(r"(?<![\w'-])auditctl(?![\w'-])", script("kube-auditctl", shell)), "there it is auditd's"
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=ran.stdout, text=True, capture_output=True).returncode == 0


BASH = """\
source <("$1" -m auditctl completion bash)
auditctl() { "$PYTHON" -m auditctl "$@"; }
COMP_WORDS=(auditctl enable --policy = met) COMP_CWORD=4
_auditctl_completion auditctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_completes_values_behind_an_equals_sign() -> None:
    """It takes `--policy=met` apart, and wants only the part behind the sign."""
    environment = os.environ | {"PYTHON": sys.executable}
    ran = subprocess.run(
        ["bash", "-c", BASH, "bash", sys.executable], capture_output=True, text=True, timeout=60, env=environment
    )
    assert ran.stdout == "metadata\n", ran.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not here")
def test_fish_completes_values(tmp_path: Path) -> None:
    program = tmp_path / "auditctl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m auditctl "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    code = "auditctl completion fish | source; complete -C 'auditctl policy show base'; complete -C 'auditctl enable --policy=meta'"
    ran = subprocess.run(["fish", "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert [line.split("\t")[0] for line in ran.stdout.splitlines()][:2] == ["baseline", "--policy=metadata"], (
        ran.stdout
    )


def test_another_shell_is_a_usage_error() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", "completion", "tcsh"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 2
    assert "bash, zsh, fish" in ran.stdout + ran.stderr


GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def node_with_log(tmp_path: Path) -> Path:
    """A node whose log has recorded users, and some whom an attacker has named."""
    manifests, logs = tmp_path / "etc/kubernetes/manifests", tmp_path / "var/log/kubernetes/audit"
    manifests.mkdir(parents=True)
    logs.mkdir(parents=True)
    shutil.copy(GOLDEN / "kubeadm/v1.36.2/plain.yaml", manifests / "kube-apiserver.yaml")
    run(["auditctl", "--rootfs", str(tmp_path), "enable", "--no-wait", "-q"])
    raw = (GOLDEN / "logs/request-response-1.36.jsonl").read_bytes()
    lines = [raw.splitlines()[0]] * 4
    for number, hostile in enumerate((b"$(reboot)", b"a;reboot", b"--option", b"x\\ny")):
        lines[number] = lines[number].replace(b'"username":"', b'"username":"' + hostile, 1)
    (logs / "audit.log").write_bytes(raw + b"\n".join(lines) + b"\n")
    return tmp_path


def test_users_and_resources_of_the_nodes_own_log_are_offered(
    node_with_log: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = ("--rootfs", str(node_with_log))

    assert "system:apiserver" in answered(*root, "log", "tail", "--user", "system:a")[0]
    assert "secrets" in answered(*root, "log", "who", "x", "--resource", "sec")[0]
    assert answered(*root, "log", "values", "na") == (["namespace", "name"], NO_FILES)
    assert answered("--rootfs", str(node_with_log / "none"), "log", "who", "sys")[0] == []


def test_a_name_that_a_shell_could_obey_is_not_offered(node_with_log: Path) -> None:
    offered = answered("--rootfs", str(node_with_log), "log", "tail", "--user", "")[0]

    assert offered
    assert not [each for each in offered if set(each) & set("$;() \\'\"`&|<>*?![]{}~#\n") or each.startswith("-")]
