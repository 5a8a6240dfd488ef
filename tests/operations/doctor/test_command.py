"""doctor on nodes that are just files: what it says, what it leaves open, and that no manifest makes it fall."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from foldernode import PLAIN, POLICY

from auditctl.findings import Severity
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.command import doctor
from auditctl.report import Report

MANIFESTS = "etc/kubernetes/manifests"


def look(plane: ControlPlane, **options: Any) -> Report:
    report = doctor(plane, ChangeOptions(**options), fix=False)
    json.loads(report.to_json())
    assert report.to_text()
    return report


def errors(report: Report) -> list[str]:
    return [finding.check for finding in report.findings if finding.severity is Severity.ERROR]


def test_a_folder_that_no_kubelet_was_started_from_leaves_the_live_state_open(folder_node: ControlPlane) -> None:
    report = look(folder_node)

    assert report.exit_code == 0
    assert errors(report) == []
    assert report.details["doctor"]["state"] == "unseen"
    assert report.details["doctor"]["certain"] is False
    assert look(folder_node, strict=True).exit_code == 1


def attempt(plane: ControlPlane, line: str) -> None:
    log = plane.root.host("/var/log/pods/kube-system_kube-apiserver-node_0123/kube-apiserver/0.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"2099-11-21T21:26:27.1Z stderr F {line}\n")


def test_the_containers_last_words_are_told_with_file_and_line(folder_node: ControlPlane) -> None:
    text = PLAIN.read_text().replace(
        "    - --allow-privileged=true\n", "    - --allow-privileged=true\n    - --audit-log-max-size=5\n"
    )
    folder_node.manifest_path.write_text(text)
    attempt(folder_node, "Error: unknown flag: --audit-log-max-size")

    report = look(folder_node)

    assert report.exit_code == 1
    finding = report.findings[0]
    assert (finding.check, finding.file) == ("flag-unknown", str(folder_node.manifest_path))
    assert text.splitlines()[finding.line - 1].strip() == "- --audit-log-max-size=5"
    assert report.next_steps == ("did you mean --audit-log-maxsize?",)
    assert report.details["doctor"] | {"kubeletLog": None} == {
        "state": "crash-looping",
        "certain": True,
        "cause": "the API server knows no flag --audit-log-max-size (unknown flag: --audit-log-max-size)",
        "words": "unknown flag: --audit-log-max-size",
        "said": {"by": "apiserver", "at": "2099-11-21T21:26:27.1Z"},
        "kubeletLog": None,
        "guessed": [],
    }


def test_what_only_may_be_the_cause_is_said_to_be_a_guess(folder_node: ControlPlane) -> None:
    attempt(
        folder_node,
        'E1121 21:21:44.1 1 run.go:72] "command failed" err="listen tcp :6443: bind: address already in use"',
    )

    report = look(folder_node)

    assert report.details["doctor"]["certain"] is False
    assert report.findings[0].message.startswith("probably: ")
    assert report.details["doctor"]["guessed"] == [report.findings[0].check]


def test_a_kubelets_log_is_read_where_no_kubelet_runs_any_more(folder_node: ControlPlane) -> None:
    log = folder_node.root.host("/var/log/kubelet.log")
    log.parent.mkdir(parents=True)
    log.write_text(
        'E1231 23:59:59.667479    1035 file.go:187] "Could not process manifest file" err="invalid pod: '
        '[spec.volumes[0].name: Duplicate value: \\"ca-certs\\"]" path="/etc/kubernetes/manifests/kube-apiserver.yaml"\n'
    )

    report = look(folder_node)

    assert errors(report) == ["volume-name-twice"]
    finding = report.findings[0]
    assert "name: ca-certs" in folder_node.manifest_path.read_text().splitlines()[finding.line - 1]
    assert report.details["doctor"]["state"] == "never-started"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("", "manifest"),
        ("kind: Pod\n  bad: [\n", "yaml"),
        ("\tx: 1\n", "yaml"),
        ("kind: Pod\nmetadata: {name: {{ name }}}\n", ""),
        ("kind: Service\n", "manifest"),
        ("- a\n- b\n", "manifest"),
        ("{}", "manifest"),
        ("kind: Pod\nmetadata: {name: x}\nspec: {containers: [{command: [sh, -c, kube-apiserver]}]}\n", "wrapper"),
        (PLAIN.read_text().replace("    - --secure-port=6443\n", "    - --secure-port=https\n"), ""),
        (PLAIN.read_text().replace("      name: k8s-certs\n", "      name: k8s-cert\n"), ""),
        (PLAIN.read_text()[:700], ""),
    ],
)
def test_no_manifest_makes_it_fall(text: str, check: str, folder_node: ControlPlane) -> None:
    folder_node.manifest_path.write_text(text)

    report = look(folder_node)

    if check:
        assert report.exit_code == 1
        assert check in errors(report)
        finding = next(finding for finding in report.findings if finding.check == check)
        assert finding.file == str(folder_node.manifest_path)
        assert finding.line


def test_bytes_that_are_no_text_are_told_with_their_line(folder_node: ControlPlane) -> None:
    folder_node.manifest_path.write_bytes(b"kind: Pod\nx: \xff\xfe\n")

    report = look(folder_node)

    assert report.findings[0].line == 2


def test_a_manifest_that_was_moved_away_is_found(folder_node: ControlPlane) -> None:
    moved = folder_node.root.host("/etc/kubernetes/kube-apiserver.yaml")
    folder_node.manifest_path.rename(moved)

    report = look(folder_node)

    assert errors(report) == ["manifest-missing"]
    assert f"mv {moved} {folder_node.manifest_path}" in report.next_steps[0]
    beside = folder_node.manifest_path.with_name("apiserver.yaml")
    moved.rename(beside)
    assert look(folder_node).next_steps == (f"specify it: --manifest /{MANIFESTS}/apiserver.yaml",)


@pytest.mark.parametrize(
    ("mark", "words"),
    [("etc/rancher/k3s", "k3s"), ("var/lib/rancher/rke2", "RKE2"), ("etc/kubernetes/kubelet.conf", "worker")],
)
def test_another_kind_of_node_is_recognised(mark: str, words: str, folder_node: ControlPlane) -> None:
    folder_node.manifest_path.unlink()
    (folder_node.rootfs / mark).mkdir(parents=True)

    report = look(folder_node)

    assert report.exit_code == 1
    assert words in report.findings[0].message
    assert report.findings[0].fix


def test_a_folder_with_nothing_in_it_is_no_node(tmp_path: Path) -> None:
    report = look(ControlPlane(rootfs=tmp_path))

    assert errors(report) == ["manifest-missing"]


def test_a_copy_beside_the_manifest_names_both_and_the_outage(folder_node: ControlPlane) -> None:
    copy = folder_node.manifest_path.with_name("kube-apiserver.yaml.bak")
    copy.write_bytes(folder_node.manifest_path.read_bytes())

    report = look(folder_node)

    assert errors(report) == ["stray-manifests"]
    message = report.findings[0].message if report.findings[0].check == "stray-manifests" else report.summary
    assert str(copy) in message
    assert str(folder_node.manifest_path) in message
    assert "15 to 45 s" in message
    assert copy.exists()


def test_an_installed_policy_that_the_next_start_would_die_of_is_told(folder_node: ControlPlane) -> None:
    from auditctl.operations.enable import EnableRequest, enable
    from auditctl.settings import Settings

    policy = folder_node.rootfs / "p.yaml"
    policy.write_text(POLICY)
    enable(folder_node, EnableRequest(Settings(), str(policy)), ChangeOptions(wait=False))
    installed = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    assert look(folder_node).exit_code == 0
    installed.write_text(POLICY.replace("Metadata", "Metada"))

    report = look(folder_node)

    assert report.exit_code == 1
    bad = next(finding for finding in report.findings if finding.severity is Severity.ERROR)
    assert (bad.file, bad.line, bad.path) == (str(installed), 4, "rules[0].level")
