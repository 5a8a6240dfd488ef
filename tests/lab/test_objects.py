"""The objects of the stand-in: kubeadm's record, JSON patches, selectors, and what cannot be done said in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditctl.kubeadm.configmap import KEY
from auditctl.lab.apiserver.objects import Objects, StatusError
from auditctl.policy.request import attributes

CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
PODS = "/api/v1/namespaces/kube-system/pods"


def send(objects: Objects, method: str, url: str, body: Any = None) -> Any:
    """The object that the stand-in answers with."""
    return objects.perform(attributes(method, url, None), body, url.partition("?")[2])[1]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "kubeadm-config.json"
    path.write_text(json.dumps({"data": {KEY: "apiServer: {}\n"}}))
    return path


def test_kubeadms_record_outlives_a_restart(record: Path) -> None:
    patch = [{"op": "replace", "path": f"/data/{KEY}", "value": "apiServer:\n  extraArgs: []\n"}]
    send(Objects(record=record), "PATCH", CONFIG, patch)

    assert send(Objects(record=record), "GET", CONFIG)["data"] == {KEY: "apiServer:\n  extraArgs: []\n"}


def test_a_record_that_was_given_back_is_what_the_running_server_answers(record: Path) -> None:
    objects, before = Objects(record=record), record.read_bytes()
    first = send(objects, "GET", CONFIG)
    send(objects, "PATCH", CONFIG, {"data": {KEY: "other"}})
    record.write_bytes(before)

    again = send(objects, "GET", CONFIG)

    assert again["data"] == first["data"]
    assert again["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]


def test_a_deleted_record_is_gone_for_the_next_server_too(record: Path) -> None:
    send(Objects(record=record), "DELETE", CONFIG)

    with pytest.raises(StatusError) as caught:
        send(Objects(record=record), "GET", CONFIG)
    assert (caught.value.code, record.exists()) == (404, False)


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ([{"op": "test", "path": f"/data/{KEY}", "value": "no"}, {"op": "remove", "path": "/data"}], 422),
        ([{"op": "increment", "path": "/data"}], 400),
        ([{"op": "replace", "path": "/metadata", "value": 1}], 422),
        ("text", 400),
        (None, 400),
    ],
)
def test_a_patch_that_cannot_be_done_is_refused_and_changes_nothing(record: Path, patch: Any, code: int) -> None:
    objects, before = Objects(record=record), record.read_bytes()

    with pytest.raises(StatusError) as caught:
        send(objects, "PATCH", CONFIG, patch)

    assert caught.value.code == code
    assert record.read_bytes() == before


def test_a_dry_run_writes_no_record(record: Path) -> None:
    before = record.read_bytes()
    answer = send(Objects(record=record), "PATCH", f"{CONFIG}?dryRun=All", {"data": {KEY: "other"}})
    assert answer["data"] == {KEY: "other"}
    assert record.read_bytes() == before


def test_the_mirror_pod_has_the_command_line_and_is_found_by_its_label() -> None:
    objects = Objects(command=("--audit-log-maxage=3",))

    (pod,) = send(objects, "GET", f"{PODS}?labelSelector=component%3Dkube-apiserver")["items"]
    others = send(objects, "GET", f"{PODS}?labelSelector=component%3Detcd")["items"]

    assert pod["spec"]["containers"][0]["command"] == ["kube-apiserver", "--audit-log-maxage=3"]
    assert others == []


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_a_session_is_refused_in_words(subresource: str) -> None:
    with pytest.raises(StatusError) as caught:
        send(Objects(), "POST", f"{PODS}/kube-apiserver-controlplane/{subresource}")
    assert (caught.value.code, "runs no containers" in caught.value.message) == (501, True)
