"""The same report as JSON and as YAML; text for people; nothing else on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from foldernode import PLAIN
from ruamel.yaml import YAML

from auditctl.cli.app import run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())
    return tmp_path


def test_yaml_says_what_json_says(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Read back by another reader, it is the same object with the contract's keys."""
    words = ["auditctl", "enable", "--dry-run", "--rootfs", str(root)]
    assert run([*words, "-o", "json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert run([*words, "-o", "yaml"]) == 0
    as_yaml = YAML(typ="safe", pure=True).load(capsys.readouterr().out)

    assert as_yaml == as_json
    assert list(as_json) == [
        "apiVersion", "kind", "command", "outcome", "changed", "exitCode", "summary", "manifest", "settings", "findings", "verification",
        "receipt", "timings", "change", "nextSteps",
    ]  # fmt: skip
    assert as_json["settings"]["policy"]["containerPath"] == "/etc/kubernetes/audit/policy.yaml"
    assert as_json["receipt"] is None


def test_a_refusal_is_a_report_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-o json on exit 3; in text it goes to stderr, and is said once."""
    words = ["auditctl", "--rootfs", str(root), "enable", "--policy", "no-such-policy"]
    assert run([*words, "-o", "json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["exitCode"], report["changed"]) == ("Refused", 3, False)
    assert report["findings"][0]["check"] == "policy-missing"

    assert run([*words, "-q"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("no-such-policy") == 1
    assert "next: " in told.err
