"""The Lease of a cluster against the stand-in's API: one of many takes it, and it goes by its version alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from labcluster import PACE

from auditctl.compatibility import UTC
from auditctl.lab import down, up
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.turn_lease import HeldElsewhere, Holder, Lease, LeaseStore, Taken, Unavailable
from auditctl.operations.controlplane import ControlPlane

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    root = tmp_path_factory.mktemp("lease") / "node"
    up(root, pace=PACE)
    yield ControlPlane(rootfs=root)
    down(root)


@pytest.fixture
def store(plane: ControlPlane) -> Iterator[LeaseStore]:
    """The real requests to a server; first an address where nobody answers, as while this node restarts."""
    endpoint = plane.endpoint(plane.read_manifest()[1])
    made = LeaseStore((Endpoint("127.0.0.1", 1, endpoint.authorities), endpoint), plane.credentials())
    yield made
    clear(Layout(plane.rootfs))
    there = made.read()
    if isinstance(there, Lease):
        assert made.give_back(Holder.parse(there.holder))


def test_of_many_that_ask_at_once_exactly_one_takes_it(store: LeaseStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: store.take(Holder(f"cp{n}", "x"), 60, NOW), range(8)))
    assert [type(answer) for answer in answers].count(Taken) == 1
    assert {type(answer) for answer in answers} == {Taken, HeldElsewhere}
    winner = answers.index(Taken())
    assert all(answer.lease.holder == f"cp{winner}_x" for answer in answers if isinstance(answer, HeldElsewhere))


def test_of_many_that_take_over_one_that_has_ended_exactly_one_does(store: LeaseStore) -> None:
    """The version that was read decides: all of them have seen it free."""
    assert store.take(Holder("cp9", "x"), 60, NOW) == Taken()
    later = NOW + timedelta(hours=1)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: store.take(Holder(f"cp{n}", "y"), 60, later), range(8)))
    assert [type(answer) for answer in answers].count(Taken) == 1


def test_it_ends_by_itself_some_seconds_after_its_duration(store: LeaseStore) -> None:
    assert store.take(Holder("cp1", "x"), 60, NOW) == Taken()
    assert isinstance(store.take(Holder("cp2", "y"), 60, NOW + timedelta(seconds=65)), HeldElsewhere)
    assert store.take(Holder("cp2", "y"), 60, NOW + timedelta(seconds=71)) == Taken()
    assert not store.renew(Holder("cp1", "x"), 60, NOW)
    assert store.give_back(Holder("cp1", "x"))
    there = store.read()
    assert isinstance(there, Lease)
    assert there.holder == "cp2_y"


def test_renewed_it_ends_later_and_keeps_when_it_was_taken(store: LeaseStore) -> None:
    store.take(Holder("cp1", "x"), 60, NOW)
    assert store.renew(Holder("cp1", "x"), 600, NOW + timedelta(seconds=30))
    there = store.read()
    assert isinstance(there, Lease)
    assert (there.acquired, there.until) == ("2026-12-01T12:00:00.000000Z", NOW + timedelta(seconds=630))


def test_given_back_it_is_gone(store: LeaseStore) -> None:
    store.take(Holder("cp1", "x"), 60, NOW)
    assert store.give_back(Holder("cp1", "x"))
    assert store.read() is None


def test_without_rights_the_reason_is_said(store: LeaseStore, plane: ControlPlane) -> None:
    Faults(forbidden_resources=("leases",)).save(Layout(plane.rootfs))
    answer = store.take(Holder("cp1", "x"), 60, NOW)
    assert isinstance(answer, Unavailable)
    assert answer.reason.startswith("the credentials have no rights for Lease kube-system/auditctl (403")
    assert not store.give_back(Holder("cp1", "x"))


def test_without_a_server_that_answers_the_reason_is_said(store: LeaseStore) -> None:
    answer = LeaseStore(store.servers[:1], store.credentials).take(Holder("cp1", "x"), 60, NOW)
    assert answer == Unavailable("the API server does not answer", is_down=True)


def test_a_lease_of_the_same_name_that_is_no_lease_of_ours_is_not_taken(store: LeaseStore, plane: ControlPlane) -> None:
    shared = Layout(plane.rootfs).shared_objects
    key, metadata = "coordination.k8s.io/leases/kube-system/auditctl", {"name": "auditctl", "resourceVersion": "1"}
    made = {"metadata": metadata, "spec": {"renewTime": "yesterday", "leaseDurationSeconds": 3}}
    shared.write_text(json.dumps({"revision": 5, "objects": [{"key": key, "object": made}]}))
    answer = store.take(Holder("cp1", "x"), 60, NOW)
    shared.write_text(json.dumps({"revision": 6, "objects": []}))
    assert isinstance(answer, Unavailable)
    assert "something else than a Lease" in answer.reason


@pytest.mark.parametrize(("spec", "is_free"), [({}, True), ({"holderIdentity": "a_b"}, True)])
def test_one_that_does_not_say_until_when_is_free(spec: dict[str, str], is_free: bool) -> None:
    assert Lease.of({"metadata": {"resourceVersion": "1"}, "spec": spec}).is_free(NOW) is is_free


def test_the_holder_is_the_node_and_the_change(tmp_path: Path) -> None:
    assert Holder.parse(str(Holder("cp-1.example", "20261201T120000000Z-ab12"))) == (
        "cp-1.example",
        "20261201T120000000Z-ab12",
    )
