"""Two servers of one cluster: a write of one is what the other reads, and an outdated version is refused by both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from auditctl.lab.apiserver.objects import Objects, StatusError
from auditctl.lab.apiserver.shared_objects import SharedObjects
from auditctl.policy.request import attributes

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
LEASE = f"{LEASES}/auditctl"


def send(objects: Objects, method: str, url: str, body: Any = None) -> Any:
    return objects.perform(attributes(method, url, None), body)[1]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Objects, Objects]:
    """The second one reaches the file by a link, as a lab that has joined."""
    (tmp_path / "link.json").symlink_to(tmp_path / "objects.json")
    shared = SharedObjects(tmp_path / "objects.json"), SharedObjects(tmp_path / "link.json")
    return Objects(shared=shared[0]), Objects(shared=shared[1])


def code_of(objects: Objects, method: str, url: str, body: Any) -> int:
    with pytest.raises(StatusError) as caught:
        send(objects, method, url, body)
    return caught.value.code


def test_only_the_version_that_was_read_is_replaced_or_removed(pair: tuple[Objects, Objects]) -> None:
    first, second = pair
    made = send(first, "POST", LEASES, {"metadata": {"name": "auditctl"}, "spec": {"holderIdentity": "a"}})
    assert send(second, "GET", LEASE)["spec"] == {"holderIdentity": "a"}
    assert code_of(second, "POST", LEASES, {"metadata": {"name": "auditctl"}}) == 409

    metadata = {"name": "auditctl", "resourceVersion": made["metadata"]["resourceVersion"]}
    taken = send(second, "PUT", LEASE, {"metadata": metadata, "spec": {"holderIdentity": "b"}})
    assert code_of(first, "PUT", LEASE, {"metadata": metadata, "spec": {"holderIdentity": "a"}}) == 409
    outdated = {"preconditions": {"resourceVersion": metadata["resourceVersion"]}}
    assert code_of(first, "DELETE", LEASE, outdated) == 409
    send(first, "DELETE", LEASE, {"preconditions": {"resourceVersion": taken["metadata"]["resourceVersion"]}})
    assert code_of(second, "GET", LEASE, None) == 404


def test_a_lab_of_its_own_keeps_nothing_until_a_lease_is_written(tmp_path: Path) -> None:
    alone = Objects(shared=SharedObjects(tmp_path / "objects.json"))
    send(alone, "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}})
    assert not os.path.exists(tmp_path / "objects.json")
    send(alone, "POST", LEASES, {"metadata": {"name": "auditctl"}})
    again = Objects(shared=SharedObjects(tmp_path / "objects.json"))
    assert send(again, "GET", LEASE)["metadata"]["name"] == "auditctl"
    assert [pod["metadata"]["name"] for pod in send(again, "GET", "/api/v1/pods")["items"]] == [
        "kube-apiserver-controlplane"
    ]
