"""What people call a resource, and what the API calls it; the table that this is read from."""

from __future__ import annotations

import pytest

from auditctl import facts
from auditctl.operations.policy_files import built_in
from auditctl.policy.resource_names import resolve


def names(word: str, version: tuple[int, int] = (1, 36)) -> list[str]:
    return [f"{each.name}.{each.group}".rstrip(".") for each in resolve(word, built_in(version), version)]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("pods", ["pods"]),
        ("pod", ["pods"]),
        ("Pod", ["pods"]),
        ("po", ["pods"]),
        ("PODS", ["pods"]),
        ("deploy", ["deployments.apps"]),
        ("deployments.apps", ["deployments.apps"]),
        ("deployments.v1.apps", ["deployments.apps"]),
        ("pods.v1", ["pods"]),
        ("ingresses.networking", ["ingresses.networking.k8s.io"]),
        ("role.rbac", ["roles.rbac.authorization.k8s.io"]),
        ("events", ["events", "events.events.k8s.io"]),
        ("ev", ["events", "events.events.k8s.io"]),
        ("events.events.k8s.io", ["events.events.k8s.io"]),
        ("events.v1.", ["events"]),
        ("endpoints", ["endpoints"]),
        ("crds", ["customresourcedefinitions.apiextensions.k8s.io"]),
        ("networkpolicy", ["networkpolicies.networking.k8s.io"]),
        ("vac", ["volumeattributesclasses.storage.k8s.io"]),
        ("ip", ["ipaddresses.networking.k8s.io"]),
        ("pods.apps", []),
        ("widgets", []),
        ("", []),
        (".", []),
    ],
)
def test_a_name_means_what_kubectl_takes_it_for(word: str, meant: list[str]) -> None:
    assert sorted(names(word)) == sorted(meant)


def test_a_resource_is_known_from_the_release_on_that_serves_it() -> None:
    assert names("cronjobs", (1, 20)) == []
    assert names("cronjobs", (1, 21)) == ["cronjobs.batch"]


def test_a_preview_counts_in_its_own_releases_and_says_what_it_is() -> None:
    (early,) = resolve("servicecidrs", built_in((1, 32)), (1, 32))
    (stable,) = resolve("servicecidrs", built_in((1, 33)), (1, 33))
    assert (early.preview, stable.preview) == (((1, 31), (1, 32)), ())
    assert names("podschedulingcontexts", (1, 31)) == ["podschedulingcontexts.resource.k8s.io"]
    assert names("podschedulingcontexts", (1, 32)) == []


def test_the_table_has_what_a_server_of_1_36_serves_in_stable_versions() -> None:
    """The nine that a table made by hand had missed."""
    known = {(each.group, each.name): each.since for each in built_in().resources}
    since = {
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): (1, 36),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): (1, 36),
        ("networking.k8s.io", "ipaddresses"): (1, 33),
        ("networking.k8s.io", "servicecidrs"): (1, 33),
        ("resource.k8s.io", "deviceclasses"): (1, 34),
        ("resource.k8s.io", "resourceclaims"): (1, 34),
        ("resource.k8s.io", "resourceclaimtemplates"): (1, 34),
        ("resource.k8s.io", "resourceslices"): (1, 34),
        ("storage.k8s.io", "volumeattributesclasses"): (1, 34),
    }
    assert {key: known.get(key) for key in since} == since
    assert len(known) == len(built_in().resources) == 67


def test_what_is_stable_stays_in_a_release_that_has_no_file() -> None:
    assert facts.NEWEST == (1, 37)
    assert set(names("mutatingadmissionpolicies", facts.NEWEST)) == set(names("mutatingadmissionpolicies"))
    assert names("podgroups", facts.NEWEST) == []
