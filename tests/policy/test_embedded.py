"""Policies inside other files: the text is the server's, the lines are the outer file's."""

from __future__ import annotations

import base64
import json

import pytest

from auditctl.policy.embedded import EmbeddedPolicy, embedded_policies
from auditctl.policy.load import load

CONFIG_MAP = """# a comment
apiVersion: v1
kind: ConfigMap
data:
  policy.yaml: |
    apiVersion: audit.k8s.io/v1
    kind: Policy
    rules:
    - level: Metadata
      verbz: [get]
    - level: Everything
  other: text
"""
KUBEADM_CONTROL_PLANE = """apiVersion: controlplane.cluster.x-k8s.io/v1beta1
kind: KubeadmControlPlane
spec:
  kubeadmConfigSpec:
    files:
    - path: /etc/kubernetes/audit/policy.yaml
      content: |-
        ---
        apiVersion: audit.k8s.io/v1
        kind: Policy
        rules:
        - level: Metadata
          verbz: [get]

        - level: Everything
"""
TALOS = """cluster:
  apiServer:
    auditPolicy:
      kind: Policy
      apiVersion: audit.k8s.io/v1
      rules:
        - level: Metadata
          verbz: [get]
# a comment in between
        - level: Everything
    image: x
"""
KUBESPRAY = """audit_policy_custom_rules: |
  - level: Metadata
    verbz: [get]
  - level: Everything
kubernetes_audit: true
"""
IN_A_LIST = """kind: List
items:
- kind: Machine
  policies:
  - apiVersion: audit.k8s.io/v1
    kind: Policy
    rules:
    - level: Metadata
      verbz: [get]
    - level: Everything
- kind: Other
"""
INSIDE_VALUES = """kind: Application
spec:
  values: |
    # of the chart
    audit:
      policy: !!str |-
          apiVersion: audit.k8s.io/v1
          kind: Policy
          rules:
          - level: Metadata
            verbz: [get]
          - level: Everything
"""
PLAYBOOK = """- hosts: all
  tasks:
  - copy:
      content: |1+
                apiVersion: audit.k8s.io/v1
                kind: Policy
                rules:
                - level: Metadata
                  verbz: [get]
                - level: Everything
"""
SECOND_DOCUMENT = """kind: Namespace
---
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
  verbz: [get]
- level: Everything
"""
BEHIND_ANOTHER_DOCUMENT = f"kind: Namespace\n---\n{CONFIG_MAP}"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (CONFIG_MAP, "data.policy.yaml"),
        (KUBEADM_CONTROL_PLANE, "spec.kubeadmConfigSpec.files[0].content"),
        (TALOS, "cluster.apiServer.auditPolicy"),
        (KUBESPRAY, "audit_policy_custom_rules"),
        (IN_A_LIST, "items[0].policies[0]"),
        (BEHIND_ANOTHER_DOCUMENT, "data.policy.yaml"),
        (INSIDE_VALUES, "spec.values.audit.policy"),
        (PLAYBOOK, "[0].tasks[0].copy.content"),
        (SECOND_DOCUMENT, "document 2"),
    ],
    ids=[
        "config-map",
        "kubeadm-control-plane",
        "talos",
        "kubespray",
        "list",
        "behind-another-document",
        "values-in-a-text",
        "playbook",
        "second-document",
    ],
)
def test_each_finding_is_at_its_place_in_the_outer_file(text: str, path: str) -> None:
    (policy,) = embedded_policies(text.encode())
    lines = text.splitlines()
    places = {}
    for finding in load(policy.raw).findings:
        placed = policy.placed(finding)
        places[placed.path] = lines[placed.line - 1][placed.column - 1 :]

    assert places == {f"{path}: rules[0].verbz": "verbz: [get]", f"{path}: rules[1].level": "Everything"}


def test_an_escaped_text_has_all_findings_at_its_beginning() -> None:
    text = json.dumps({"kind": "ConfigMap", "data": {"p": "apiVersion: audit.k8s.io/v1\nrules:\n- level: Much\n"}})
    (policy,) = embedded_policies(text.encode())
    (finding,) = map(policy.placed, load(policy.raw).findings)

    assert text[finding.column - 1 :].startswith('"apiVersion: audit')
    assert (finding.line, finding.path) == (1, "data.p: rules[0].level")


@pytest.mark.parametrize("skipped", [0, 1, 2])
def test_a_text_in_base64_has_all_findings_at_its_beginning(skipped: int) -> None:
    """As a Secret and `encoding: base64` have it; the group is recognised at each of its three places in base64."""
    text = base64.b64encode(
        ("#" * skipped + "\napiVersion: audit.k8s.io/v1\nrules:\n- level: Much\n").encode()
    ).decode()
    (policy,) = embedded_policies(f"kind: Secret\ndata:\n  p: {text}\n".encode())
    (finding,) = map(policy.placed, load(policy.raw).findings)

    assert (finding.line, finding.column, finding.path) == (3, 6, "data.p: rules[0].level")


def test_a_policy_in_braces_has_all_findings_at_its_beginning() -> None:
    rules = "[{level: Much, verbs: [get], users: ['1']}]"
    text = f"cluster:\n  auditPolicy: {{apiVersion: audit.k8s.io/v1, kind: Policy, rules: {rules}}}\n"
    (policy,) = embedded_policies(text.encode())
    (finding,) = map(policy.placed, load(policy.raw).findings)

    assert (finding.line, finding.column, finding.path) == (2, 16, "cluster.auditPolicy: rules[0].level")


def test_the_embedded_text_is_the_one_that_the_server_would_get() -> None:
    (policy,) = embedded_policies(CONFIG_MAP.replace("Everything", "None").replace("      verbz: [get]\n", "").encode())

    assert load(policy.raw).error == ""
    assert (
        policy.raw.lstrip() == b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n- level: None\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n",
        "a: {{ audit.k8s.io }\n",
        "kind: ConfigMap\ndata: {a: b, note: see audit.k8s.io/v1}\n",
        "- apiVersion: audit.k8s.io/v1\n  kind: Policy\n  rules: []\n",
        "kind: List\nitems:\n- apiVersion: audit.k8s.io/v1\n  kind: Policy\n  rules: []\n",
        "",
    ],
    ids=["a-policy", "no-yaml", "mentioned-only", "a-list-of-policies", "kubectls-list", "empty"],
)
def test_nothing_is_embedded(text: str) -> None:
    assert embedded_policies(text.encode()) == ()


def test_several_policies_come_in_their_order() -> None:
    two = CONFIG_MAP.replace("  other: text\n", "  a.yaml: |\n    apiVersion: audit.k8s.io/v1\n    rules: []\n")
    found: tuple[EmbeddedPolicy, ...] = embedded_policies(two.encode())

    assert [each.path for each in found] == ["data.policy.yaml", "data.a.yaml"]


def test_a_file_nested_deeper_than_python_calls_is_searched() -> None:
    depth = 4000
    text = f'a: {"[" * depth}"apiVersion: audit.k8s.io/v1"{"]" * depth}\n'

    (found,) = embedded_policies(text.encode())

    assert found.path == f"a{'[0]' * depth}"


def test_a_file_that_repeats_itself_by_aliases_ends() -> None:
    """Nine levels of nine aliases each would be a thousand million values."""
    levels = ["l0: &l0 audit.k8s.io/", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))]

    policy = "a: {apiVersion: audit.k8s.io/v1, kind: Policy, rules: *l9}"

    assert embedded_policies("\n".join(levels).encode()) == ()
    assert embedded_policies("\n".join((*levels, policy)).encode()) == ()
