"""Who did it: the person behind an impersonating proxy is found by every filter, and hidden by none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditctl.errors import UsageError
from auditctl.log.filters import LogFilters
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log.tail import log_tail
from auditctl.operations.log.tail_rows import TailFormat, TailOptions
from auditctl.operations.log.volume import TopOptions, log_top

PROXY = "system:serviceaccount:cattle-system:engine"


def event(number: int, **more: object) -> bytes:
    value = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/payments",
        "verb": "delete",
        "user": {"username": PROXY, "groups": ["system:serviceaccounts", "system:authenticated"]},
        "objectRef": {"resource": "namespaces", "namespace": "payments", "name": "payments", "apiVersion": "v1"},
        "stageTimestamp": f"2026-06-25T21:01:0{number}.000000Z",
        **more,
    }
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """1: a service account for itself; 2: on behalf of a person; 3: a person directly."""
    path = tmp_path / "audit.log"
    person = {"username": "user-x", "groups": ["cattle:authenticated", "system:authenticated"]}
    path.write_bytes(
        event(1) + event(2, impersonatedUser=person) + event(3, user={"username": "bob", "groups": ["dev"]})
    )
    return path


def shown(log: Path, **filters: tuple[str, ...]) -> tuple[list[int], list[str]]:
    wanted = LogFilters.of(**filters)
    tailed = log_tail(
        ControlPlane(rootfs=log.parent), TailOptions(logs=(str(log),), filters=wanted, form=TailFormat.JSON)
    )
    lines = b"".join(tailed.pieces or ()).splitlines()
    return [int(json.loads(each)["auditID"][3:]) for each in lines], list(tailed.closing_notes())


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({"user": ("user-x",)}, [2]),
        ({"user": (PROXY,)}, [1, 2]),
        ({"user": ("!system:*",)}, [2, 3]),
        ({"user": ("!user-x",)}, [1, 2, 3]),
        ({"user": ("!system:*", "!user-x")}, [3]),
        ({"user_group": ("cattle:authenticated",)}, [2]),
        ({"user_group": ("!system:serviceaccounts",)}, [2, 3]),
        ({"user_group": ("!system:*", "!cattle:*")}, [3]),
        ({"resource": ("namespace",)}, [1, 2, 3]),
        ({"resource": ("ns",)}, [1, 2, 3]),
        ({"resource": ("!Namespace",)}, []),
        ({"verb": ("DELETE",)}, [1, 2, 3]),
    ],
)
def test_either_identity_is_found_and_an_unwanted_one_hides_no_other(
    log: Path, filters: dict[str, tuple[str, ...]], numbers: list[int]
) -> None:
    assert shown(log, **filters)[0] == numbers


def test_an_empty_answer_says_how_many_events_were_looked_at(log: Path) -> None:
    assert shown(log, user=("nobody-here",)) == ([], ["No event matches the filters; 3 events were read."])
    assert shown(log, user=("bob",))[1] == []


@pytest.mark.parametrize(("verb", "meant"), [("remove", "delete"), ("apply", "patch"), ("delet", "delete")])
def test_a_verb_that_no_request_has_is_refused_with_the_one_that_was_meant(log: Path, verb: str, meant: str) -> None:
    with pytest.raises(UsageError) as raised:
        shown(log, verb=(verb,))
    assert raised.value.fix == f"write --verb {meant}"


def test_top_tells_the_person_beside_the_proxy(log: Path) -> None:
    answer = log_top(ControlPlane(rootfs=log.parent), TopOptions(logs=(str(log),), by=("user",), processes=1))

    users = {row["value"]: row["events"] for row in answer.document["top"]["user"]}
    assert users == {PROXY: 1, f"{PROXY} as user-x": 1, "bob": 1}
