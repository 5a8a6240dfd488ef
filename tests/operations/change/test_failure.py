"""The words of a failure: a cause is said once."""

from __future__ import annotations

from auditctl.node.apiserver.crash import KUBELET, Line, recognised
from auditctl.node.kubelet.restart import Failed
from auditctl.operations.change.failure import said_once

LINE = (
    'E1121 21:27:01.866857 1 x.go:348] MountVolume.SetUp failed for volume "audit-policy" : '
    "hostPath type check failed: /etc/kubernetes/audit/policy.yaml is not a file"
)


def test_the_cause_of_a_failed_undo_is_not_repeated_where_it_is_that_of_the_change() -> None:
    crash = recognised(Line.of(LINE), KUBELET)
    assert crash is not None
    failed = Failed("the API server was not ready within 60 s", crash, 60.0)
    assert said_once(f"x: {crash}", failed) == "the API server was not ready within 60 s, of the same cause"
    assert said_once("another cause", failed) == str(failed)
