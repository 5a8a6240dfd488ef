"""What a label means for a container that writes its log there."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.findings import Severity
from auditctl.node.change.files import Root
from auditctl.node.preflight import selinux


@pytest.mark.parametrize(
    ("kind", "severities"),
    [("container_file_t", []), ("var_log_t", [Severity.WARNING]), ("site_audit_t", [Severity.INFO])],
)
def test_a_label_is_open_closed_or_not_known(kind: str, severities: list[Severity]) -> None:
    """Sure only of what container-selinux says."""
    found = list(selinux.judged(Path("/var/log/kubernetes/audit"), f"system_u:object_r:{kind}:s0"))

    assert [finding.severity for finding in found] == severities


def test_selinux_is_asked_only_where_it_enforces(tmp_path: Path) -> None:
    """By the kernel's own file."""
    switch = tmp_path / "sys/fs/selinux/enforce"
    assert not selinux.is_enforcing(Root(tmp_path))
    switch.parent.mkdir(parents=True)
    switch.write_text("0")
    assert not selinux.is_enforcing(Root(tmp_path))
    switch.write_text("1")
    assert selinux.is_enforcing(Root(tmp_path))
