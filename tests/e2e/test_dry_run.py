"""A dry run on a node that runs says what the real run would: refusals end with 3, and nothing is touched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from foldernode import HOOK
from nodes import EVERYTHING, METADATA, Node

pytestmark = pytest.mark.lab


def test_a_receiver_that_does_not_answer_is_tried_by_the_dry_run_too(node: Node, tmp_path: Path) -> None:
    hook = tmp_path / "w.yaml"
    hook.write_text(HOOK.format(1))
    before = node.manifest.read_bytes()
    for words in ((), ("--dry-run",)):
        ran = node.enable(METADATA, "--webhook-config", hook, *words)
        assert (ran.code, ran.report["outcome"]) == (3, "Refused")
        assert "webhook-reachable" in {finding["check"] for finding in ran.report["findings"]}
    allowed = node.enable(METADATA, "--webhook-config", hook, "--dry-run", "--allow", "webhook-reachable")
    assert allowed.code == 0
    assert node.manifest.read_bytes() == before


def test_a_live_dry_run_asks_the_server_and_names_the_requests_that_change_level(node: Node) -> None:
    assert node.enable(METADATA).code == 0
    dry = node.enable(EVERYTHING, "--dry-run")
    assert (dry.code, dry.report["changed"]) == (0, False)
    assert {row["after"] for row in dry.report["requests"]} == {"RequestResponse"}
    real = node.enable(EVERYTHING)
    assert real.code == 0
    assert real.stderr.index("Metadata -> RequestResponse") < real.stderr.index("expected outage")
    assert real.stderr.index("expected outage") < real.stderr.index("[auditctl] change ")


def test_one_named_flag_deletes_no_rotated_file(node: Node) -> None:
    """The server deletes at its first write after the start, and it is asked for a receipt then."""
    keep = ("--unset", "audit-log-maxage", "--unset", "audit-log-maxbackup", "--unset", "audit-log-maxsize")
    assert node.enable(METADATA, *keep).code == 0
    now = datetime.now(UTC)
    rotated = {f"audit-{now - timedelta(days=9 * n + 1):%Y-%m-%dT%H-%M-%S}.000.log" for n in range(16)}
    for name in rotated:
        (node.log.parent / name).touch()

    assert node.run("enable", "--log-maxsize", "200").code == 0
    assert rotated <= {path.name for path in node.log.parent.iterdir()}

    refused = node.run("enable", "--log-maxbackup", "10")
    assert (refused.code, refused.report["findings"][0]["check"]) == (3, "log-deletion")
    assert "6 of 16" in refused.report["summary"]
    assert node.run("enable", "--log-maxbackup", "10", "--allow", "log-deletion").code == 0
    assert len(rotated & {path.name for path in node.log.parent.iterdir()}) == 10
