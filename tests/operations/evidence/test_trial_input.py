"""The rehearsal as a check: the server's words at the user's own line, and where our verdict differs, it is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from foldernode import PLAIN, POLICY

from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.plan import plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.apiserver.trial_start import TrialStartResult, TrialStartVerdict
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import trial_input
from auditctl.operations.evidence.trial_input import on_host
from auditctl.operations.evidence.trial_start import DIFFERS, Subject, findings, verdict_findings
from auditctl.settings import Settings

PLANE = ControlPlane()
BAD = POLICY.replace("Metadata", "Metada")
LEVEL = 'loading audit policy file: rules[0].level: Unsupported value: "Metada"'


@pytest.fixture
def after() -> Manifest:
    """kubeadm's manifest of 1.36 with a log and a webhook."""
    manifest = Manifest.of(Document.parse(PLAIN.read_bytes(), "kube-apiserver.yaml"))
    target = plan_enable(manifest, Settings(log=True, webhook=True, set_flags={"audit-log-mode": "blocking"})).target
    assert target is not None
    return target


def refused(words: str, crash: str, version: tuple[int, int] | None = (1, 36)) -> TrialStartResult:
    """What the server said."""
    return TrialStartResult(
        verdict=TrialStartVerdict.REFUSED, words=words, crash=crash, fix="write it well", seconds=0.3, version=version
    )


def listed(found: Iterator[Finding]) -> list[tuple[str, Severity]]:
    """(check, severity) of every finding."""
    return [(finding.check, finding.severity) for finding in found]


def test_a_refused_policy_is_told_at_its_line_and_column(after: Manifest) -> None:
    [finding] = verdict_findings(
        refused(LEVEL, "policy-level"), PLANE, Subject(after, BAD.encode(), policy_name="p.yaml")
    )
    assert (finding.check, finding.severity, finding.path) == ("rehearsal", Severity.ERROR, "rules[0].level")
    line = BAD.splitlines().index("- level: Metada") + 1
    assert (finding.file, finding.line, finding.column) == ("p.yaml", line, 10)
    assert LEVEL in finding.message


def test_where_our_own_verdict_differs_it_is_called_a_bug_of_ours(after: Manifest) -> None:
    subject = Subject(after, POLICY.encode(), policy_name="p.yaml")
    [error, warning] = verdict_findings(refused(LEVEL, "policy-level"), PLANE, subject)
    assert error.line == POLICY.splitlines().index("- level: Metadata") + 1
    assert (warning.check, warning.severity) == (DIFFERS, Severity.WARNING)
    assert "bug of auditctl" in warning.message
    accepted = TrialStartResult(verdict=TrialStartVerdict.ACCEPTED, version=(1, 36))
    assert listed(verdict_findings(accepted, PLANE, Subject(after, BAD.encode()))) == [(DIFFERS, Severity.WARNING)]
    assert listed(verdict_findings(accepted, PLANE, subject)) == []


def test_the_version_that_the_server_names_decides_whether_we_differ(after: Manifest) -> None:
    star = 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  resources: [{group: "*"}]\n'
    words = 'loading audit policy file: rules[0].resources.group: Invalid value: "*": a lowercase RFC 1123 subdomain'
    subject = Subject(after, star.encode(), policy_name="p.yaml")
    assert len(list(verdict_findings(refused(words, "policy-group", (1, 31)), PLANE, subject))) == 1
    assert len(list(verdict_findings(refused(words, "policy-group", (1, 36)), PLANE, subject))) == 2


def test_a_refused_flag_is_told_at_its_line_of_the_manifest(after: Manifest) -> None:
    words = 'invalid argument "x" for "--audit-log-mode" flag: nonsense'
    error = next(verdict_findings(refused(words, "flag-value"), PLANE, Subject(after)))
    assert "--audit-log-mode" in after.document.text.splitlines()[error.line - 1]


def test_what_is_no_refusal_never_refuses(after: Manifest) -> None:
    result = TrialStartResult(
        verdict=TrialStartVerdict.UNKNOWN, words="listen tcp 127.0.0.1:9: bind: address already in use"
    )
    [finding] = verdict_findings(result, PLANE, Subject(after))
    assert (finding.severity, finding.message[:16]) == (Severity.INFO, "no trial start: ")


def test_another_program_and_another_root_are_not_run(after: Manifest, tmp_path: Path) -> None:
    ourselves = Process(1, 0.0, ("python", "kube-apiserver"))
    for plane in (PLANE, ControlPlane(rootfs=tmp_path)):
        assert listed(findings(plane, after, b"", ourselves)) == [("rehearsal", Severity.INFO)]
    assert listed(findings(PLANE, after, b"", None)) == [("rehearsal", Severity.INFO)]
    assert listed(findings(ControlPlane(rootfs=tmp_path), after, b"", None)) == []


def test_only_auditing_and_what_it_needs_is_rehearsed_and_no_key_of_the_cluster(after: Manifest) -> None:
    process = Process(1, 0.0, ("kube-apiserver",))
    words = set(trial_input._words(after, process))
    assert {"--audit-log-path=-", "--audit-log-maxage=30", "--audit-log-mode=blocking"} <= words
    assert {"--service-account-key-file=/throw-away.key", "--service-account-signing-key-file=/throw-away.key"} <= words
    names = {word.partition("=")[0] for word in words}
    assert not names & {"--audit-policy-file", "--audit-webhook-config-file", "--etcd-servers", "--secure-port"}
    assert not names & {"--enable-admission-plugins", "--authorization-mode", "--client-ca-file", "--tls-cert-file"}


def test_references_of_the_webhooks_file_are_read_here_and_handed_over(after: Manifest, tmp_path: Path) -> None:
    text = "clusters:\n- name: c\n  cluster: {certificate-authority: /etc/kubernetes/pki/ca.crt}\nusers:\n- name: u\n  user: {client-key: /nope/k, token: t}\n"
    ca = tmp_path / "etc/kubernetes/pki/ca.crt"
    ca.parent.mkdir(parents=True)
    ca.write_bytes(b"PEM")
    changed, names, contents = on_host(ControlPlane(rootfs=tmp_path), after, text.encode())
    assert names == {str(ca): "/etc/kubernetes/pki/ca.crt", "/nonexistent/nope/k": "/nope/k"}
    assert contents == {str(ca): b"PEM"}
    assert all(name.encode() in changed for name in names)
    ca.unlink()
    os.mkfifo(ca)
    changed, names, contents = on_host(ControlPlane(rootfs=tmp_path), after, text.encode())
    assert (names["/nonexistent/etc/kubernetes/pki/ca.crt"], contents) == ("/etc/kubernetes/pki/ca.crt", {})
    broken = b"clusters: [\n"
    assert on_host(ControlPlane(rootfs=tmp_path), after, broken) == (broken, {}, {})
