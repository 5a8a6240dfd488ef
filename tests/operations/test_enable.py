"""``enable`` changes nothing that was not asked for, and loses no recorded event unsaid."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from foldernode import POLICY

from auditctl.errors import PolicyError, RefusedError
from auditctl.findings import Severity
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.rollback import rollback
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
KEEP_ALL = frozenset({"audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize"})
DAYS_BETWEEN = 10
LOG = "/var/log/kubernetes/audit/audit.log"


@pytest.fixture
def audited(folder_node: ControlPlane, policy_file: Path) -> ControlPlane:
    """A node that audits, without a limit of rotation, and with sixteen rotated files."""
    enable(folder_node, EnableRequest(Settings(unset_flags=KEEP_ALL), str(policy_file)), NO_WAIT)
    log = folder_node.root.host(LOG)
    log.touch()
    for number in range(16):
        at = folder_node.clock.utc() - timedelta(days=DAYS_BETWEEN * number + 1)
        log.with_name(f"audit-{at:%Y-%m-%dT%H-%M-%S}.000.log").touch()
    return folder_node


def flags(plane: ControlPlane) -> dict[str, str]:
    return dict(plane.read_manifest()[1].audit_flags)


def test_on_a_node_that_audits_nothing_is_added_but_what_was_named(audited: ControlPlane) -> None:
    before = flags(audited)
    enable(audited, EnableRequest(Settings(log_maxsize_megabytes=200)), NO_WAIT)
    assert flags(audited) == before | {"audit-log-maxsize": "200"}

    text = audited.manifest_path.read_bytes()
    assert enable(audited, EnableRequest(Settings()), NO_WAIT).changed is False
    assert audited.manifest_path.read_bytes() == text


def test_a_log_that_this_enable_creates_is_rotated_by_default(folder_node: ControlPlane, policy_file: Path) -> None:
    enable(folder_node, EnableRequest(Settings(log_path="-"), str(policy_file)), NO_WAIT)
    assert not KEEP_ALL & set(flags(folder_node))  # standard output is not rotated
    enable(folder_node, EnableRequest(Settings(log_path=LOG)), NO_WAIT)
    assert set(flags(folder_node)) >= KEEP_ALL


def test_a_limit_that_deletes_recorded_events_is_refused_with_their_number_and_age(audited: ControlPlane) -> None:
    text = audited.manifest_path.read_bytes()
    request = EnableRequest(Settings(log_maxbackup_files=10))
    for options in (NO_WAIT, ChangeOptions(dry_run=True)):
        with pytest.raises(RefusedError) as refused:
            enable(audited, request, options)
        assert (refused.value.check, refused.value.exit_code) == ("log-deletion", 3)
        assert "6 of 16 rotated files" in refused.value.message
        assert "(151 days old) to" in refused.value.message
    assert audited.manifest_path.read_bytes() == text

    report = enable(audited, request, ChangeOptions(wait=False, allow=frozenset({"log-deletion"})))
    assert [finding.severity for finding in report.findings if finding.check == "log-deletion"] == [Severity.WARNING]
    assert flags(audited)["audit-log-maxbackup"] == "10"


def test_a_rollback_and_a_first_enable_that_delete_recorded_events_are_refused_too(
    audited: ControlPlane, policy_file: Path
) -> None:
    enable(
        audited,
        EnableRequest(Settings(log_maxbackup_files=5)),
        ChangeOptions(wait=False, allow=frozenset({"log-deletion"})),
    )
    enable(audited, EnableRequest(Settings(unset_flags=frozenset({"audit-log-maxbackup"}))), NO_WAIT)
    with pytest.raises(RefusedError, match="11 of 16 rotated files"):
        rollback(audited, None, NO_WAIT)

    disable(audited, Purge(), NO_WAIT)
    with pytest.raises(RefusedError, match="13 of 16 rotated files"):  # --audit-log-maxage=30, as it is by default
        enable(audited, EnableRequest(Settings(), str(policy_file)), NO_WAIT)


def test_a_policy_path_alone_adopts_the_file_that_is_there(folder_node: ControlPlane) -> None:
    policy = folder_node.root.host("/etc/kubernetes/audit/mine.yaml")
    policy.parent.mkdir(parents=True)
    policy.write_text(POLICY + "# mine\n")
    report = enable(folder_node, EnableRequest(Settings(policy_path="/etc/kubernetes/audit/mine.yaml")), NO_WAIT)
    assert policy.read_text() == POLICY + "# mine\n"
    assert flags(folder_node)["audit-policy-file"] == "/etc/kubernetes/audit/mine.yaml"
    assert "policy-replaced" not in {finding.check for finding in report.findings}


def test_a_file_that_is_no_policy_is_neither_adopted_nor_overwritten(folder_node: ControlPlane) -> None:
    path = folder_node.root.host("/etc/kubernetes/audit/mine.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("kind: Config\n")
    with pytest.raises(PolicyError):
        enable(folder_node, EnableRequest(Settings(policy_path="/etc/kubernetes/audit/mine.yaml")), NO_WAIT)
    assert path.read_text() == "kind: Config\n"


def test_a_log_directly_in_var_log_needs_a_permission_and_goes_out_without_a_trace(
    folder_node: ControlPlane, policy_file: Path
) -> None:
    text = folder_node.manifest_path.read_bytes()
    request = EnableRequest(Settings(log_path="/var/log/kubernetes-logs.txt"), str(policy_file))
    with pytest.raises(RefusedError) as refused:
        enable(folder_node, request, NO_WAIT)
    assert refused.value.check == "system-log-directory"
    assert "--allow system-log-directory" in refused.value.fix

    enable(folder_node, request, ChangeOptions(wait=False, allow=frozenset({"system-log-directory"})))
    manifest = folder_node.read_manifest()[1]
    assert [mount.name for mount in manifest.mounts if mount.path == "/var/log"] == ["audit-log"]
    disable(folder_node, Purge(), NO_WAIT)
    assert folder_node.manifest_path.read_bytes() == text


@pytest.mark.parametrize("directory", ["/etc", "/var/lib", "/var/log/pods", "/root"])
def test_no_permission_mounts_another_directory_of_the_system(
    folder_node: ControlPlane, policy_file: Path, directory: str
) -> None:
    request = EnableRequest(Settings(log_path=f"{directory}/audit.log"), str(policy_file))
    with pytest.raises(RefusedError) as refused:
        enable(folder_node, request, ChangeOptions(wait=False, allow=frozenset({"system-log-directory"})))
    assert refused.value.check == "system-directory"
