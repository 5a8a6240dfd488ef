"""cis: each control and each concern with file, line and request."""

from __future__ import annotations

from pathlib import Path

import pytest
from auditedfolder import POST_ONLY, give

from auditctl import facts
from auditctl.operations.cis import cis
from auditctl.operations.controlplane import ControlPlane


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    return ControlPlane(rootfs=tmp_path)


def test_cis_answers_with_file_and_line_and_with_each_request(plane: ControlPlane) -> None:
    give(plane, "v1.36.2", facts.policy_text("cis"))
    report = cis(plane)
    assert report.exit_code == 0
    rows = {row["id"]: row for row in report.details["controls"]}
    assert list(rows) == ["1.2.16", "1.2.17", "1.2.18", "1.2.19", "3.2.1", "3.2.2"]
    line = rows["1.2.17"]["evidence"][0]["line"]
    assert "--audit-log-maxage=30" in plane.manifest_path.read_text().splitlines()[line - 1]
    decided = rows["3.2.2"]["evidence"]
    assert all(row["met"] and row["line"] for row in decided)
    assert "get pods/exec web in prod by alice" in {row["request"] for row in decided}
    assert rows["1.2.17"]["stig"] == ["V-242464"]
    assert rows["3.2.1"]["stig"] == ["V-242401", "V-242461"]
    assert rows["3.2.2"]["stig"] == []  # the STIG wants Secrets with their contents


@pytest.mark.parametrize(
    ("image", "first"),
    [
        ("v1.21.14", "1.2.21"),
        ("v1.23.17", "1.2.19"),
        ("v1.25.16", "1.2.18"),
        ("v1.26.15", "1.2.17"),
        ("v1.27.0", "1.2.16"),
    ],
)
def test_a_control_has_the_number_of_the_benchmark_for_the_node_s_version(
    plane: ControlPlane, image: str, first: str
) -> None:
    give(plane, "v1.31.14", facts.policy_text("cis"), **{"kube_apiserver:v1.31.14": f"kube-apiserver:{image}"})
    ids = [row["id"] for row in cis(plane).details["controls"]]
    number = int(first.rpartition(".")[2])
    assert ids == [*(f"1.2.{each}" for each in range(number, number + 4)), "3.2.1", "3.2.2"]


@pytest.mark.parametrize(
    ("policy", "request_", "why"),
    [
        (POST_ONLY, "get secrets web in prod by alice", "not recorded"),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n",
            "create secrets in prod by alice",
            "contents",
        ),
        (
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [ResponseStarted, ResponseComplete]\nrules:\n- level: Metadata\n",
            "delete pods web in prod by alice",
            "outcome",
        ),
    ],
)
def test_a_concern_that_is_not_met_names_the_request_and_why(
    plane: ControlPlane, policy: str, request_: str, why: str
) -> None:
    give(plane, "v1.36.2", policy)
    report = cis(plane)
    assert report.exit_code == 1
    rows = {row["request"]: row for row in report.details["controls"][-1]["evidence"]}
    assert why in rows[request_]["why"]


def test_short_retention_and_a_missing_policy_fail_their_controls(plane: ControlPlane) -> None:
    give(plane, "v1.36.2", facts.policy_text("cis"), **{"maxage=30": "maxage=7"})
    plane.root.host("/etc/kubernetes/audit/policy.yaml").unlink()
    failed = {check.name for check in cis(plane).verification.checks if check.status.value == "failed"}
    assert failed == {"1.2.17", "3.2.1", "3.2.2"}


def test_the_next_step_of_cis_meets_what_is_not_met_and_nothing_else(plane: ControlPlane) -> None:
    """A maxage of 7 wants another maxage, not another policy."""
    give(plane, "v1.36.2", facts.policy_text("cis"))
    text = plane.manifest_path.read_text()
    plane.manifest_path.write_text(text.replace("--audit-log-maxage=30", "--audit-log-maxage=7"))
    assert cis(plane).next_steps == ("auditctl enable --log-maxage 30",)

    give(plane, "v1.36.2", POST_ONLY)
    assert cis(plane).next_steps == ("auditctl enable --policy cis",)
