"""The facts that ship as data: flag table and policies."""

from __future__ import annotations

import pytest

from auditctl.errors import RefusedError
from auditctl.facts import FlagType, audit_flags, policy_names, policy_text, template


def test_there_are_the_32_audit_flags() -> None:
    flags = audit_flags()
    assert len(flags) == 32
    assert all(
        name == flag.name and name.startswith("audit-") and flag.meaning and flag.trap for name, flag in flags.items()
    )
    assert [name for name, flag in flags.items() if flag.since > (1, 19, 0)] == ["audit-log-compress"]
    assert {name for name, flag in flags.items() if flag.type is FlagType.BOOL} == {
        "audit-log-compress", "audit-log-batch-throttle-enable", "audit-log-truncate-enabled",
        "audit-webhook-batch-throttle-enable", "audit-webhook-truncate-enabled",
    }  # fmt: skip


def test_the_rotation_defaults_changed_with_1_36() -> None:
    flags = audit_flags()
    for name, old, new in (("maxage", "0", "366"), ("maxbackup", "0", "100"), ("maxsize", "0", "100")):
        flag = flags[f"audit-log-{name}"]
        assert [flag.default(version) for version in ((1, 20, 0), (1, 35, 9), (1, 36, 0), None)] == [old, old, new, new]
        assert flag.default((1, 18, 0)) == old


def test_shipped_policies_are_listed_without_their_expectations() -> None:
    names = policy_names()
    assert list(names) == sorted(names)
    assert not any(name.endswith(".expect") for name in names)
    for name in names:
        assert policy_text(name) == template("policies", f"{name}.yaml").read_text(encoding="utf-8")
    with pytest.raises(RefusedError, match="no policy 'nothing'"):
        policy_text("nothing")
