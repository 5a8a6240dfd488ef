"""Requests as people write them: resolved as kubectl resolves them, or refused with what was surely meant."""

from __future__ import annotations

import pytest

from auditctl.operations.policy_files import built_in
from auditctl.policy.request_context import RequestContext, UnsendableRequestError, administrator
from auditctl.policy.shorthand import parse
from auditctl.policy.types import User

CONTEXT = RequestContext(built_in(), (1, 36), administrator((1, 36)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("create deployments in webapps", ("create", "apps", "deployments", "", "", "webapps")),
        ("patch deploy web in webapps", ("patch", "apps", "deployments", "", "web", "webapps")),
        ("get leases in kube-system", ("get", "coordination.k8s.io", "leases", "", "", "kube-system")),
        ("get Pod web in a", ("get", "", "pods", "", "web", "a")),
        ("get pvc", ("get", "", "persistentvolumeclaims", "", "", "")),
        ("get po/log web in a", ("get", "", "pods", "log", "web", "a")),
        ("patch deploy/scale web", ("patch", "apps", "deployments", "scale", "web", "")),
        ("patch deploy.apps/scale web", ("patch", "apps", "deployments", "scale", "web", "")),
        ("patch deployments/scale.apps web", ("patch", "apps", "deployments", "scale", "web", "")),
        ("delete ns prod", ("delete", "", "namespaces", "", "prod", "prod")),
        ("list clusterroles.rbac", ("list", "rbac.authorization.k8s.io", "clusterroles", "", "", "")),
        ("list events.v1", ("list", "", "events", "", "", "")),
        ("list events.events.k8s.io", ("list", "events.k8s.io", "events", "", "", "")),
    ],
)
def test_a_resource_is_the_one_that_kubectl_means(text: str, expected: tuple[str, ...]) -> None:
    got = parse(text, CONTEXT)
    assert (got.verb, got.api_group, got.resource, got.subresource, got.name, got.namespace) == expected


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("GET secrets in prod", "write `get secrets in prod`"),
        ("POST secrets in prod", "write `create secrets in prod`"),
        ("Delete pods web in a", "write `delete pods web in a`"),
        ("kubectl get pods", "write `get pods`"),
        ("kubectl delete pod web -n prod", "write `delete pod web in prod`"),
        ("kubectl get pods --namespace=a --as bob -o wide", "write `get pods in a by bob`"),
        ("kubectl exec web -n a -c main -- sh -c ls", "write `create pods/exec web in a`"),
        ("kubectl delete deploy/web -n a", "write `delete deploy web in a`"),
        ("get pods -A", "write `get pods`"),
        ("exec web in a", "write `create pods/exec web in a`"),
        ("GET podz in a", "write `get pods in a`"),
        ("apply deployments web", "write `patch deployments web`"),
        ("exec pods web in a", "write `create pods/exec web in a`"),
        ("logs pods web in a", "write `get pods/log web in a`"),
        ("updat pods web", "write `update pods web`"),
        ("GET https://127.0.0.1:6443/api/v1/secrets?limit=500", "write `GET /api/v1/secrets?limit=500`"),
        ("list /api/v1/pods", "write `GET /api/v1/pods`"),
        ("create /api/v1/pods", "write `POST /api/v1/pods`"),
        ("get deployment.extensions", "write `get deployments.apps`"),
        ("get secretes in prod", "write `get secrets in prod`"),
        ("get pods/web in a", "write `get pods web in a`"),
        ("list events in a", "write `list events.v1 in a`"),
    ],
)
def test_what_no_client_sends_is_refused_with_what_was_meant(text: str, meant: str) -> None:
    with pytest.raises(UnsendableRequestError) as raised:
        parse(text, CONTEXT)
    assert raised.value.fix == meant
    parse(meant.removeprefix("write `").removesuffix("`"), CONTEXT)  # the advice leads on


def test_the_candidates_of_an_ambiguous_name_are_named() -> None:
    with pytest.raises(UnsendableRequestError, match=r"events\.v1") as raised:
        parse("list ev", CONTEXT)
    assert "events.events.k8s.io" in raised.value.message


def test_a_custom_resource_is_let_through_where_that_is_said() -> None:
    for text in ("get widgets.example.com x in a", "get widgets x in a"):
        with pytest.raises(UnsendableRequestError) as raised:
            parse(text, CONTEXT)
        assert "--unknown-resources" in (raised.value.fix or "")

    got = parse("get widgets/status.example.com x in a", CONTEXT._replace(takes_unknown=True))
    assert (got.api_group, got.resource, got.subresource) == ("example.com", "widgets", "status")


def test_a_resource_of_a_later_version_is_unknown_to_an_earlier_one() -> None:
    earlier = RequestContext(built_in((1, 25)), (1, 25), administrator((1, 25)))
    parse("list validatingadmissionpolicies", CONTEXT)
    with pytest.raises(UnsendableRequestError, match=r"no server of 1\.25"):
        parse("list validatingadmissionpolicybindings.nowhere", earlier)


@pytest.mark.parametrize(
    ("version", "group"),
    [((1, 28), "system:masters"), ((1, 29), "kubeadm:cluster-admins"), ((1, 36), "kubeadm:cluster-admins")],
)
def test_the_administrator_is_the_one_of_kubeadms_version(version: tuple[int, int], group: str) -> None:
    context = RequestContext(built_in(version), version, administrator(version))
    expected = User("kubernetes-admin", (group, "system:authenticated"))

    assert parse("list pods", context).user == expected
    assert parse("list pods by kubernetes-admin", context).user == expected
    assert parse("GET /healthz", context).user == expected


def test_the_super_administrator_is_of_the_group_that_needs_no_rbac() -> None:
    assert parse("list pods by kubernetes-super-admin", CONTEXT).user == User(
        "kubernetes-super-admin", ("system:masters", "system:authenticated")
    )
