"""Commands that need no node run on macOS and Windows; those of a node say so in one line."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
GOLDEN = Path(__file__).parents[1] / "golden"
TEMPLATES = Path(__file__).parents[2] / "templates"
SYSTEMS = ("macos", "windows") if sys.platform == "linux" else ("",)  # elsewhere the real one
CLUSTER_CONFIGURATION = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"

# Exit code, command line, and a part of what it prints. All relative names are in the folder `laptop`.
ANYWHERE = (
    (0, "--help", "Usage:"),
    (0, "--version", "auditctl "),
    (0, "version -o json", '"version"'),
    (0, "help", "Usage:"),
    (0, "help exit-codes", "Refused"),
    (0, "help tutorial", "# Tutorial"),
    (0, "enable --help", "--log-maxage"),
    (0, "completion bash", "_auditctl_completion"),
    (0, "policy list", "baseline"),
    (0, "policy show writes", "kind: Policy"),
    (0, "policy show writes --modeline", "yaml-language-server"),
    (0, "policy validate p.yaml", "accepted"),
    (1, "policy validate wrong.yaml", "wrong.yaml:4:"),
    (0, "policy validate policies", "accepted"),
    (0, "policy validate policies/*.yaml -o sarif", '"2.1.0"'),
    (1, "policy validate wrong.yaml -o github", "::error file=wrong.yaml"),
    (0, "policy explain p.yaml get~secrets", "level"),
    (0, "policy explain p.yaml --requests requests.jsonl -o json", '"level"'),
    (0, "policy test p.yaml p.expect.yaml", "as expected"),
    (0, "policy diff p.yaml p.yaml", ""),
    (1, "policy diff p.yaml q.yaml", "->"),
    (0, "policy matrix p.yaml", "secrets"),
    (0, "policy matrix p.yaml --html page.html", "page.html"),
    (0, "policy convert old.yaml", "audit.k8s.io/v1"),
    (0, "policy schema", "json-schema.org"),
    (1, "policy coverage p.yaml", "falco"),
    (0, "policy replay p.yaml --log audit.log", "Metadata"),
    (0, "policy replay p.yaml --log audit.log --log more.log --processes 2", "Metadata"),
    (0, "policy suggest --log audit.log", "kind: Policy"),
    (0, "log tail --log audit.log -n 2", "LATENCY"),
    (0, "log tail --log audit.log.gz --verb get", "get"),
    (0, "log top --log audit.log", "USER"),
    (0, "log stats --log audit.log", "events"),
    (0, "log filter --policy p.yaml --log audit.log", '"auditID"'),
    (0, "log forecast --rate 10 --event-size 1000", "maxsize"),
    (0, "log forecast --log audit.log", "maxsize"),
    (0, "log history secrets/none --log audit.log", "No request"),
    (0, "log who kubernetes-admin --log audit.log", ""),
    (0, "log session no-such-id --log audit.log", "No request"),
    (0, "log values verb --log audit.log", "get"),
    (0, "flags", "--audit-log-maxage"),
    (0, "kubeadm render --as cluster-configuration", "extraArgs"),
    (0, "kubeadm render --as talos", "auditPolicy"),
    (0, "--rootfs node kubeadm check --from cluster.yaml", "would keep"),
    (0, "--rootfs node kubeadm preflight-upgrade 1.36 --from cluster.yaml", "keep their meaning"),
)
ON_A_NODE = (
    "enable",
    "enable --dry-run --rootfs node",
    "disable",
    "restart",
    "rollback",
    "recover",
    "status",
    "verify",
    "doctor",
    "history",
    "history show X",
    "cis",
    "kubeadm persist",
    "--rootfs node kubeadm check",
    "policy edit p.yaml",
    "log shipper --as vector",
    "lab up",
    "lab list",
    "lab demo",
    "lab scaffold scenario",
)


class Printed(NamedTuple):
    """What a command line printed, and its exit code."""

    code: int
    stdout: str
    stderr: str


def _words(line: str) -> list[str]:
    return [word.replace("~", " ") for word in line.split()]


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("laptop")
    for name, policy in (
        ("p.yaml", "baseline.yaml"),
        ("q.yaml", "cis.yaml"),
        ("p.expect.yaml", "baseline.expect.yaml"),
    ):
        shutil.copy(TEMPLATES / "policies" / policy, folder / name)
    text = (folder / "p.yaml").read_text()
    (folder / "policies").mkdir()
    (folder / "policies" / "one.yaml").write_bytes(text.replace("\n", "\r\n").encode())
    (folder / "wrong.yaml").write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: metadata\n")
    (folder / "old.yaml").write_text(text.replace("audit.k8s.io/v1", "audit.k8s.io/v1beta1"))
    (folder / "requests.jsonl").write_text('{"user": "a", "groups": [], "method": "GET", "url": "/api/v1/pods"}\n')
    lines = (GOLDEN / "logs" / "request-response-1.36.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "audit.log").write_bytes(b"".join(lines[:60]))
    (folder / "more.log").write_bytes(b"".join(lines[60:90]))
    (folder / "audit.log.gz").write_bytes(gzip.compress((folder / "audit.log").read_bytes()))
    kubeadm = GOLDEN / "kubeadm" / "v1.36.2"
    manifest = folder / "node/etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    shutil.copy(kubeadm / "plain+log.yaml", manifest)
    policy = folder / "node/etc/kubernetes/audit/policy.yaml"
    policy.parent.mkdir()
    policy.write_text(text)
    settings = (kubeadm / "plain+log.clusterconfiguration.yaml").read_text()
    (folder / "cluster.yaml").write_text(CLUSTER_CONFIGURATION + settings)
    return folder


def _environment(system: str, laptop: Path) -> dict[str, str]:
    """No manifest of this machine is to be found, whatever it is: the files of a node are looked for in the folder."""
    imitation = {"PYTHONPATH": str(HERE / "imitation"), "AUDITCTL_TEST_SYSTEM": system, "AUDITCTL_ROOTFS": str(laptop)}
    return {**os.environ, **imitation}


@pytest.fixture(scope="module")
def printed(laptop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Printed]:
    """What every command line of both tables printed on each system; the first worker runs them for all."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _print_all(laptop)
    import fcntl  # not on Windows

    shared = tmp_path_factory.getbasetemp().parent
    kept = shared / "printed-off-the-node.json"
    with (shared / "printed-off-the-node.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            rows = json.dumps([(*key, *answer) for key, answer in _print_all(laptop).items()])
            kept.write_text(rows.replace(str(laptop), "{laptop}"))
    rows = kept.read_text().replace("{laptop}", str(laptop))
    return {(system, line): Printed(*rest) for system, line, *rest in json.loads(rows)}


def _print_all(laptop: Path) -> dict[tuple[str, str], Printed]:
    lines = [*(line for _, line, _ in ANYWHERE), *ON_A_NODE]
    answers: dict[tuple[str, str], Printed] = {}
    for system in SYSTEMS:
        ran = subprocess.run(
            [sys.executable, HERE / "run_commands.py"],
            input=json.dumps([_words(line) for line in lines]),
            capture_output=True,
            text=True,
            cwd=laptop,
            env=_environment(system, laptop),
        )
        assert ran.returncode == 0, ran.stderr
        for line, row in zip(lines, json.loads(ran.stdout), strict=True):
            answers[system, line] = Printed(*row)
    return answers


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(("code", "line", "part"), ANYWHERE, ids=[line for _, line, _ in ANYWHERE])
def test_a_command_that_needs_no_node_runs_on_every_system(
    code: int, line: str, part: str, system: str, printed: dict[tuple[str, str], Printed]
) -> None:
    answer = printed[system, line]

    assert answer.code == code, answer
    assert part in answer.stdout, answer


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("line", ON_A_NODE)
def test_a_command_of_a_node_says_in_one_line_that_it_needs_linux(
    line: str, system: str, printed: dict[tuple[str, str], Printed]
) -> None:
    answer = printed[system, line]

    assert answer.code == 3, answer
    assert "needs Linux" in answer.stderr or "needs a Linux control-plane node" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("system", SYSTEMS)
def test_both_systems_print_what_linux_prints(
    system: str, laptop: Path, printed: dict[tuple[str, str], Printed]
) -> None:
    """A log read without pread, a policy read without openat2, and two processes in place of forks: the same answer."""
    lines = [line for _, line, _ in ANYWHERE if "--log " in line or line.startswith("policy validate")]
    ran = subprocess.run(
        [sys.executable, HERE / "run_commands.py"],
        input=json.dumps([_words(line) for line in lines]),
        capture_output=True,
        text=True,
        cwd=laptop,
        env=_environment("", laptop),
        check=True,
    )

    for line, row in zip(lines, json.loads(ran.stdout), strict=True):
        assert printed[system, line] == Printed(*row), line


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_policy_and_a_log_come_by_a_pipe(system: str, laptop: Path) -> None:
    command = [sys.executable, "-m", "auditctl"]
    policy, log = (laptop / "p.yaml").read_bytes(), (laptop / "audit.log.gz").read_bytes()

    checked = subprocess.run(
        [*command, "policy", "validate", "-"], input=policy, capture_output=True, env=_environment(system, laptop)
    )
    counted = subprocess.run(
        [*command, "log", "stats", "--log", "-"], input=log, capture_output=True, env=_environment(system, laptop)
    )

    assert (checked.returncode, checked.stderr) == (0, b"")
    assert b"accepted" in checked.stdout
    assert counted.returncode == 0
    assert b"60 events" in counted.stdout


def test_output_is_utf8_where_the_system_has_another_code_page(laptop: Path) -> None:
    """Windows writes its own code page to a file or a pipe, which has no box-drawing lines."""
    text = (laptop / "p.yaml").read_text().replace("# baseline:", "# 監査 baseline:", 1)
    command = [sys.executable, "-m", "auditctl", "policy", "convert", "-"]

    ran = subprocess.run(command, input=text.encode(), capture_output=True, env=_environment("windows", laptop))

    assert ran.returncode == 0, ran.stderr
    assert "監査" in ran.stdout.decode("utf-8")
