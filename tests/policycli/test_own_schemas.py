"""The schemas of our own files: what we ship passes, what our readers refuse does not, and both name the same words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from auditctl.cli.app import run
from auditctl.errors import AuditctlError
from auditctl.lab.grading.requirements import _KINDS, read
from auditctl.manifest.document import load
from auditctl.policy.expectations import read_expectations
from auditctl.report import EXIT_CODES, Outcome

Call = Callable[..., Any]
REPOSITORY = Path(__file__).parents[2]
SCHEMAS = REPOSITORY / "templates" / "schemas"
EXPECTATIONS = sorted((REPOSITORY / "templates/policies").glob("*.expect.yaml"))
REQUIREMENTS = sorted(
    [
        *(REPOSITORY / "templates/lab").rglob("*.yaml"),
        *(REPOSITORY / "templates/killercoda/audit-logging/assets/wants").glob("*.yaml"),
    ]
)
WRONG_EXPECTATIONS = (
    "get pods -> metadata",
    "get pods",
    {"request": "get pods"},
    {"request": "get pods", "level": "Metadata", "rule": "3"},
    {"request": "get pods", "level": "Metadata", "stage": ["RequestReceived"]},
    {"url": "/version", "level": "Metadata", "request": "get pods"},
)
WRONG_REQUIREMENTS = (
    {"servin": True},
    {"serving": "yes"},
    {"serving": True, "receipt": True},
    {"flag": {"name": "audit-log-maxage", "valu": 30}},
    {"flag": "audit-log-maxage"},
    {"expect": "get pods"},
    {"expect": "get pods -> metadata"},
    {"stages": {"request": "get pods", "are": ["Complete"]}},
    {"omits": "list pods in test omits Received"},
    {"log-host-path": "var/log"},
    {"manifest-strays": "some"},
    {"predictions": {"file": "/a", "policy": "/b", "requests": []}},
    {"file": {"path": "/a", "there": "no"}},
)


def schema_of(name: str) -> Draft7Validator:
    """The validator of one of our schemas; the schema itself is a right one."""
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft7Validator.check_schema(document)
    return Draft7Validator(document)


def test_each_is_printed_by_the_program(policy: Call) -> None:
    for path in SCHEMAS.iterdir():
        assert policy("schema", "--of", path.name.partition(".")[0]).json == json.loads(path.read_text())
    refused = policy("schema", "--of", "tallies")
    assert refused.code == 2
    assert "--of tallies: not one of policy, report" in refused.err


@pytest.mark.parametrize("path", EXPECTATIONS, ids=lambda path: path.name)
def test_shipped_expectations_pass(path: Path) -> None:
    assert schema_of("expectations").is_valid(load(path.read_text()))


@pytest.mark.parametrize("wrong", WRONG_EXPECTATIONS, ids=str)
def test_a_wrong_expectation_is_refused_by_schema_and_reader(wrong: Any) -> None:
    assert not schema_of("expectations").is_valid([wrong])
    with pytest.raises(AuditctlError):
        read_expectations(json.dumps([wrong]).encode())


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_shipped_requirements_pass(path: Path) -> None:
    value = load(path.read_text())
    wants = value.get("wants") if isinstance(value, dict) else value
    if wants:
        schema_of("requirements").validate(wants)


@pytest.mark.parametrize("wrong", WRONG_REQUIREMENTS, ids=str)
def test_a_wrong_requirement_is_refused_by_schema_and_reader(wrong: dict[str, Any]) -> None:
    assert not schema_of("requirements").is_valid([wrong])
    with pytest.raises(AuditctlError):
        read([wrong])


def test_schema_and_code_have_the_same_kinds_of_requirements_and_fields() -> None:
    kinds = schema_of("requirements").schema["definitions"]["requirements"]["items"]["properties"]

    assert kinds.keys() == _KINDS.keys()
    for name, kind in kinds.items():
        for form in kind.get("oneOf", [kind]):
            if form.get("type") == "object":
                assert set(form["properties"]) == set(_KINDS[name].fields), name


def test_schema_and_code_have_the_same_outcomes_and_exit_codes() -> None:
    properties = schema_of("report").schema["properties"]

    assert set(properties["outcome"]["enum"]) == {each.value for each in Outcome}
    assert {EXIT_CODES[each] for each in Outcome} <= set(properties["exitCode"]["enum"])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, ["enable", "--dry-run", "--policy", "baseline"]),
        (0, ["disable", "--dry-run"]),
        (3, ["enable", "--dry-run", "--policy", "no-such-policy"]),
        (3, ["enable", "--dry-run", "--set", "audit-log-format=xml"]),
        (2, ["enable", "--dry-run", "--timeout", "soon"]),
        (0, ["history"]),
        (1, ["kubeadm", "check", "--from", "cluster.yaml"]),
    ],
    ids=str,
)
def test_reports_of_a_node_pass(
    code: int, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text((REPOSITORY / "tests/golden/kubeadm/v1.36.2/plain+log.yaml").read_text())
    (tmp_path / "cluster.yaml").write_text("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n")
    named = [str(tmp_path / word) if word == "cluster.yaml" else word for word in words]

    assert run(["auditctl", "--rootfs", str(tmp_path), *named, "-o", "json"]) == code

    schema_of("report").validate(json.loads(capsys.readouterr().out))


def test_a_report_without_one_of_its_keys_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["auditctl", "--rootfs", str(tmp_path), "enable", "--dry-run", "-o", "json"])
    report = json.loads(capsys.readouterr().out)

    for key in list(report):
        assert not schema_of("report").is_valid({name: value for name, value in report.items() if name != key})
