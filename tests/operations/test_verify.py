"""What is said is true and leads on: causes before guesses, advice that can be followed, headlines that nothing contradicts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from foldernode import PLAIN, POLICY

from auditctl.errors import RefusedError
from auditctl.findings import Severity, Status
from auditctl.hints import COMMANDS
from auditctl.node.apiserver.process import Process
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.cis import cis
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.command import doctor
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.evidence.running_server import ActivePolicy, Running
from auditctl.operations.status import status
from auditctl.operations.verify import VerifyOptions, verify
from auditctl.report import Report
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
FLAGS = (
    "    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml\n"
    "    - --audit-log-path=/var/log/kubernetes/audit/audit.log\n"
)
LINE = "    - --allow-privileged=true\n"


def with_flags(plane: ControlPlane, flags: str) -> str:
    """Write kubeadm's own manifest with these lines among its flags; its text."""
    text = PLAIN.read_text().replace(LINE, flags + LINE)
    plane.manifest_path.write_text(text)
    return text


def policy_at(plane: ControlPlane, path: str = "/etc/kubernetes/audit/policy.yaml", text: str = POLICY) -> Path:
    installed = plane.root.host(path)
    installed.parent.mkdir(parents=True, exist_ok=True)
    installed.write_text(text)
    return installed


def look(plane: ControlPlane) -> Report:
    return doctor(plane, ChangeOptions(), fix=False)


@pytest.mark.parametrize("dash", ["\u2013", "\u2014", "\u2212", "-\u2013"])
def test_a_dash_that_is_no_hyphen_is_the_cause_and_not_what_follows_from_it(
    folder_node: ControlPlane, dash: str
) -> None:
    """B15: copied from a page, the flag begins with a character that only looks right."""
    text = with_flags(folder_node, f"{FLAGS}    - {dash}audit-log-maxage=30\n")
    code = f"U+{ord(dash[-1]):04X}"

    report = look(folder_node)

    assert report.exit_code == 1
    assert (report.findings[0].check, code in report.findings[0].message) == ("odd-dash", True)
    assert text.splitlines()[report.findings[0].line - 1].endswith("audit-log-maxage=30")
    assert report.next_steps[0].startswith("write --audit-log-maxage=30")
    with pytest.raises(RefusedError, match=re.escape(code)):
        enable(folder_node, EnableRequest(Settings()), ChangeOptions(dry_run=True))


@pytest.mark.parametrize(
    ("item", "fix"),
    [
        ('"--audit-log-maxage 30"', "write --audit-log-maxage=30"),
        ("--audit-log-maxage=30d", "write a number"),
        ("--audit-log-maxage=", "write a number"),
        ("--audit-log-max-backups=1", "did you mean --audit-log-maxbackup?"),
        ("--audit-dynamic-configuration=true", ""),
    ],
)
def test_doctor_knows_what_enable_would_refuse(folder_node: ControlPlane, item: str, fix: str) -> None:
    """B16: without a server's last words, too."""
    policy_at(folder_node)
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)
    text = folder_node.manifest_path.read_text().replace("    - --audit-log-maxage=30\n", "")
    folder_node.manifest_path.write_text(text.replace(LINE, f"    - {item}\n{LINE}"))

    report = look(folder_node)

    assert report.exit_code == 1
    found = next(finding for finding in report.findings if finding.severity is Severity.ERROR)
    assert item.strip('"').split("=")[0].split(" ")[0] in found.message
    assert found.line
    assert fix in found.fix
    assert status(folder_node).exit_code == 1


def test_flags_without_mounts_are_mounted_by_the_next_step(folder_node: ControlPlane) -> None:
    """B09: the policy is there, and is to be mounted; the advice ends where the state is mended."""
    policy_at(folder_node)
    with_flags(folder_node, FLAGS)

    report = look(folder_node)
    assert report.exit_code == 1
    assert report.next_steps[0].split("  #")[0] == "auditctl enable"
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    assert look(folder_node).exit_code == 0


def test_a_server_that_died_for_want_of_a_mount_may_be_repaired_by_enable(folder_node: ControlPlane) -> None:
    """B09: `enable` refuses a server that is down, so the hint allows for it."""
    with_flags(folder_node, FLAGS)
    log = folder_node.root.host("/var/log/pods/kube-system_kube-apiserver-node_0123/kube-apiserver/0.log")
    log.parent.mkdir(parents=True)
    words = (
        'E1121 21:21:44.1 1 run.go:72] "command failed" err="loading audit policy file: failed to read file path '
        '\\"/etc/kubernetes/audit/policy.yaml\\": open /etc/kubernetes/audit/policy.yaml: no such file or directory"'
    )
    log.write_text(f"2099-11-21T21:26:27.1Z stderr F {words}\n")

    report = look(folder_node)

    assert "no mount of the manifest brings it in" in report.summary
    assert report.next_steps[0].startswith("auditctl enable --allow apiserver-ready")
    assert "The API server is down (crash looping" in status(folder_node).summary
    policy = next(check for check in cis(folder_node).verification.checks if check.name == "3.2.1")
    assert "inside the container: no volume mounts it" in policy.detail


def test_a_policy_in_pki_that_works_is_a_warning_with_the_command_that_moves_it(
    folder_node: ControlPlane, policy_file: Path
) -> None:
    """B19: it works; a new one there is refused."""
    path = "/etc/kubernetes/pki/audit-policy.yaml"
    policy_at(folder_node, path)
    with_flags(
        folder_node, FLAGS.replace("/etc/kubernetes/audit/policy.yaml", path).replace("/audit.log", "/audit.log")
    )

    found = [finding for finding in look(folder_node).findings if finding.check == "audit-path"]
    assert [finding.severity for finding in found] == [Severity.WARNING]
    assert found[0].fix == "auditctl enable --policy baseline --policy-path /etc/kubernetes/audit/policy.yaml"
    assert enable(folder_node, EnableRequest(Settings(log_maxage_days=5)), NO_WAIT).exit_code == 0

    moved = Settings(policy_path="/etc/kubernetes/audit/policy.yaml")
    assert enable(folder_node, EnableRequest(moved, str(policy_file)), NO_WAIT).exit_code == 0
    with pytest.raises(RefusedError):
        enable(folder_node, EnableRequest(Settings(policy_path=path), str(policy_file)), NO_WAIT)


def test_a_log_that_no_volume_mounts_is_a_no(folder_node: ControlPlane) -> None:
    """D3: `verify || page` must not stay silent while every event is lost with the container."""
    policy_at(folder_node)
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)
    text = folder_node.manifest_path.read_text()
    folder_node.manifest_path.write_text(text.replace("path=/var/log/kubernetes/audit/", "path=/data/audit/"))

    report = verify(folder_node, VerifyOptions())

    checks = {check.name: check.detail for check in report.verification.checks}
    assert report.exit_code == 1
    assert checks["receipt"] == "/data/audit/audit.log is inside the container: no volume mounts it"
    assert report.next_steps == ("auditctl doctor",)


def test_a_server_whose_policy_is_not_known_is_not_said_to_record(folder_node: ControlPlane) -> None:
    """Nothing was asked of it, so nothing is proved; without this check "holds" would be true."""
    with_flags(folder_node, FLAGS)
    manifest = folder_node.read_manifest()[1]
    process = Process(1, 0.0, tuple(manifest.command))
    running = Running(folder_node, manifest, process, ActivePolicy(None, known=False, edited=False))

    proof = running.prove()

    assert [(check.name, check.status) for check in proof.checks] == [("receipt", Status.UNKNOWN)]


def test_verify_says_no_where_the_manifest_cannot_be_read(folder_node: ControlPlane) -> None:
    """A read-only command has not "changed nothing": it has proved nothing, and says so."""
    with_flags(folder_node, f"{FLAGS}    - --audit-log-maxage=3\n    - --audit-log-maxage=30\n")

    for report in (verify(folder_node, VerifyOptions()), status(folder_node)):
        assert report.exit_code == 1
        assert "--audit-log-maxage is there twice" in report.summary
        assert "nothing was changed" not in report.summary


# -- every next step of every state can be typed


def _nothing(plane: ControlPlane) -> None:
    """Auditing is off."""


def _on(plane: ControlPlane) -> None:
    enable(plane, EnableRequest(Settings()), NO_WAIT)


def _unmounted(plane: ControlPlane) -> None:
    policy_at(plane)
    with_flags(plane, FLAGS)


def _no_policy_file(plane: ControlPlane) -> None:
    _on(plane)
    plane.root.host("/etc/kubernetes/audit/policy.yaml").unlink()


def _policy_is_a_directory(plane: ControlPlane) -> None:
    _no_policy_file(plane)
    plane.root.host("/etc/kubernetes/audit/policy.yaml").mkdir()


def _no_policy(plane: ControlPlane) -> None:
    with_flags(plane, FLAGS.splitlines(keepends=True)[1])


def _no_backend(plane: ControlPlane) -> None:
    policy_at(plane)
    with_flags(plane, FLAGS.splitlines(keepends=True)[0])


def _records_nothing(plane: ControlPlane) -> None:
    _on(plane)
    policy_at(plane, text=POLICY.replace("Metadata", "None"))


def _old_policy(plane: ControlPlane) -> None:
    _on(plane)
    policy_at(plane, text=POLICY.replace("k8s.io/v1", "k8s.io/v1beta1"))


def _copy_beside(plane: ControlPlane) -> None:
    _on(plane)
    copy = plane.manifest_path.with_name("kube-apiserver.yaml.bak")
    copy.write_bytes(plane.manifest_path.read_bytes())


def _moved_away(plane: ControlPlane) -> None:
    plane.manifest_path.rename(plane.root.host("/etc/kubernetes/kube-apiserver.yaml"))


def _standard_output(plane: ControlPlane) -> None:
    _on(plane)
    folder = plane.root.host("/var/log/kubernetes/audit")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.log").touch()
    text = plane.manifest_path.read_text()
    plane.manifest_path.write_text(text.replace("path=/var/log/kubernetes/audit/audit.log", "path=-"))


STATES = [
    *(_nothing, _on, _unmounted, _no_policy_file, _policy_is_a_directory, _no_policy, _no_backend),
    *(_records_nothing, _old_policy, _copy_beside, _moved_away, _standard_output),
]


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of ours in a hint, with something in the place of FILE and PATH."""
    for found in re.findall(rf"(?<![\w./-])auditctl ((?:{'|'.join(COMMANDS)})\b[^`;#\]]*)", text):
        line = re.sub(r"\bFILE\b", "baseline", re.sub(r"\bPATH\b", "/var/log/a/a.log", found)).strip()
        yield shlex.split(re.split(r"  |, | prints | names ", line)[0])


@pytest.mark.parametrize("begin", STATES, ids=lambda state: state.__name__)
def test_every_next_step_is_a_command_of_this_program(
    begin: Callable[[ControlPlane], None], folder_node: ControlPlane
) -> None:
    """D1, D7: each hint of status, verify, doctor and cis parses as it stands; what fails has a next step."""
    from typer.testing import CliRunner

    from auditctl.cli.application import build

    begin(folder_node)
    runner = CliRunner()
    reports = (status(folder_node), verify(folder_node, VerifyOptions()), look(folder_node))
    for report in reports:
        assert report.exit_code == 0 or report.next_steps, report.summary
        hints = (*report.next_steps, *(finding.fix for finding in report.findings), *report.lines)
        for words in (words for hint in hints for words in commands(hint)):
            ran = runner.invoke(build([]), [*words, "--help"])
            assert ran.exit_code == 0, (words, ran.output)
    assert not any(step == f"auditctl {report.command}" for report in reports for step in report.next_steps)
