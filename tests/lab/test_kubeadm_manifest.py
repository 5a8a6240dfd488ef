"""The lab's manifest is kubeadm's own, byte for byte; kubeadm's record is there, too."""

from __future__ import annotations

import subprocess
import sys

import pytest
from labroom import Node, golden_text

from auditctl.errors import RefusedError
from auditctl.lab import up
from auditctl.lab.node import kubeadm_manifest


@pytest.mark.parametrize("version", ["1.31.14", "1.33.13", "1.35.6", "1.36.2"])
def test_the_manifest_is_what_that_kubeadm_writes(version: str) -> None:
    assert kubeadm_manifest.manifest(version, "192.0.2.10", 6443) == golden_text(f"kubeadm/v{version}/plain.yaml")


@pytest.mark.parametrize("version", ["1.20.0", "2.0.0", "newest", "1.36.2.1"])
def test_a_version_that_the_lab_does_not_know_is_refused(
    version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(RefusedError, match="the lab plays Kubernetes"):
        up(tmp_path_factory.getbasetemp() / "never-made", kubernetes=version)
    assert not (tmp_path_factory.getbasetemp() / "never-made").exists()


def test_kubeadms_record_on_the_practice_node_is_checked_and_written(audited: Node) -> None:
    """The node audits, so an upgrade would lose that; once it is written, an upgrade keeps it. The file is the state."""
    node = str(audited.lab.root)

    before, written, after = (run(node, "kubeadm", *words) for words in (["check"], ["persist"], ["check"]))

    assert (before.returncode, written.returncode, after.returncode) == (1, 0, 0), written.stderr
    assert "audit-log-path" in audited.layout.kubeadm_record.read_text()


def test_kubectls_discovery_has_short_names_and_a_body_that_is_not_read_is_refused(audited: Node) -> None:
    resources = audited.request("GET", "/api/v1", admin=True).json["resources"]
    assert next(row["shortNames"] for row in resources if row["name"] == "configmaps") == ["cm"]

    url = "/api/v1/namespaces/default/configmaps"
    refused = audited.request("POST", url, admin=True, body={}, content_type="application/apply-patch+yaml")
    assert (refused.code, refused.json["reason"]) == (415, "UnsupportedMediaType")


def run(node: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of auditctl on that node."""
    return subprocess.run(
        [sys.executable, "-m", "auditctl", "--rootfs", node, *words], capture_output=True, text=True, timeout=60
    )
