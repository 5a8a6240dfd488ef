"""One control plane of a cluster at a time: the Lease held elsewhere, taken over, lost, forbidden, and left by a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from labcluster import LabCluster, LabNode, lab_cluster

from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout
from auditctl.node.apiserver.process import listener
from auditctl.node.apiserver.turn_lease import Holder, Taken
from auditctl.operations.change.cluster import Cluster
from auditctl.operations.change.turn import Turn
from auditctl.operations.controlplane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
ON = ("enable", "--log-maxage")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    """Two control planes with auditing on, up for all tests of this file."""
    with lab_cluster(tmp_path_factory.mktemp("cluster"), ("cp1", "cp2")) as made:
        for name in made.roots:
            ran = made.node(name).run("enable")
            assert (ran.code, made.lease()) == (0, None), ran.stderr
        yield made


@pytest.fixture(autouse=True)
def _nothing_left(cluster: LabCluster) -> Iterator[None]:
    yield
    cluster.free()
    for root in cluster.roots.values():
        clear(Layout(root))


def node(cluster: LabCluster, name: str) -> LabNode:
    return cluster.node(name)


def until(is_so: Callable[[], Any], reason: str) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(0.01)
    raise AssertionError(reason)


def ended(process: subprocess.Popen[str]) -> int:
    """Return the exit code; the pipes are closed."""
    process.communicate(timeout=60)
    return process.returncode


def held(cluster: LabCluster) -> bool:
    return cluster.lease() is not None


def test_while_a_change_runs_another_node_is_refused_by_name_and_a_run_that_waits_comes_next(
    cluster: LabCluster,
) -> None:
    """Never both at once; the one that waits changes its node without a second command."""
    Faults(only_with="--audit-log-maxage=41", never_ready=True).save(Layout(cluster.roots["cp1"]))
    first = node(cluster, "cp1").start(*ON, "41", "--drain", "0")
    until(lambda: held(cluster), "the Lease")
    holder = cluster.lease()["holderIdentity"]
    refused = node(cluster, "cp2").run(*ON, "41")
    dry = node(cluster, "cp2").run(*ON, "41", "--dry-run")
    waiting = node(cluster, "cp2").start(*ON, "41", "--wait-for-turn", "2m", "-o", "json")

    assert waiting.stderr is not None
    until(lambda: "waiting for the turn" in waiting.stderr.readline(), "it waits")
    clear(Layout(cluster.roots["cp1"]))
    both = []
    while first.poll() is None:
        both.append(all(listener(cluster.port(name)) is None for name in cluster.roots))
        time.sleep(0.01)
    assert ended(first) == 0
    stdout, stderr = waiting.communicate(timeout=60)

    assert (refused.code, dry.code) == (3, 3)
    assert refused.report["findings"][0]["check"] == "turn-held"
    assert holder.startswith("cp1_")
    assert holder.removeprefix("cp1_") in refused.report["summary"]
    assert "control plane cp1 is being changed" in refused.report["summary"]
    assert "nothing was changed" in refused.report["summary"]
    assert waiting.returncode == 0, stdout + stderr
    assert b"--audit-log-maxage=41" in node(cluster, "cp2").manifest.read_bytes()
    assert not any(both)
    assert not held(cluster)
    shown = node(cluster, "cp1").run("history").report["history"][-1]
    assert shown["id"] == holder.removeprefix("cp1_")


def test_a_lease_of_another_node_is_respected_until_it_ends_and_then_taken_over(cluster: LabCluster) -> None:
    cluster.hold("cp2_20261201T000000000Z-dead", 600)
    before = node(cluster, "cp1").manifest.read_bytes()
    refused = node(cluster, "cp1").run(*ON, "42")
    assert (refused.code, node(cluster, "cp1").manifest.read_bytes()) == (3, before)
    assert "kubectl -n kube-system delete lease auditctl" in refused.report["nextSteps"][0]

    allowed = node(cluster, "cp1").run(*ON, "42", "--allow", "turn-held")
    assert allowed.code == 0, allowed.stderr
    assert cluster.lease()["holderIdentity"] == "cp2_20261201T000000000Z-dead"

    cluster.hold("cp2_20261201T000000000Z-dead", 60, renewed_before=3600)
    ran = node(cluster, "cp1").run(*ON, "43")
    assert (ran.code, held(cluster)) == (0, False), ran.stderr


def test_a_lease_that_this_very_node_has_left_is_taken_over_at_once(cluster: LabCluster) -> None:
    """The lock of the node is held, so the run that took it is gone."""
    cluster.hold("cp1_20261201T000000000Z-dead", 600)
    ran = node(cluster, "cp1").run(*ON, "44")
    assert (ran.code, held(cluster)) == (0, False), ran.stderr


def test_without_rights_for_leases_the_change_is_made_as_before_and_that_is_said(cluster: LabCluster) -> None:
    Faults(forbidden_resources=("leases",)).save(Layout(cluster.roots["cp1"]))
    ran = node(cluster, "cp1").run(*ON, "45")
    assert ran.code == 0, ran.stderr
    finding = next(one for one in ran.report["findings"] if one["check"] == "cluster-turn")
    assert (finding["severity"], "no rights for Lease kube-system/auditctl (403" in finding["message"]) == (
        "warning",
        True,
    )


def test_a_run_that_is_killed_leaves_the_lease_to_its_watchdog_which_gives_it_back(cluster: LabCluster) -> None:
    cp1 = node(cluster, "cp1")
    before = cp1.manifest.read_bytes()
    Faults(only_with="--audit-log-maxage=46", never_ready=True).save(Layout(cp1.root))
    process = cp1.start(*ON, "46", "--drain", "0")
    until(lambda: cp1.manifest.read_bytes() != before, "the rename")
    os.kill(process.pid, signal.SIGKILL)
    ended(process)
    assert held(cluster)
    assert node(cluster, "cp2").run(*ON, "46").code == 3
    clear(Layout(cp1.root))

    until(lambda: not held(cluster), "the watchdog gives it back")
    assert cp1.is_ready()
    assert b"--audit-log-maxage=46" in cp1.manifest.read_bytes()


def watchdogs(root: Path) -> list[int]:
    """The watchdogs of this lab, by their name and command line."""
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_one = (entry / "comm").read_text().strip() == "auditctl-watch"
            pids += [int(entry.name)] if is_one and str(root) in (entry / "cmdline").read_text() else []
    return pids


def test_recover_gives_back_the_lease_of_a_run_whose_watchdog_died_too(cluster: LabCluster) -> None:
    """Until then it keeps the others away, to its end at the latest."""
    cp1 = node(cluster, "cp1")
    Faults(only_with="--audit-log-maxage=51", never_ready=True).save(Layout(cp1.root))
    before = cp1.manifest.read_bytes()
    process = cp1.start(*ON, "51", "--drain", "0")
    until(lambda: cp1.manifest.read_bytes() != before, "the rename")
    for pid in (*watchdogs(cp1.root), process.pid):
        os.kill(pid, signal.SIGKILL)
    ended(process)
    until(lambda: not watchdogs(cp1.root), "it is gone")
    assert held(cluster)
    clear(Layout(cp1.root))

    recovered = cp1.run("recover")

    assert (recovered.code, "was interrupted" in recovered.stderr) == (0, True), recovered.stderr
    assert not held(cluster)


def test_for_a_restart_that_nobody_waits_for_the_lease_is_left_for_a_minute(cluster: LabCluster) -> None:
    """Under a root folder a run with --no-wait asks no server, so the turn itself is tried here."""
    plane = ControlPlane(rootfs=cluster.roots["cp1"])
    store = Cluster.of(plane, plane.read_manifest()[1]).store
    assert store.take(Holder("cp1", "x"), 600, plane.clock.utc()) == Taken()
    own = Turn(plane, "x", "cp1_x", store)
    own.leave(60)
    own.give_back()
    assert cluster.lease()["leaseDurationSeconds"] == 60


def test_a_failed_change_keeps_the_lease_until_the_old_configuration_serves_again(cluster: LabCluster) -> None:
    cp1 = node(cluster, "cp1")
    Faults(only_with="--audit-log-maxage=47", never_ready=True).save(Layout(cp1.root))
    process = cp1.start(*ON, "47", "--timeout", "3s", "--drain", "0")
    seen: list[bool] = []
    while process.poll() is None:
        lease, serves = cluster.lease(), cp1.is_ready()
        if lease is not None or seen:
            seen.append(lease is not None or serves)
        time.sleep(0.02)
    assert ended(process) == 4
    assert all(seen)
    assert not held(cluster)


def test_a_control_plane_that_does_not_read_from_its_storage_does_not_count(cluster: LabCluster) -> None:
    """Its /readyz says 200 all the while; a dry run refuses as the real one does."""
    Faults(storage_hangs=True).save(Layout(cluster.roots["cp2"]))
    assert cluster.node("cp2").is_ready()
    for words in ((), ("--dry-run",)):
        ran = node(cluster, "cp1").run(*ON, "48", *words)
        assert (ran.code, ran.report["findings"][0]["check"]) == (3, "other-control-planes"), ran.report
        assert "control plane cp2 (127.0.0.1:" in ran.report["summary"]
        assert "does not read from its storage" in ran.report["summary"]


def test_with_its_turn_a_run_asks_the_others_once_more_and_leaves_no_lease_when_it_is_refused(
    cluster: LabCluster,
) -> None:
    Faults(storage_hangs=True).save(Layout(cluster.roots["cp2"]))
    before = node(cluster, "cp1").manifest.read_bytes()
    ran = node(cluster, "cp1").run(*ON, "48", "--wait-for-turn", "1s")
    assert (ran.code, ran.report["findings"][0]["check"]) == (3, "other-control-planes"), ran.report
    assert "waiting for the turn of this node" in ran.stderr
    assert (node(cluster, "cp1").manifest.read_bytes(), held(cluster)) == (before, False)


def test_a_dry_run_plans_what_the_run_does(cluster: LabCluster, tmp_path: Path) -> None:
    """The text of the manifest, the way of the restart and the files: what runs is known to both."""
    policy = tmp_path / "p.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n")
    cp1 = node(cluster, "cp1")
    dry = cp1.run("enable", "--policy", policy, "--dry-run")
    ran = cp1.run("enable", "--policy", policy)
    assert (dry.code, ran.code) == (0, 0), ran.stderr
    assert dry.report["manifest"]["after"] == ran.report["manifest"]["after"]
    assert dry.report["manifest"]["plan"] == ran.report["manifest"]["plan"]


def test_a_change_that_restarts_nothing_asks_for_no_turn(cluster: LabCluster) -> None:
    age = "49"
    assert node(cluster, "cp1").run(*ON, age).code == 0
    cluster.hold("cp2_20261201T000000000Z-busy", 600)
    again = node(cluster, "cp1").run(*ON, age)
    assert (again.code, again.report["outcome"]) == (0, "Unchanged"), again.report


def test_a_run_that_is_interrupted_while_it_waits_changes_nothing(cluster: LabCluster, tmp_path: Path) -> None:
    cluster.hold("cp2_20261201T000000000Z-busy", 600)
    cp1 = node(cluster, "cp1")
    before = cp1.manifest.read_bytes()
    process = cp1.start(*ON, "50", "--wait-for-turn", "5m")
    assert process.stderr is not None
    until(lambda: "waiting for the turn" in process.stderr.readline(), "it waits")
    process.send_signal(signal.SIGINT)
    assert ended(process) == 130
    assert cp1.manifest.read_bytes() == before
    assert cluster.lease()["holderIdentity"].startswith("cp2_")
