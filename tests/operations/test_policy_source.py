"""enable and restart say of a policy what `policy validate` says: an opinion warns loudly and goes on; --strict refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl import facts
from auditctl.errors import RefusedError
from auditctl.operations import policy_source
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.restart import restart
from auditctl.policy.load import load
from auditctl.report import from_error
from auditctl.settings import Settings

EVERY_BODY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: None
  resources: [{group: "", resources: [deployments]}]
- level: RequestResponse
"""


def warned(findings: tuple[policy_source.Finding, ...]) -> dict[str, tuple[str, int]]:
    """File and line of each warning, by its check."""
    return {one.check: (one.file, one.line) for one in findings if one.severity is policy_source.Severity.WARNING}


def test_secret_bodies_and_a_wrong_group_are_told_by_enable_and_installed_all_the_same(
    folder_node: ControlPlane, tmp_path: Path
) -> None:
    """At the lines of the user's own file; with --strict nothing is touched."""
    file = tmp_path / "every-body.yaml"
    file.write_text(EVERY_BODY)
    manifest = folder_node.manifest_path.read_bytes()
    with pytest.raises(RefusedError, match="'deployments' is not served by the group ''"):
        enable(folder_node, EnableRequest(Settings(), str(file)), ChangeOptions(wait=False, strict=True))
    assert folder_node.manifest_path.read_bytes() == manifest

    report = enable(folder_node, EnableRequest(Settings(), str(file)), ChangeOptions(wait=False))

    told = warned(report.findings)
    assert (report.exit_code, told["wrong-group"], told["secret-bodies"]) == (0, (str(file), 5), (str(file), 6))
    installed = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    assert installed.read_text() == EVERY_BODY
    assert warned(restart(folder_node, ChangeOptions(wait=False)).findings)["secret-bodies"] == (str(installed), 6)


def test_a_change_that_does_not_name_the_policy_does_not_judge_it_again(
    folder_node: ControlPlane, tmp_path: Path
) -> None:
    """Who changes a flag was told when the policy came."""
    file = tmp_path / "every-body.yaml"
    file.write_text(EVERY_BODY)
    enable(folder_node, EnableRequest(Settings(), str(file)), ChangeOptions(wait=False))

    report = enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), ChangeOptions(wait=False))

    assert "secret-bodies" not in warned(report.findings)


@pytest.mark.parametrize("name", facts.policy_names())
def test_nothing_is_to_be_said_of_a_shipped_policy(name: str) -> None:
    """So it is not asked for by its name; as a file of the user's it has no warning either."""
    raw = facts.policy_text(name).encode()
    policy = load(raw).policy
    assert policy is not None
    found = [
        each.check
        for each in policy_source.lint_warnings(policy_source.SelectedPolicy("mine.yaml", raw, policy), (1, 36))
    ]
    assert found == (["secret-bodies"] if name == "detect" else [])  # a public detection reads ConfigMaps


def test_a_refused_policy_is_told_as_an_editor_finds_it(folder_node: ControlPlane, tmp_path: Path) -> None:
    """The one sentence has file, line and column; what it does not say of the others stands before it."""
    file = tmp_path / "typo.yaml"
    file.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: MetaData\n")
    with pytest.raises(RefusedError, match="would refuse") as refused:
        enable(folder_node, EnableRequest(Settings(), str(file)), ChangeOptions(wait=False))
    text = from_error("enable", "", refused.value).to_text()
    assert text.startswith(f"{file}:4:10: kube-apiserver 1.36 would refuse this policy: rules[0].level: ")
    assert text.splitlines()[1:] == ["next: did you mean `Metadata`?"]

    file.write_text(file.read_text() + "- level: none\n")
    with pytest.raises(RefusedError, match="would refuse") as refused:
        enable(folder_node, EnableRequest(Settings(), str(file)), ChangeOptions(wait=False))
    first, second, _ = from_error("enable", "", refused.value).to_text().splitlines()
    assert (first.partition(" ")[0], second.partition(" ")[0]) == (f"{file}:5:10:", f"{file}:4:10:")
