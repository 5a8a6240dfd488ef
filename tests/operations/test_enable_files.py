"""``--readers GROUP`` changes permissions in a log directory of ours alone."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.findings import Severity
from auditctl.operations import enable_files
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

GROUP = grp.getgrgid(os.getgid()).gr_name
LOG = "/var/log/kubernetes/audit/audit.log"


def test_without_the_option_nothing_is_examined(folder_node: ControlPlane) -> None:
    assert enable_files.readers_findings(folder_node, None, None) == ()
    assert enable_files.grant_readers(None, folder_node.root.host(LOG)) == ()


def test_a_group_that_is_not_there_and_a_log_that_is_none_refuse(folder_node: ControlPlane) -> None:
    with pytest.raises(RefusedError):
        enable_files.readers_findings(folder_node, "no-such-group-here", folder_node.root.host(LOG))
    [finding] = enable_files.readers_findings(folder_node, GROUP, None)
    assert (finding.severity, "no log file" in finding.message) == (Severity.ERROR, True)


def test_a_directory_that_was_there_before_is_not_ours_to_open(folder_node: ControlPlane, policy_file: Path) -> None:
    log = folder_node.root.host(LOG)
    log.parent.mkdir(parents=True)
    before = log.parent.stat().st_mode
    with pytest.raises(RefusedError, match="was there before auditctl"):
        enable(folder_node, EnableRequest(Settings(), str(policy_file), readers=GROUP), ChangeOptions(wait=False))
    assert log.parent.stat().st_mode == before


def test_a_directory_that_we_made_is_opened_behind_the_change(folder_node: ControlPlane, policy_file: Path) -> None:
    report = enable(folder_node, EnableRequest(Settings(), str(policy_file), readers=GROUP), ChangeOptions(wait=False))
    [finding] = [finding for finding in report.findings if finding.check == "readers"]
    assert finding.severity in (Severity.INFO, Severity.WARNING)  # a file system without ACLs is a warning
    if finding.severity is Severity.INFO:
        assert "system.posix_acl_default" in os.listxattr(folder_node.root.host(LOG).parent)
