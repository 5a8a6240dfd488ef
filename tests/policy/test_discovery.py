"""What a cluster serves, read from its discovery; and the lint that knows its CRDs."""

from __future__ import annotations

import json

import pytest

from auditctl.errors import PolicyError
from auditctl.operations.policy_files import built_in
from auditctl.policy.discovery import known_of, read_discovery
from auditctl.policy.lint import warnings
from auditctl.policy.load import load
from auditctl.policy.resource_names import resolve

TABLE = """\
NAME            SHORTNAMES   APIVERSION             NAMESPACED   KIND          VERBS                    CATEGORIES
bindings                     v1                     true         Binding       create
pods            po           v1                     true         Pod           create,delete,get,list   all
secrets                      v1                     true         Secret        create,delete,get,list
deployments     deploy       apps/v1                true         Deployment    create,delete,get,list   all
certificates    cert,certs   cert-manager.io/v1     true         Certificate   create,delete,get,list
clusterissuers               cert-manager.io/v1     false        ClusterIssuer create,delete,get,list
"""


def aggregated(*resources: tuple[str, str, str]) -> bytes:
    """An answer to ``/apis`` with one group a resource, served in two versions."""
    items = [
        {
            "metadata": {"name": group},
            "versions": [
                {
                    "version": version,
                    "resources": [
                        {
                            "resource": name,
                            "singularResource": name.removesuffix("s"),
                            "responseKind": {"kind": kind},
                            "scope": "Cluster",
                            "shortNames": [version],
                        }
                    ],
                }
                for version in ("v1", "v1beta1")
            ],
        }
        for group, name, kind in resources
    ]
    return json.dumps({"kind": "APIGroupDiscoveryList", "items": items}).encode()


def test_the_table_of_kubectl_is_read_by_its_columns() -> None:
    rows = {(each.group, each.name): each for each in read_discovery(TABLE.encode())}
    assert len(rows) == 6
    assert rows["", "bindings"].short_names == ()
    assert rows["cert-manager.io", "certificates"].short_names == ("cert", "certs")
    assert [each.name for each in rows.values() if not each.namespaced] == ["clusterissuers"]
    assert rows["cert-manager.io", "clusterissuers"].kind == "ClusterIssuer"


def test_aggregated_discovery_is_read_with_the_preferred_version() -> None:
    (row,) = read_discovery(aggregated(("example.com", "widgets", "Widget")))
    assert (row.group, row.name, row.kind, row.namespaced) == ("example.com", "widgets", "Widget", False)
    assert (row.singular, row.short_names) == ("widget", ("v1",))


def test_the_core_group_is_the_built_in_one_where_the_answer_has_none() -> None:
    known = known_of(read_discovery(aggregated(("example.com", "widgets", "Widget"))), built_in())
    assert "pods" in known.by_name
    assert "deployments" not in known.by_name
    assert [each.name for each in resolve("widget", known, (1, 36))] == ["widgets"]


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("", 1, "the first line is not"),
        ("NAME KIND\n", 1, "the first line is not"),
        (TABLE + "x\n", 8, "a line of the table"),
        ("{", 1, "Expecting property name"),
        ("{}", 1, "no APIGroupDiscoveryList"),
        ('{"kind": "APIGroupList", "items": []}', 1, "no APIGroupDiscoveryList"),
        ('{"items": [{}]}', 1, "'metadata' is missing"),
        ('{"items": [1]}', 1, "has another type"),
    ],
)
def test_another_format_is_refused_with_its_place(text: str, line: int, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint) as raised:
        read_discovery(text.encode(), "served.txt")
    assert str(raised.value).startswith(f"served.txt:{line}:1: discovery: ")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{group: '', resources: [certificates]}", ["wrong-group"]),
        ("{group: cert-manager.io, resources: [cert]}", ["resource-never-matches"]),
        ("{group: cert-manager.io, resources: [certificate]}", ["resource-never-matches"]),
        ("{group: cert-manager.io, resources: [issuers]}", ["unknown-resource"]),
        ("{group: certmanager.io}", ["unknown-resource"]),
        ("{group: cert-manager.io, resources: [certificates/status]}", []),
        ("{group: cert-manager.io}", []),
        ("{group: '*', resources: [secrets, '*/status']}", []),
        ("{group: '*', resources: [issuers]}", ["unknown-resource"]),
    ],
)
def test_the_resources_of_the_cluster_are_known(entry: str, told: list[str]) -> None:
    known = known_of(read_discovery(TABLE.encode()), built_in())
    raw = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: None, resources: [{entry}]}}, {{level: Metadata}}]"
    policy = load(raw.encode()).policy
    assert policy is not None
    assert [each.check for each in warnings(raw.encode(), policy, known)] == told


def test_without_discovery_nothing_is_said_of_what_may_be_a_crd() -> None:
    raw = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, resources: [{group: x.io}]}, {level: Metadata}]"
    policy = load(raw).policy
    assert policy is not None
    assert warnings(raw, policy, built_in()) == ()
