"""The kubelet's own directory of manifests and its eviction threshold; a kubeadm at work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from auditctl.findings import Severity
from auditctl.node.change.files import Root
from auditctl.node.kubelet import config as kubelet_config
from auditctl.node.preflight import disk

SLEEPER = "import time; time.sleep(300)"


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("1Ki", 1024 / 10000), ("500", 0.05), (None, 0.1), ("?", 0.1)]
)
def test_an_eviction_threshold_is_a_share_or_a_size(text: str | None, share: float) -> None:
    """As the kubelet's configuration writes it; the default where it cannot be read."""
    assert disk.threshold(text, 10000) == int(10000 * share)


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
