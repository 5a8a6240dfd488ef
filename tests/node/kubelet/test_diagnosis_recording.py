"""A server that is ready and records nothing: what keeps its events away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from foldernode import PLAIN

from auditctl.facts import CrashKind
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.crash import Crash
from auditctl.node.kubelet import diagnosis_recording
from auditctl.node.kubelet.diagnosis_recording import Recording
from auditctl.policy.load import load

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def manifest_with(flags: list[str]) -> str:
    items = "".join(f"    - {flag}\n" for flag in flags)
    return PLAIN.read_text().replace("    - --allow-privileged=true\n", "    - --allow-privileged=true\n" + items)


def crashed(kind: CrashKind, says: str = "apiserver", name: str = "n") -> Crash:
    return Crash(
        name=name, words="own words", heals=kind is not CrashKind.FINAL, cause="cause", fix="fix", kind=kind, says=says
    )


LOGGING = [
    "--audit-policy-file=/etc/kubernetes/pki/p.yaml",
    "--audit-log-path=/etc/kubernetes/pki/audit.log",
]


def recording(flags: list[str], policy: str = HEAD + "rules:\n- level: Metadata\n", **more: Any) -> list[str]:
    manifest = Manifest.of(Document.parse(manifest_with(flags).encode(), "m.yaml"))
    usual = Recording(
        manifest=manifest, policy=load(policy.encode()).policy, host_log="/host/audit.log", log_there=True
    )
    return [finding.check for finding in diagnosis_recording.judge(replace(usual, **more))]


def test_a_server_that_records_is_left_in_peace() -> None:
    assert recording(LOGGING, open_files=("/etc/kubernetes/pki/audit.log",), free_bytes=1 << 30) == []
    assert recording(LOGGING, open_files=()) == []  # opened at the first event only


@pytest.mark.parametrize(
    ("flags", "more", "check"),
    [
        ([], {}, "auditing-off"),
        (LOGGING[1:], {}, "no-policy"),
        (LOGGING[:1], {}, "no-backend"),
        (LOGGING, {"policy": HEAD + "rules:\n- level: None\n"}, "policy-records-nothing"),
        (LOGGING, {"policy": HEAD + "rules:\n- level: None\n- level: Metadata\n"}, "policy-records-nothing"),
        (
            LOGGING,
            {
                "policy": HEAD
                + "omitStages: [RequestReceived, ResponseStarted, ResponseComplete, Panic]\nrules:\n- level: Metadata\n"
            },
            "policy-records-nothing",
        ),
        (LOGGING, {"host_log": ""}, "log-not-mounted"),
        (LOGGING, {"open_files": ("/etc/kubernetes/pki/audit.log (deleted)",)}, "dead-log"),
        (LOGGING, {"open_files": ("/etc/kubernetes/pki/audit.log.1",)}, "dead-log"),
        (LOGGING, {"free_bytes": 0}, "disk-full"),
        ([*LOGGING, "--audit-log-mode=batch", "--audit-log-batch-max-wait=30s"], {}, "batch-delay"),
        (LOGGING, {"said": crashed(CrashKind.WARNING, name="rotation-impossible")}, "rotation-impossible"),
        ([LOGGING[0], "--audit-log-path=-"], {}, "log-standard-output"),
    ],
)
def test_what_keeps_events_away_is_named(flags: list[str], more: dict[str, Any], check: str) -> None:
    assert recording(flags, **more) == [check]


def test_a_log_that_is_not_written_any_more_makes_another_path_a_warning() -> None:
    """D11: whoever reads the older file believes that nothing happens."""
    text = manifest_with(LOGGING).replace("      path: /etc/kubernetes/pki\n", "      path: /data/pki\n")
    evidence = Recording(
        manifest=Manifest.of(Document.parse(text.encode(), "m.yaml")),
        host_log="/data/pki/audit.log",
        log_there=True,
        older_log="/etc/kubernetes/pki/audit.log",
    )

    (finding,) = diagnosis_recording.judge(evidence)

    assert (finding.check, finding.severity.value) == ("log-elsewhere", "warning")
    assert "/etc/kubernetes/pki/audit.log is another file, and the API server does not write it" in finding.message


def test_a_log_that_has_another_path_on_the_host_is_told_with_it() -> None:
    """Whoever reads at the flag's path finds nothing there."""
    text = manifest_with(LOGGING)
    moved = text.replace("      path: /etc/kubernetes/pki\n", "      path: /data/pki\n")
    assert moved != text
    manifest = Manifest.of(Document.parse(moved.encode(), "m.yaml"))
    evidence = Recording(manifest=manifest, host_log="/data/pki/audit.log", log_there=True)

    (finding,) = diagnosis_recording.judge(evidence)

    assert (finding.check, finding.severity.value) == ("log-elsewhere", "info")
    assert "/etc/kubernetes/pki/audit.log; on this node that file is /data/pki/audit.log" in finding.message
