"""What the Lease and the other control planes mean for a run that waits, for one that does not, and for a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from labcluster import LabCluster, lab_cluster

from auditctl.compatibility import UTC
from auditctl.findings import Severity
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout
from auditctl.node.apiserver.turn_lease import Lease
from auditctl.operations.change.cluster import Cluster, held
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.timeout(200)]
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCluster]:
    with lab_cluster(tmp_path_factory.mktemp("two"), ("cp1", "cp2")) as made:
        yield made


@pytest.fixture
def cluster(labs: LabCluster) -> Iterator[Cluster]:
    plane = ControlPlane(rootfs=labs.roots["cp1"])
    yield Cluster.of(plane, plane.read_manifest()[1])
    labs.free()
    clear(Layout(labs.roots["cp2"]))


def checks(cluster: Cluster, **options: object) -> list[tuple[str, Severity]]:
    found = cluster.findings(ChangeOptions(**options), datetime.now(UTC))  # type: ignore[arg-type]  # named by the tests
    return [(finding.check, finding.severity) for finding in found]


def test_it_knows_its_own_name_the_others_and_where_each_answers(cluster: Cluster, labs: LabCluster) -> None:
    assert cluster.servers is not None
    assert (cluster.node, [one.node for one in cluster.servers.others]) == ("cp1", ["cp2"])
    assert [server.port for server in cluster.store.servers] == [labs.port("cp1"), labs.port("cp2")]


def test_a_lease_of_another_refuses_unless_the_run_may_wait(cluster: Cluster, labs: LabCluster) -> None:
    serves = ("other-control-planes", Severity.INFO)
    assert checks(cluster) == [serves]
    labs.hold("cp2_x", 60)
    assert checks(cluster) == [("turn-held", Severity.ERROR), serves]
    assert checks(cluster, turn_seconds=5.0) == [("turn-held", Severity.INFO), serves]
    assert checks(cluster, turn_seconds=5.0, dry_run=True) == [("turn-held", Severity.INFO), serves]
    labs.hold("cp1_x", 60)
    assert checks(cluster) == [serves]


def test_one_that_is_down_for_no_change_refuses_a_dry_run_that_would_wait(cluster: Cluster, labs: LabCluster) -> None:
    Faults(storage_hangs=True).save(Layout(labs.roots["cp2"]))
    down = ("other-control-planes", Severity.ERROR)
    assert checks(cluster) == [down]
    assert checks(cluster, turn_seconds=5.0, dry_run=True) == [down]
    assert checks(cluster, turn_seconds=5.0) == [("other-control-planes", Severity.INFO)]


def test_the_refusal_names_node_change_and_time(tmp_path: Path) -> None:
    lease = Lease("cp2_20261201T115900000Z-ab12", "", NOW + timedelta(seconds=90), "7", "u")
    finding = held(lease)
    assert finding.message == (
        "control plane cp2 is being changed (change 20261201T115900000Z-ab12): it holds the Lease kube-system/auditctl "
        "until 12:01:30 UTC at the latest"
    )
