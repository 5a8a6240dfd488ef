"""What a policy would have made of the traffic of all control planes, and their logs brought to the controller."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from controlplanes import METADATA, ControlPlanes, brought_up

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
NOTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n"


def test_a_policy_is_replayed_on_the_tallies_and_the_logs_are_brought(tmp_path: Path) -> None:
    """Kilobytes come to the controller for the one, for the caller alone; nothing is left on a node."""
    with brought_up(tmp_path, ("a", "b")) as planes:
        policy, nothing = tmp_path / "policy.yaml", tmp_path / "nothing.yaml"
        policy.write_text(METADATA)
        nothing.write_text(NOTHING)
        for node in planes.nodes.values():
            node.auditctl("enable", "--policy", str(policy))
        trees = planes.trees()

        replayed = planes.play("replay-policy.yml", replay_policy="nothing.yaml")

        assert replayed.code == 0, replayed.text
        tallies = sorted((tmp_path / "audit-tallies").iterdir())
        assert [path.name for path in tallies] == ["a.tally", "b.tally"]
        assert all(0 < path.stat().st_size < 100_000 for path in tallies)
        assert (tmp_path / "audit-tallies").stat().st_mode & 0o777 == 0o700
        answer = "\n".join(replayed.results("a", "Show the answer")[0]["msg"])
        assert "nothing.yaml:4" in answer
        assert [line.split()[0] for line in answer.splitlines() if line.startswith(("NODE", "a ", "b "))] == [
            "NODE",
            "a",
            "b",
        ]
        assert "0 events (0 B) instead of " in answer
        assert answer.splitlines()[-1].startswith("2 control planes in ")
        _the_logs_are_brought(planes, tmp_path)
        refused = planes.play("replay-policy.yml")
        assert (refused.code, "apiserver_audit_replay_policy" in refused.text) == (2, True)
        assert planes.trees() == trees
        assert not [name for name in os.listdir("/tmp") if name.endswith(".auditctl")]


def _the_logs_are_brought(planes: ControlPlanes, folder: Path) -> None:
    brought = planes.play("fetch-logs.yml")
    assert brought.code == 0, brought.text
    for name, node in planes.nodes.items():
        here = folder / "audit-logs" / name
        assert here.stat().st_mode & 0o777 == 0o700
        packed = gzip.decompress((here / "audit.log.gz").read_bytes())
        assert packed
        assert (node.root / "var/log/kubernetes/audit/audit.log").read_bytes().startswith(packed)
