"""Requests as a person writes them."""

from __future__ import annotations

import pytest

from auditctl.errors import UsageError
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.shorthand import DEFAULT_USER, ShorthandError, parse
from auditctl.policy.types import User


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # verb, group, resource, subresource, name, namespace
        ("get pods", ("get", "", "pods", "", "", "")),
        ("get pods web", ("get", "", "pods", "", "web", "")),
        ("get pods/log web in test", ("get", "", "pods", "log", "web", "test")),
        ("list deployments.apps in test", ("list", "apps", "deployments", "", "", "test")),
        ("patch deployments/scale.apps web", ("patch", "apps", "deployments", "scale", "web", "")),
        ("patch deployments.apps/scale web", ("patch", "apps", "deployments", "scale", "web", "")),
        ("get leases.coordination.k8s.io by a", ("get", "coordination.k8s.io", "leases", "", "", "")),
        ("get namespaces test", ("get", "", "namespaces", "", "test", "test")),
        ("list namespaces", ("list", "", "namespaces", "", "", "")),
        ("get pods web.1 in of", ("get", "", "pods", "", "web.1", "of")),
    ],
)
def test_a_resource_request(text: str, expected: tuple[str, ...]) -> None:
    got = parse(text)
    assert got.is_resource_request
    assert (got.verb, got.api_group, got.resource, got.subresource, got.name, got.namespace) == expected


@pytest.mark.parametrize(
    "text", ["get pods/log web in test", "get namespaces test", "get deployments.apps web in test"]
)
def test_its_path_is_one_that_leads_back_to_it(text: str) -> None:
    got = parse(text)
    assert attributes("GET", got.path, got.user) == got


@pytest.mark.parametrize(
    ("suffix", "user"),
    [
        ("", DEFAULT_USER),
        (" by kubernetes-admin", DEFAULT_USER),
        (" by alice", User("alice", ("system:authenticated",))),
        (" by alice of dev ops", User("alice", ("dev", "ops"))),
        (" of dev by alice", User("alice", ("dev",))),
        (" of dev", User("kubernetes-admin", ("dev",))),
        (" by system:anonymous", User("system:anonymous", ("system:unauthenticated",))),
        (" by system:node:n", User("system:node:n", ("system:nodes", "system:authenticated"))),
        (
            " by system:serviceaccount:test:robot",
            User(
                "system:serviceaccount:test:robot",
                ("system:serviceaccounts", "system:serviceaccounts:test", "system:authenticated"),
            ),
        ),
    ],
)
@pytest.mark.parametrize("request_text", ["get pods", "GET /healthz"])
def test_its_user(request_text: str, suffix: str, user: User) -> None:
    assert parse(request_text + suffix).user == user


def test_a_method_and_a_url() -> None:
    assert parse("get /api/v1/pods?watch=1").verb == "watch"
    with pytest.raises(RequestError):
        parse("GET /%zz")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "get",
        "get pods a b",
        "get pods in",
        "get pods in a b",
        "get pods by a by b",
        "get pods of",
        "GET /x y",
        "GET /x in y",
    ],
)
def test_what_is_no_request_is_a_mistake_of_usage(text: str) -> None:
    with pytest.raises(ShorthandError) as raised:
        parse(text)
    assert isinstance(raised.value, UsageError)
    assert raised.value.fix
