"""`status`: rows, defaults, verdict and exit code on nodes that are just files, and the words of its rows."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.node.kubelet.diagnosis import Diagnosis, Evidence, ServerState
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.evidence.auditing import Auditing, AuditingState
from auditctl.operations.evidence.node_state import NodeState
from auditctl.operations.status import status
from auditctl.operations.status_evidence import StatusEvidence
from auditctl.operations.status_rows import headline
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)


def test_status_on_files_alone(folder_node: ControlPlane) -> None:
    """No server can be seen: that is said, and is a no. (No port below 1024 has a kube-apiserver on a test machine.)"""
    text = folder_node.manifest_path.read_text().replace("--secure-port=6443", "--secure-port=9")
    folder_node.manifest_path.write_text(text)
    report = status(folder_node)

    assert report.exit_code == 1
    assert [finding.check for finding in report.findings] == ["live-node"]
    assert "Auditing is off in the manifest; the state of the API server is not known" in report.summary


def test_status_tells_the_value_of_each_flag_that_matters_set_or_not(folder_node: ControlPlane) -> None:
    """As the server of the manifest's version has it."""
    assert status(folder_node).to_dict()["settings"]["effective"] == {}
    enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), NO_WAIT)

    report = status(folder_node)

    effective = report.to_dict()["settings"]["effective"]
    assert effective["audit-log-maxage"] == {"value": "7", "set": True}
    assert effective["audit-log-mode"] == {"value": "blocking", "set": False}
    assert effective["audit-log-batch-max-size"] == {"value": "1", "set": False}
    assert not any(name.startswith("audit-webhook") for name in effective)
    assert set(report.to_dict()["settings"]["flags"]) == {name for name, row in effective.items() if row["set"]}
    text = report.to_text()
    assert "  --audit-log-maxage=7\n" in text
    assert "  default: --audit-log-mode=blocking\n" in text
    assert "batch" not in text


def test_status_tells_the_batch_where_there_is_one(folder_node: ControlPlane) -> None:
    """Standard output is not rotated, a file is, and what removes old ones is told."""
    text = folder_node.manifest_path.read_text()
    flags = "    - --audit-log-path=-\n    - --audit-log-mode=batch\n    - --audit-log-batch-max-size=400\n"
    folder_node.manifest_path.write_text(text.replace("    - kube-apiserver\n", f"    - kube-apiserver\n{flags}"))

    assert defaults(folder_node) == "--audit-log-batch-max-wait=0s"

    text = folder_node.manifest_path.read_text().replace("path=-", "path=/var/log/a/a.log")
    folder_node.manifest_path.write_text(text.replace(":v1.36.2", ":v1.31.14"))
    retention = "--audit-log-maxage=0, --audit-log-maxbackup=0, --audit-log-maxsize=0"
    assert defaults(folder_node) == f"{retention}, --audit-log-batch-max-wait=0s"


def defaults(plane: ControlPlane) -> str:
    """What `status` says of flags that are not set."""
    lines = status(plane).to_text().splitlines()
    return next(line.removeprefix("  default: ") for line in lines if line.startswith("  default: "))


def test_status_tells_off_from_unknown_and_unknown_from_recording(folder_node: ControlPlane) -> None:
    """D6: never "on" from the manifest alone."""
    assert "Auditing is off in the manifest" in status(folder_node).summary
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    report = status(folder_node)

    assert report.exit_code == 1
    assert report.details["status"]["auditing"]["state"] == "unknown"
    assert "whether requests are recorded is not known" in report.summary
    text = report.to_text()
    assert re.search(r"installed \d+ s ago by", text)
    assert "baseline (" in text
    for name in ("API server", "Auditing", "Policy", "Log", "Webhook", "kubeadm"):
        assert re.search(f"(?m)^{name} ", text), name


DOWN = Finding(check="etcd", severity=Severity.ERROR, message="etcd answers nobody")


@pytest.mark.parametrize(
    ("server", "recording", "words"),
    [
        (ServerState.SERVING, AuditingState.RECORDING, "Auditing is on and recording"),
        (ServerState.SERVING, AuditingState.NOT_RECORDING, "Auditing is on but NOT recording: why"),
        (ServerState.SERVING, AuditingState.OFF, "Auditing is off"),
        (ServerState.SERVING, AuditingState.UNKNOWN, "whether requests are recorded is not known: why"),
        (ServerState.UNSEEN, AuditingState.OFF, "the state of the API server is not known"),
        (ServerState.CRASH_LOOPING, AuditingState.NOT_RECORDING, "The API server is down (crash looping"),
        (ServerState.NOT_READY, AuditingState.NOT_RECORDING, "The API server is not ready; nothing is recorded"),
        (ServerState.NOT_READY, AuditingState.OFF, "The API server is not ready; auditing is off"),
        (ServerState.WRONG_PROCESS, AuditingState.UNKNOWN, "The API server is running with other flags"),
    ],
)
def test_the_headline_is_that_of_the_evidence(
    folder_node: ControlPlane, server: ServerState, recording: AuditingState, words: str
) -> None:
    """D6: 20 faults had the headline "auditing is on" while the API server was down."""
    node = NodeState(
        evidence=Evidence(port=6443),
        diagnosis=Diagnosis(state=server, check="check", message="cause"),
        manifest=folder_node.read_manifest()[1],
    )
    evidence = StatusEvidence(node=node, auditing=Auditing(recording, "why"))

    assert words in headline(evidence, [])
    if server is not ServerState.SERVING and recording is not AuditingState.OFF:
        assert headline(evidence, [DOWN]).endswith("etcd answers nobody")


def test_a_root_that_is_not_there_is_refused(folder_node: ControlPlane) -> None:
    with pytest.raises(RefusedError, match="is not a directory"):
        status(replace(folder_node, rootfs=folder_node.rootfs / "nowhere"))


def test_the_object_has_every_key_also_where_nothing_is_known(folder_node: ControlPlane) -> None:
    keys = {"enabled", "auditing", "apiServer", "process", "policy", "log", "kubeadmConfig", "metrics", "lastChange"}
    assert set(json.loads(status(folder_node).to_json())["status"]) == keys
    folder_node.manifest_path.write_text("{}")
    report = json.loads(status(folder_node).to_json())
    assert set(report["status"]) == keys
    assert report["status"]["auditing"]["state"] == "unknown"
