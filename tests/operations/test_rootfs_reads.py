"""Under ``--rootfs`` nothing outside is read: whichever file of the node is a link that leads out, no command opens it."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from foldernode import HOOK, PLAIN, POLICY

from auditctl.cli.app import run

_IN_OPEN = 0x20  # linux/inotify.h
FILES = {
    "etc/kubernetes/manifests/kube-apiserver.yaml": None,
    "etc/kubernetes/manifests/kube-apiserver.yaml.bak": PLAIN.read_text(),
    "etc/kubernetes/admin.conf": "apiVersion: v1\nkind: Config\n",
    "etc/kubernetes/pki/ca.crt": "no certificate\n",
    "etc/kubernetes/audit/policy.yaml": None,
    "etc/kubernetes/audit/webhook.yaml": None,
    "var/lib/kubelet/config.yaml": "staticPodPath: /etc/kubernetes/manifests\n",
    "var/log/kubelet.log": "E0101 00:00:00.000000 1 file.go:1] something\n",
    "var/log/kubernetes/audit/audit.log": '{"kind":"Event"}\n',
    "var/log/kubernetes/audit/audit-2026-01-01T00-00-00.000.log": '{"kind":"Event"}\n',
    "var/log/pods/kube-system_kube-apiserver-n_0123/kube-apiserver/0.log": "2026-01-01T00:00:00.0Z stderr F E0101 boom\n",
    "var/lib/auditctl/last-good/policy.yaml": POLICY,
}
COMMANDS = (
    ("status",), ("status", "-o", "prometheus"), ("doctor",), ("cis",), ("history",), ("verify",), ("log", "stats"),
    ("log", "forecast"), ("enable", "--dry-run", "--log-maxage", "9", "--allow", "webhook-reachable"), ("restart", "--dry-run"),
    ("kubeadm", "preflight-upgrade", "1.36.2"), ("policy", "explain", "/etc/kubernetes/audit/policy.yaml", "get", "pods"),
)  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that audits, with everything that a command may look into."""
    root = tmp_path_factory.mktemp("hostile") / "node"
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(PLAIN.read_bytes())
    (root.parent / "p.yaml").write_text(POLICY)
    (root.parent / "w.yaml").write_text(HOOK.format("x"))
    files = ("--policy", str(root.parent / "p.yaml"), "--webhook-config", str(root.parent / "w.yaml"))
    assert run(["auditctl", "--rootfs", str(root), "enable", *files, "--no-wait"]) == 0
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
    return root


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[Path], bool]:
    """Tell whether anybody has opened a file since the last call; the kernel counts."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0

    def since(path: Path) -> bool:
        libc.inotify_add_watch(watch, os.fsencode(path), _IN_OPEN)
        try:
            return bool(os.read(watch, 4096))
        except BlockingIOError:
            return False

    return since


@pytest.mark.parametrize("name", FILES)
def test_a_link_that_leads_out_is_not_followed(
    name: str, node: Path, tmp_path: Path, opened: Callable[[Path], bool], capfd: pytest.CaptureFixture[str]
) -> None:
    root, outside = tmp_path / "node", tmp_path / "outside"
    shutil.copytree(node, root, symlinks=True)
    shutil.copy(node / name, outside)
    (root / name).unlink()
    (root / name).symlink_to(outside)
    assert not opened(outside)
    for words in COMMANDS:
        run(["auditctl", "--rootfs", str(root), *words])
        assert not opened(outside), words
    capfd.readouterr()
    outside.read_text()
    assert opened(outside), "the kernel would have said so"
