"""kubeadm's own record on a real API server: what is persisted is what kubeadm renders, byte for byte."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditctl.kubeadm import configmap
from auditctl.kubeadm.configmap import Access, ConflictError

pytest.importorskip("kubernetes", reason="the kubernetes package is not installed")

MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
SETTINGS = Path("/var/lib/realnode/kubeadm.yaml")
CLIENT = Path("/etc/kubernetes/super-admin.conf")
AS_ADMIN = ("--kubeconfig", CLIENT)  # the node script makes no binding for the group of admin.conf
IN_V1BETA3 = """\
# kept by hand
apiServer:
  extraArgs:
    profiling: "false" # CIS
  certSANs:
  - 127.0.0.1
  - localhost
  timeoutForControlPlane: 4m0s
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
kubernetesVersion: {version}
"""
Run = Callable[..., tuple[int, dict[str, Any]]]


def kubeadm(binaries: Path, *words: str | Path, folder: Path | None = None) -> str:
    environment = os.environ | ({"KUBEADM_INIT_DRYRUN_DIR": str(folder)} if folder else {})
    ran = subprocess.run([binaries / "kubeadm", *words], capture_output=True, text=True, timeout=120, env=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def rendered(binaries: Path, cluster: str, folder: Path) -> bytes:
    """What kubeadm would write for the record ``cluster`` and this node."""
    own = SETTINGS.read_text().partition("---\n")[0]
    folder.mkdir()
    (folder / "kubeadm.yaml").write_text(own + "---\n" + cluster)
    words = ("init", "phase", "control-plane", "apiserver", "--dry-run", "--config", folder / "kubeadm.yaml")
    kubeadm(binaries, *words, folder=folder)
    return next(folder.rglob("kube-apiserver.yaml")).read_bytes()


@pytest.fixture
def access() -> Access:
    from auditctl.node.apiserver import credentials

    found = credentials.read(CLIENT)
    folder = Path("/var/lib/realnode")
    for name, content in (("client.crt", found.certificate), ("client.key", found.key)):
        (folder / name).write_bytes(content)
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()[0]
    authority = Path("/etc/kubernetes/pki/ca.crt").read_text()
    return Access(f"https://{address}:6443", authority, str(folder / "client.crt"), str(folder / "client.key"))


def test_the_record_is_written_so_that_kubeadm_renders_this_very_manifest(
    run: Run, binaries: Path, access: Access, tmp_path: Path
) -> None:
    kubeadm(binaries, "init", "phase", "upload-config", "kubeadm", "--config", SETTINGS, "--kubeconfig", CLIENT)
    first = configmap.read(access).text
    plain = MANIFEST.read_bytes()
    assert rendered(binaries, first, tmp_path / "plain") == plain
    assert run("kubeadm", "check", *AS_ADMIN)[0] == 0

    code, report = run("enable")
    assert code == 0
    code, report = run("kubeadm", "check", *AS_ADMIN)
    assert code == 1
    assert {row["fate"] for row in report["kubeadmConfig"]["differences"]} == {"lost"}

    assert run("kubeadm", "persist", "--dry-run", *AS_ADMIN)[0] == 0
    assert configmap.read(access).text == first
    code, report = run("enable", "--log-maxage", "7", "--persist", *AS_ADMIN)
    assert (code, report["kubeadmConfig"]["written"]) == (0, True)
    assert rendered(binaries, configmap.read(access).text, tmp_path / "on") == MANIFEST.read_bytes()
    assert run("kubeadm", "check", *AS_ADMIN)[0] == 0
    code, report = run("enable", "--log-maxage", "7", "--persist", *AS_ADMIN)
    assert (code, report["outcome"]) == (0, "Unchanged")

    stored = configmap.read(access)
    older = IN_V1BETA3.format(
        version=subprocess.run(
            [binaries / "kubeadm", "version", "-o", "short"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    configmap.write(access, stored, older)
    with pytest.raises(ConflictError):
        configmap.write(access, stored, "lost")
    assert configmap.read(access).text == older

    code, report = run("enable", "--log-maxage", "9", "--persist", *AS_ADMIN)
    assert (code, report["kubeadmConfig"]["written"]) == (0, True)
    assert run("kubeadm", "check", *AS_ADMIN)[0] == 0
    text = configmap.read(access).text
    assert text.startswith("# kept by hand\napiServer:\n  extraArgs:\n")
    assert b"--audit-log-maxage=9" in rendered(binaries, text, tmp_path / "older")

    code, report = run("disable", "--purge", "--persist", *AS_ADMIN)
    assert (code, report["kubeadmConfig"]["written"]) == (0, True)
    assert configmap.read(access).text == older
    assert MANIFEST.read_bytes() == plain
