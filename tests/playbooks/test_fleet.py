"""Many clusters in waves: three of two lab nodes each, one of which fails; and the plan, the brake and the report by themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from controlplanes import COLLECTIONS, METADATA, ControlPlanes, Node, interpreter
from labcluster import lab_cluster

sys.path.insert(0, str(COLLECTIONS))

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils import fleet

CLUSTERS = {"eu": ("eu1", "eu2"), "us": ("us1", "us2"), "lab": ("lab1", "lab2")}
FLAG = "--audit-log-maxage=77"


class Fleet(ControlPlanes):
    """Three clusters in one inventory, each a group of it."""

    def __init__(self, folder: Path, roots: Mapping[str, Path]) -> None:
        super().__init__(folder, ())
        self.nodes = {name: Node(root) for name, root in roots.items()}
        rows = [
            f"[{name}]\n" + "".join(f"{n} apiserver_audit_rootfs={roots[n]}\n" for n in CLUSTERS[name])
            for name in CLUSTERS
        ]
        self.inventory.write_text(
            "".join(rows)
            + "[all:vars]\nansible_connection=local\nansible_become=false\napiserver_audit_persist=false\n"
            + f"ansible_python_interpreter={interpreter()}\napiserver_audit_python={sys.executable}\n"
            + 'apiserver_audit_ready_timeout=5\napiserver_audit_clusters=["eu", "us", "lab"]\n'
        )

    def report(self) -> dict[str, Any]:
        return json.loads((self.folder / "fleet-report.json").read_text())

    def outcomes(self) -> dict[str, str]:
        return {row["cluster"]: row["outcome"] for row in self.report()["rows"]}


@contextmanager
def fleet_of_labs(folder: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        roots = {}
        for name, nodes in CLUSTERS.items():
            (folder / name).mkdir()
            cluster = stack.enter_context(lab_cluster(folder / name, nodes))
            roots.update(cluster.roots)
        yield Fleet(folder, roots)


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_a_cluster_that_fails_is_left_while_the_others_go_on_and_the_next_run_finishes_it(tmp_path: Path) -> None:
    """The canary first, one control plane of each cluster at a time; one report and one table for all."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(METADATA)
    with fleet_of_labs(tmp_path) as planes:
        before = planes.manifests()
        planes.nodes["us1"].never_ready_with(FLAG)
        values = {"policy_file": str(policy), "log_maxage": 77, "timeout": "6s", "max_fail_percentage": 50}

        ran = planes.play("fleet-audit.yml", **values, clusters_at_once=2)

        assert ran.code == 2, ran.text
        assert planes.outcomes() == {"eu": "done", "us": "failed", "lab": "done"}
        report = planes.report()
        assert (report["done"], report["failed"], report["notBegun"], report["exitCode"]) == (2, 1, 0, 2)
        (us,) = [row for row in report["rows"] if row["cluster"] == "us"]
        assert (us["done"], us["failed"], us["notTouched"]) == ([], ["us1"], ["us2"])
        assert us["why"].startswith("us1 failed: the API server was not ready within 6 s")
        assert "Done: none. Not touched: us2." in us["why"]
        (eu,) = [row for row in report["rows"] if row["cluster"] == "eu"]
        for one in eu["controlPlanes"]:
            assert one["receipt"]["level"] == "Metadata"
            assert one["outageSeconds"] > 0
        turns = [row["host"] for row in ran.rows if row["task"].endswith("Switch auditing on, or converge it")]
        assert turns[:2] == ["eu1", "eu2"]
        assert set(turns[2:4]) == {"us1", "lab1"}
        assert turns[4:] == ["lab2"]
        assert planes.manifests()["us1"] == before["us1"]
        assert planes.manifests()["us2"] == before["us2"]
        assert planes.nodes["us1"].serves
        assert all(FLAG.encode() in planes.manifests()[name] for name in ("eu1", "eu2", "lab1", "lab2"))
        assert "2 of 3 clusters done, 1 failed, 0 not begun" in ran.text
        assert "Failed: us." in ran.last_words

        planes.nodes["us1"].heal()
        running = planes.processes()
        again = planes.play("fleet-audit.yml", **values, clusters_at_once=3, canaries=0)
        assert (again.code, set(planes.outcomes().values())) == (0, {"done"}), again.text
        same = {name for name, process in planes.processes().items() if process == running[name]}
        assert same == {"eu1", "eu2", "lab1", "lab2"}


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_a_canary_that_fails_is_the_only_cluster_that_was_begun(tmp_path: Path) -> None:
    """Whatever the percentage; and a node that cannot be reached fails its cluster."""
    planes = Fleet(tmp_path, {name: tmp_path / name for names in CLUSTERS.values() for name in names})
    text = planes.inventory.read_text().replace(
        "eu1 ", "eu1 ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 "
    )
    planes.inventory.write_text(text)

    ran = planes.play("fleet-audit.yml", max_fail_percentage=100)

    assert (ran.code, planes.outcomes()) == (2, {"eu": "failed", "us": "not begun", "lab": "not begun"}), ran.text
    assert planes.report()["stoppedByBrake"]
    assert planes.report()["rows"][0]["why"] == fleet.LOST
    assert not [row for row in ran.rows if row["host"] != "eu1" and "Reach it" in row["task"]]
    refused = planes.play("fleet-audit.yml", clusters=["eu", "asia"])
    assert (refused.code, "asia" in refused.last_words) == (2, True), refused.text


def test_waves_and_turns() -> None:
    """In a wave the first control planes have their turn together, then the second ones; no cluster has two at a time."""
    clusters = {"a": ["a1", "a2", "a3"], "b": ["b1"], "c": ["c1", "c2"], "d": ["d1"]}
    planned = fleet.waves(clusters, 2, 1)
    found = fleet.turns(clusters, planned)

    assert planned == [["a"], ["b", "c"], ["d"]]
    assert [turn["node"] for turn in found["turns"]] == ["a1", "a2", "a3", "b1", "c1", "c2", "d1"]
    assert found["batches"] == [1, 1, 1, 2, 1, 1]
    assert [turn["node"] for turn in found["turns"] if turn["last"]] == ["a3", "b1", "c2", "d1"]
    assert fleet.waves(clusters, 0, 0) == [["a"], ["b"], ["c"], ["d"]]


@pytest.mark.parametrize(("percentage", "canaries", "braked"), [(10, 0, True), (25, 0, False), (100, 1, True)])
def test_the_brake_counts_clusters(percentage: float, canaries: int, braked: bool) -> None:
    """One of four has failed: 25 %. A canary that fails is enough."""
    clusters = {name: [name + "1"] for name in "abcd"}
    variables: dict[str, dict[str, Any]] = {name + "1": {} for name in "abcd"}
    variables["a1"] = {"auditctl_begun": True, "apiserver_audit_failure": "no"}
    variables["b1"] = {"auditctl_begun": True, "apiserver_audit_done": "present"}

    found = fleet.progress(clusters, fleet.waves(clusters, 4, canaries), variables, "present", percentage, canaries)

    assert found == {"failed": ["a"], "done": {"a": 0, "b": 1, "c": 0, "d": 0}, "braked": braked}


def test_three_hundred_clusters_are_planned_at_once() -> None:
    """30 at a time: a canary and ten waves of three turns."""
    clusters = {f"c{number}": [f"c{number}-{rank}" for rank in range(3)] for number in range(300)}

    found = fleet.turns(clusters, fleet.waves(clusters, 30, 1))

    assert (len(found["turns"]), len(found["batches"])) == (900, 3 * 11)
    assert max(found["batches"]) == 30
