"""Disk, other owners of the file, the kubelet's own directory, kubeadm at work, SELinux."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from foldernode import HERE

from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root
from auditctl.node.kubelet import config as kubelet_config
from auditctl.node.preflight import disk, other_managers, selinux

TEXT = (HERE / "golden/kubeadm/v1.36.2/plain+log.yaml").read_text()
LOG = "/var/log/kubernetes/audit/audit.log"
SLEEPER = "import time; time.sleep(300)"


def manifest(text: str = TEXT) -> Manifest:
    return Manifest.of(Document.of_text(text, "m.yaml"))


def with_flag(name: str, value: object) -> Manifest:
    lines = [line for line in TEXT.splitlines(keepends=True) if f"--{name}=" not in line]
    return manifest("".join(lines).replace("    - kube-apiserver\n", f"    - kube-apiserver\n    - --{name}={value}\n"))


def budget(root: Path, read: Manifest) -> list[Finding]:
    return list(disk.budget(Root(root), read, Root(root).host(LOG), "0"))


def test_a_log_that_fits_says_nothing_and_one_that_does_not_names_flags_that_do(tmp_path: Path) -> None:
    """Numbers on both sides, and flags that pass the same check."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize // (1 << 20)
    assert budget(tmp_path, with_flag("audit-log-maxsize", 1)) == []

    (one,) = budget(tmp_path, with_flag("audit-log-maxsize", free // 4))

    assert (one.check, one.severity) == ("disk", Severity.WARNING)
    assert f"of {free // 4} MB" in one.message
    words = one.fix.split()
    assert words[0] == "--log-maxbackup"
    fitting = TEXT.replace("maxsize=100", f"maxsize={free // 4}").replace("maxbackup=10", f"maxbackup={words[1]}")
    assert budget(tmp_path, manifest(fitting)) == []


def test_what_the_log_takes_already_is_in_its_budget(tmp_path: Path) -> None:
    """A full log must not be counted twice."""
    log = Root(tmp_path).host(LOG)
    log.parent.mkdir(parents=True)
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    read = with_flag("audit-log-maxsize", free // 11 // (1 << 20) + 100)
    assert len(budget(tmp_path, read)) == 1

    with log.open("wb") as file:
        file.truncate(4 << 30)  # a hole: it takes nothing, and its size counts

    assert budget(tmp_path, read) == []


@pytest.mark.parametrize(("name", "value"), [("audit-log-maxbackup", 0), ("audit-log-maxsize", 0)])
def test_a_log_without_a_bound_is_told(tmp_path: Path, name: str, value: int) -> None:
    """From 1.36 on maxsize=0 switches rotation off; before, it meant 100."""
    assert [finding.check for finding in budget(tmp_path, with_flag(name, value))] == ["disk"]
    older = with_flag(name, value).document.text.replace("v1.36.2", "v1.35.6")
    assert len(budget(tmp_path, manifest(older))) == (1 if name == "audit-log-maxbackup" else 0)


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("1Ki", 1024 / 10000), ("500", 0.05), (None, 0.1), ("?", 0.1)]
)
def test_an_eviction_threshold_is_a_share_or_a_size(text: str | None, share: float) -> None:
    """As the kubelet's configuration writes it; the default where it cannot be read."""
    assert disk.threshold(text, 10000) == int(10000 * share)


@pytest.mark.parametrize(
    ("marks", "severity", "knob"),
    [
        (["etc/systemd/system/kops-configuration.service"], Severity.ERROR, "spec.kubeAPIServer.auditPolicyFile"),
        (["etc/kubernetes/static-pod-resources"], Severity.ERROR, "spec.audit.profile"),
        (
            ["var/lib/rancher/rke2/agent/pod-manifests/kube-apiserver.yaml"],
            Severity.ERROR,
            "/etc/rancher/rke2/config.yaml",
        ),
        (
            ["etc/kubernetes/kubeadm-config.yaml", "etc/kubernetes/kubelet.env"],
            Severity.WARNING,
            "kubernetes_audit: true",
        ),
        (["run/cluster-api/bootstrap-success.complete"], Severity.WARNING, "KubeadmControlPlane"),
        (["var/lib/minikube/certs"], Severity.WARNING, "--extra-config=apiserver.audit"),
        (["kind/kubeadm.conf"], Severity.INFO, "kubeadmConfigPatches"),
    ],
)
def test_an_owner_is_named_with_its_own_knob(tmp_path: Path, marks: list[str], severity: Severity, knob: str) -> None:
    """Only where every mark of it is there."""
    for mark in marks:
        assert list(other_managers.owners(Root(tmp_path), manifest())) == []
        (tmp_path / mark).mkdir(parents=True)

    (one,) = other_managers.owners(Root(tmp_path), manifest())

    assert (one.check, one.severity) == ("foreign-manager", severity)
    assert knob in one.fix


@pytest.mark.parametrize(
    ("comment", "tool"),
    [
        ("# Ansible managed", "Ansible"),
        ("# This file is managed by Puppet. DO NOT EDIT", "Puppet"),
        ("# Generated by Chef for cp1", "Chef"),
        ("# managed by Salt", "Salt"),
        ("# managed by nobody", ""),
        ("# see the Ansible role", ""),
    ],
)
def test_a_header_claims_the_file(tmp_path: Path, comment: str, tool: str) -> None:
    """A comment that only mentions a tool does not."""
    found = list(other_managers.owners(Root(tmp_path), manifest(comment + "\n" + TEXT)))

    assert [(one.severity, one.message.split()[0]) for one in found] == ([(Severity.ERROR, tool)] if tool else [])


@contextmanager
def named(name: str, *words: str) -> Iterator[int]:
    """A process whose command line is ``name words``."""
    process = subprocess.Popen([name, "-c", SLEEPER, *words], executable=sys.executable)
    try:
        deadline = time.monotonic() + 10
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # the kernel shows it a moment after the exec
            assert time.monotonic() < deadline
        yield process.pid
    finally:
        process.kill()
        process.wait()


def kubelet_of(pid: int) -> kubelet_config.KubeletSettings:
    (kubelet,) = [one for one in kubelet_config.running("kubelet") if one.pid == pid]
    return kubelet_config.settings(kubelet)


def test_the_kubelets_directory_is_its_flags_else_its_files(tmp_path: Path) -> None:
    """A drop-in wins over the file, a flag over both; a relative path is the file's neighbour."""
    config, drop_ins = tmp_path / "config.yaml", tmp_path / "conf.d"
    drop_ins.mkdir()
    config.write_text("staticPodPath: pods\nevictionHard: {nodefs.available: 7%}\n")
    with named("kubelet", "--config", str(config)) as pid:
        assert kubelet_of(pid) == (f"{tmp_path}/pods", str(config), "7%", "unix:///run/containerd/containerd.sock")
    (drop_ins / "10.conf").write_text("staticPodPath: /dropped\n")
    with named("kubelet", f"--config={config}", f"--config-dir={drop_ins}") as pid:
        assert kubelet_of(pid).static_pods == "/dropped"
    with named("kubelet", f"--config={config}", "--pod_manifest_path=/flagged") as pid:
        assert kubelet_of(pid).static_pods == "/flagged"
    (drop_ins / "20.conf").write_text("containerRuntimeEndpoint: unix:///run/crio.sock\n")
    with named("kubelet", f"--config={config}", f"--config-dir={drop_ins}") as pid:
        assert kubelet_of(pid).runtime == "unix:///run/crio.sock"


def test_a_manifest_that_the_kubelet_does_not_read_is_an_error(tmp_path: Path) -> None:
    """Links are followed on both sides; without a kubelet it is unknown."""
    if any(kubelet_config.running("kubelet")):
        pytest.skip("a kubelet runs on this machine")
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (tmp_path / "link").symlink_to(manifests)
    (tmp_path / "other").mkdir()
    path = manifests / "kube-apiserver.yaml"
    assert list(kubelet_config.static_pods(path)) == []
    with named("kubelet", f"--pod-manifest-path={tmp_path}/link"):
        assert list(kubelet_config.static_pods(path)) == []
    with named("kubelet", f"--pod-manifest-path={tmp_path}/other"):
        (one,) = kubelet_config.static_pods(path)
        assert (one.check, one.severity) == ("static-pod-path", Severity.ERROR)
        assert f"{tmp_path}/other" in one.message
    with named("kubelet"):
        assert "reads no static Pods" in next(kubelet_config.static_pods(path)).message


def test_a_kubeadm_that_changes_the_node_is_waited_for(tmp_path: Path) -> None:
    """One that only prints is not; fresh backups are for the record."""
    root = Root(tmp_path)
    with named("kubeadm", "token", "list") as pid:
        assert not [one for one in kubelet_config.running_kubeadm(root, 0.0) if f"process {pid}" in one.message]
    with named("kubeadm", "upgrade", "apply") as pid:
        (one,) = [one for one in kubelet_config.running_kubeadm(root, 0.0) if f"process {pid}" in one.message]
        assert (one.check, one.severity) == ("kubeadm-at-work", Severity.ERROR)
    backup = root.host("/etc/kubernetes/tmp/kubeadm-backup-manifests-1")
    backup.mkdir(parents=True)
    written = backup.stat().st_mtime
    assert Severity.INFO in [one.severity for one in kubelet_config.running_kubeadm(root, written + 599)]
    assert Severity.INFO not in [one.severity for one in kubelet_config.running_kubeadm(root, written + 601)]


@pytest.mark.parametrize(
    ("kind", "severities"),
    [("container_file_t", []), ("var_log_t", [Severity.WARNING]), ("site_audit_t", [Severity.INFO])],
)
def test_a_label_is_open_closed_or_not_known(kind: str, severities: list[Severity]) -> None:
    """Sure only of what container-selinux says."""
    found = list(selinux.judged(Path("/var/log/kubernetes/audit"), f"system_u:object_r:{kind}:s0"))

    assert [finding.severity for finding in found] == severities


def test_selinux_is_asked_only_where_it_enforces(tmp_path: Path) -> None:
    """By the kernel's own file."""
    switch = tmp_path / "sys/fs/selinux/enforce"
    assert not selinux.is_enforcing(Root(tmp_path))
    switch.parent.mkdir(parents=True)
    switch.write_text("0")
    assert not selinux.is_enforcing(Root(tmp_path))
    switch.write_text("1")
    assert selinux.is_enforcing(Root(tmp_path))
