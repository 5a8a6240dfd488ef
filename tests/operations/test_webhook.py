"""A webhook's kubeconfig before it is installed: its files must reach the container, or become part of it."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from foldernode import PLAIN

from auditctl.errors import RefusedError
from auditctl.findings import Severity
from auditctl.manifest.document import Document
from auditctl.manifest.plan import plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.node.preflight.webhook_config import parse
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.webhook import prepare, reachable
from auditctl.settings import Settings

KUBECONFIG = """\
# the receiver of the security team
apiVersion: v1
kind: Config
clusters:
- name: receiver
  cluster:
    server: https://127.0.0.1:1/audit?key=s3cr3t
    certificate-authority: ca.crt # theirs
users:
- name: apiserver
  user:
    tokenFile: token
contexts:
- name: x
  context: {cluster: receiver, user: apiserver}
current-context: x
"""
CA = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


@pytest.fixture
def after() -> Manifest:
    before = Manifest.of(Document.parse(PLAIN.read_bytes(), "kube-apiserver.yaml"))
    target = plan_enable(before, Settings(webhook=True)).target
    assert target is not None
    return target


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "ca.crt").write_text(CA)
    (tmp_path / "token").write_text("s3cr3t\n")
    (tmp_path / "hook.yaml").write_text(KUBECONFIG)
    return tmp_path / "hook.yaml"


def test_a_file_that_no_mount_brings_into_the_container_is_refused_with_the_way_out(
    source: Path, after: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError) as caught:
        prepare(ControlPlane(rootfs=tmp_path), source, after, embed=False)
    assert caught.value.check == "webhook-files"
    assert "/etc/kubernetes/audit/ca.crt" in caught.value.message
    assert "--embed-certs" in caught.value.fix


def test_embedded_its_files_are_part_of_it_and_every_other_line_is_kept(
    source: Path, after: Manifest, tmp_path: Path
) -> None:
    prepared = prepare(ControlPlane(rootfs=tmp_path), source, after, embed=True)
    lines = prepared.content.decode().splitlines()
    kept = [line for line in KUBECONFIG.splitlines() if "ca.crt" not in line and "tokenFile" not in line]
    assert [line for line in lines if line in kept] == kept
    assert f"    certificate-authority-data: {base64.b64encode(CA.encode()).decode()}" in lines
    assert "    token: s3cr3t" in lines
    assert (prepared.config.authority, prepared.config.token) == (CA.encode(), "s3cr3t")


def test_a_mounted_file_is_read_where_the_mount_has_it_on_the_host(
    source: Path, after: Manifest, tmp_path: Path
) -> None:
    pki = tmp_path / "etc/kubernetes/pki"
    pki.mkdir(parents=True)
    (pki / "hook.crt").write_text(CA)
    source.write_text(
        KUBECONFIG.replace("ca.crt", "/etc/kubernetes/pki/hook.crt").replace("    tokenFile: token\n", "    token: t\n")
    )
    assert prepare(ControlPlane(rootfs=tmp_path), source, after, embed=False).config.authority == CA.encode()


def test_a_receiver_that_nobody_answers_for_is_an_error_without_the_secrets_of_its_url(
    source: Path, after: Manifest, tmp_path: Path
) -> None:
    config = prepare(ControlPlane(rootfs=tmp_path), source, after, embed=True).config
    [finding] = reachable(replace(config, authority=b""), after)
    assert (finding.check, finding.severity.value) == ("webhook-reachable", "error")
    assert "https://127.0.0.1:1 " in finding.message
    assert "s3cr3t" not in str(finding)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("current-context: x\n", "", 1, "no current-context"),
        ("cluster: receiver,", "cluster: other,", 15, "the context 'x' names the cluster 'other'"),
    ],
)
def test_a_kubeconfig_without_a_context_or_cluster_is_told_with_cause_and_line(
    source: Path, after: Manifest, tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    """B24: the server's own words advise an environment variable that no API server reads."""
    source.write_text(KUBECONFIG.replace(old, new))

    with pytest.raises(RefusedError) as caught:
        prepare(ControlPlane(rootfs=tmp_path), source, after, embed=False)

    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == (str(source), line)
    assert words in caught.value.fix


def test_a_service_is_not_tried_where_the_pod_asks_the_clusters_dns(source: Path, after: Manifest) -> None:
    """B23: with dnsPolicy ClusterFirstWithHostNet the API server does know the name; this node does not."""
    text = after.document.text.replace(
        "  hostNetwork: true\n", "  dnsPolicy: ClusterFirstWithHostNet\n  hostNetwork: true\n"
    )
    asking = Manifest.of(Document.parse(text.encode(), "kube-apiserver.yaml"))
    config = parse(
        KUBECONFIG.replace("127.0.0.1:1", "audit.logging.svc").encode(), "/etc/kubernetes/audit/webhook.yaml"
    )

    (finding,) = reachable(config, asking)
    assert (finding.check, finding.severity) == ("webhook-reachable", Severity.WARNING)
    assert "dnsPolicy" in finding.message

    (finding,) = reachable(config, after)
    assert finding.severity is Severity.ERROR
