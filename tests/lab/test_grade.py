"""The grader on a live lab: each kind says yes of a node that is so, and no of one that is not; and what it may not say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from labroom import EVERYTHING, QUICK, Node, eventually, with_auditing

from auditctl.errors import AuditctlError
from auditctl.findings import Check, Status
from auditctl.lab import down, up
from auditctl.lab.grading import grade as grading_grade
from auditctl.lab.grading import requirements
from auditctl.lab.grading.grade import grade
from auditctl.lab.node.injected_faults import Faults
from auditctl.node.apiserver.process import Process, listener
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import ActivePolicy, Running
from auditctl.policy.load import load

pytestmark = [
    pytest.mark.lab,
    # ssl leaves a socket unclosed where the other side goes away within the handshake: servers are asked while they end here
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
UNRECORDED = "- {level: None, nonResourceURLs: [/healthz]}\n"
POLICY = (
    HEAD
    + "omitStages: [RequestReceived]\nrules:\n"
    + UNRECORDED
    + "- level: Request\n  resources: [{group: apps}]\n- level: Metadata\n"
)
FLAGS = (
    "--audit-policy-file=/etc/kubernetes/audit/policy.yaml",
    "--audit-log-path=/var/log/kubernetes/audit/audit.log",
    "--audit-log-maxage",
    "'030'",
    "--audit-log-truncate-enabled=1",
)


def plane_of(node: Node) -> ControlPlane:
    return ControlPlane(rootfs=node.lab.root)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A lab that somebody has switched on by hand, in spellings of his own; auditctl has no record of it."""
    folder = tmp_path_factory.mktemp("graded") / "node"
    node = Node(up(folder, pace=QUICK))
    policy = node.layout.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(POLICY)
    node.write_manifest(with_auditing(node.manifest.read_text(), FLAGS))
    eventually(lambda: node.serves() and node.events())
    node.request("GET", "/version", Audit_ID="my-own-receipt")
    node.request("GET", "/apis/apps/v1/namespaces/test/deployments", admin=True)
    yield node
    down(folder)


def one(node: Node, want: Mapping[str, Any]) -> Check:
    (check,) = grade(plane_of(node), [want])
    return check


MET: list[Mapping[str, Any]] = [
    {"serving": True},
    {"receipt": True},
    {"flag": {"name": "audit-log-maxage", "value": 24}},  # '030' is octal to the server
    {"flag": {"name": "audit-log-truncate-enabled", "value": True}},
    {"flag": {"name": "audit-webhook-batch-max-wait", "value": "0.5m"}},  # the default, 30s
    {"flag": {"name": "audit-log-path", "value": "/var/log/kubernetes//audit/audit.log"}},
    {"flag-absent": "audit-webhook-*"},
    {"expect": "get pods web in test -> Metadata"},
    {"expect": "list deployments.apps in test -> Request"},
    {"stages": {"request": "watch pods", "are": ["ResponseStarted", "ResponseComplete"]}},
    {"omits": "get pods in test omits RequestReceived"},
    {
        "policy-same-as": HEAD
        + "omitStages: [RequestReceived]\nrules:\n- {level: Request, resources: [{group: apps}]}\n"
        + UNRECORDED
        + "- {level: Metadata, omitStages: [RequestReceived]}\n"
    },
    {
        "levels-same-as": [
            EVERYTHING,
            HEAD + "rules:\n" + UNRECORDED + "- {level: Request, resources: [{group: apps}]}\n- {level: Metadata}\n",
        ]
    },
    {"log-host-path": "/var/log/kubernetes/audit/audit.log"},
    {"mount": {"flag": "audit-log-path", "directory": True, "read-only": False, "types": ["DirectoryOrCreate", ""]}},
    {"mount": {"flag": "audit-policy-file", "directory": False, "read-only": True, "types": ["File"]}},
    {"unmounted": "/var/log/pods"},
    {"manifest-strays": "none"},
    {"recorded": "GET /version -> Metadata"},
    {"recorded": "list deployments.apps in test by kubernetes-admin -> Request"},
    {"policy-accepts": "/etc/kubernetes/audit/policy.yaml"},
    {"policy-rejects": "/etc/kubernetes/manifests/kube-apiserver.yaml"},
    {"file": {"path": "/etc/kubernetes/audit", "there": True}},
]

UNMET: list[Mapping[str, Any]] = [
    {"flag": {"name": "audit-log-maxage", "value": 30}},
    {"flag": {"name": "audit-log-truncate-enabled", "value": False}},
    {"flag": {"name": "audit-log-maxsize", "value": 7}},
    {"flag-absent": "audit-log-maxage"},
    {"expect": "get pods web in test -> Request"},
    {"stages": {"request": "get pods in test", "are": ["RequestReceived", "ResponseComplete"]}},
    {"omits": "get pods in test omits ResponseComplete"},
    {"omits": "GET /healthz omits RequestReceived"},  # it is not recorded at all
    {
        "policy-same-as": HEAD
        + "rules:\n"
        + UNRECORDED
        + "- {level: Request, resources: [{group: apps}]}\n- {level: Metadata}\n"
    },
    {"levels-same-as": EVERYTHING},
    {"log-host-path": "/var/log/kubernetes/audit.log"},
    {"mount": {"flag": "audit-log-path", "directory": False}},
    {"mount": {"flag": "audit-log-path", "read-only": True}},
    {"mount": {"flag": "audit-policy-file", "types": ["FileOrCreate"]}},
    {"mount": {"flag": "audit-webhook-config-file"}},
    {"unmounted": "/etc/kubernetes/audit"},
    {"recorded": "GET /version -> Request"},
    {"recorded": "list deployments.apps in prod -> Request"},
    {"recorded": "list deployments.apps in test by alice -> Request"},
    {"policy-rejects": "/etc/kubernetes/audit/policy.yaml"},
    {"policy-accepts": "/etc/nothing.yaml"},
    {"file": {"path": "/etc/kubernetes/audit", "there": False}},
    {"webhook": {"server": "https://127.0.0.1:9/"}},
]


@pytest.mark.parametrize("want", MET, ids=lambda want: next(iter(want)))
def test_what_is_so_is_met_in_whatever_spelling(graded: Node, want: Mapping[str, Any]) -> None:
    check = one(graded, want)

    assert check.status is Status.PASSED, check


@pytest.mark.parametrize("want", UNMET, ids=lambda want: next(iter(want)))
def test_what_is_not_so_is_not_met_and_the_value_that_is_wanted_is_not_told(
    graded: Node, want: Mapping[str, Any]
) -> None:
    check = one(graded, want)

    assert check.status is Status.FAILED, check
    kind, value = next(iter(want.items()))
    secret = str(value["value"]).lower() if kind == "flag" else "Request" if kind == "levels-same-as" else "\0"
    assert secret not in check.detail.replace("request", "").split()


def test_every_requirement_gets_its_own_check_in_order(graded: Node) -> None:
    checks = grade(plane_of(graded), [*UNMET[:3], *MET[:2]])

    assert [check.status for check in checks] == [Status.FAILED] * 3 + [Status.PASSED] * 2


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("my-own-receipt", ""),
        ("'my-own-receipt'\n", ""),
        ("my-own\n", "no event in the log has the Audit-ID"),
        ("\n", "there is no Audit-ID in /root/receipt"),
        (None, "there is no Audit-ID in /root/receipt"),
    ],
)
def test_an_audit_id_that_the_learner_wrote_down_is_looked_for_in_the_log(
    graded: Node, told: str | None, says: str
) -> None:
    answer = graded.layout.host("/root/receipt")
    answer.parent.mkdir(exist_ok=True)
    answer.unlink(missing_ok=True)
    if told is not None:
        answer.write_text(told)

    check = one(graded, {"recorded": {"event": "GET /version -> Metadata", "audit-id-in": "/root/receipt"}})

    assert check.status is (Status.FAILED if says else Status.PASSED)
    assert says in check.detail


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("- get pods in test -> Metadata\n- list deployments.apps in test -> Request\n", ""),
        ("- {url: /apis/apps/v1/namespaces/test/deployments, level: Request}\n- {request: get pods in test, level: Metadata}\n", ""),
        ("- get pods in test -> Metadata\n", "no level is given for `list deployments.apps in test`"),
        ("- get pods in test -> Metadata\n- list deployments.apps in test -> Metadata\n", "is wrong"),
        ("- get pods in test Metadata\n", "/root/told.yaml:1:3"),
        (None, "not found"),
    ],
)  # fmt: skip
def test_predictions_are_judged_by_the_policy_that_they_are_about(graded: Node, told: str | None, says: str) -> None:
    answer = graded.layout.host("/root/told.yaml")
    answer.parent.mkdir(exist_ok=True)
    answer.unlink(missing_ok=True)
    if told is not None:
        answer.write_text(told)
    requests = ["get pods in test", "list deployments.apps in test"]
    asked = {"file": "/root/told.yaml", "policy": "/etc/kubernetes/audit/policy.yaml", "requests": requests}

    check = one(graded, {"predictions": asked})

    assert check.status is (Status.FAILED if says else Status.PASSED)
    assert says in check.detail


def test_a_file_of_requirements_makes_a_report_with_the_first_that_is_not_met(graded: Node, tmp_path: Path) -> None:
    from auditctl.lab.grading.grade import grade_file

    wants = tmp_path / "wants.yaml"

    wants.write_text(json.dumps({"wants": MET[:3]}))
    solved = grade_file(plane_of(graded), wants)
    wants.write_text(json.dumps([MET[0], UNMET[0]]))
    negative = grade_file(plane_of(graded), wants)
    wants.write_text(json.dumps([MET[0], {"persisted": True}]))
    lost = grade_file(plane_of(graded), wants)
    record = graded.layout.kubeadm_record
    content = record.read_bytes()
    record.unlink()
    untold = grade_file(plane_of(graded), wants)
    record.write_bytes(content)

    assert (solved.exit_code, solved.summary) == (0, "solved: all 3 requirements are met")
    assert negative.exit_code == 1
    assert negative.summary.startswith("not yet, 1 of 2 are met: flag audit-log-maxage: ")
    assert (lost.exit_code, lost.summary) == (
        1,
        "not yet, 1 of 2 are met: persisted: kubeadm's own record has other audit settings",
    )
    assert (untold.exit_code, untold.summary.split(":")[0]) == (3, "cannot tell")


def test_a_policy_that_was_edited_counts_once_the_server_has_read_it_and_not_before(node: Node) -> None:
    """Also where auditctl has no record of what was loaded: a file written since the start is not what decides."""
    policy = node.layout.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(EVERYTHING)
    node.write_manifest(with_auditing(node.manifest.read_text()))
    eventually(lambda: node.serves() and node.events())
    want = {"expect": "get pods -> Metadata"}
    assert one(node, want).status is Status.FAILED

    policy.write_text(HEAD + "rules: [{level: Metadata}]\n")

    unread = one(node, want)
    assert (unread.status, "has not read" in unread.detail) == (Status.FAILED, True)
    policy.chmod(0o600)
    assert one(node, want).status is Status.FAILED
    node.write_manifest(node.manifest.read_text().replace("  annotations:\n", "  annotations:\n    again: 'yes'\n"))
    eventually(lambda: one(node, {"serving": True}).status is Status.PASSED and one(node, want).status is Status.PASSED)


def test_a_server_that_is_not_ready_does_not_serve(node: Node) -> None:
    """It listens, and runs with the manifest's command line."""
    assert one(node, {"serving": True}).status is Status.PASSED

    Faults(never_ready=True).save(node.layout)

    check = one(node, {"serving": True})
    assert (check.status, check.detail) == (Status.FAILED, "/readyz of the API server: not ready")


def test_a_copy_beside_the_manifest_is_a_stray_and_a_hidden_one_is_not(node: Node) -> None:
    text = node.manifest.read_text()
    node.manifest.with_name(".kube-apiserver.yaml.swp").write_text(text)
    assert one(node, {"manifest-strays": "none"}).status is Status.PASSED

    node.manifest.with_name("kube-apiserver.yaml.bak").write_text(text)

    assert one(node, {"manifest-strays": "none"}).status is Status.FAILED


def test_a_node_whose_server_is_down_is_graded_all_the_same(node: Node) -> None:
    """A manifest that is none, one that is not there, one whose server does not start: no, and no error."""
    text = node.manifest.read_text()
    process = listener(node.lab.port)
    assert process
    wants = [
        {"serving": True},
        {"expect": "get pods -> Metadata"},
        {"file": {"path": "/etc/kubernetes", "there": True}},
    ]

    node.write_manifest("kind: [\n")
    broken = grade(plane_of(node), wants)
    node.manifest.unlink()
    missing = grade(plane_of(node), wants)
    node.write_manifest(text.replace("    image:", "    - --audit-log-maxsize=much\n    image:"))
    eventually(lambda: listener(node.lab.port) is None)
    dead = grade(plane_of(node), [*wants, {"flag-absent": "audit-webhook-*"}])

    for checks in (broken, missing, dead):
        assert [check.status for check in checks][:3] == [Status.FAILED, Status.FAILED, Status.PASSED]
    assert "line 1" in broken[0].detail or "line 2" in broken[0].detail
    assert missing[0].detail == "there is no manifest of the API server"
    assert dead[3].status is Status.FAILED


def test_who_may_not_read_the_manifest_is_refused_and_not_told_no(node: Node) -> None:
    """Exit code 3, not 1."""
    directory = node.manifest.with_name("kube-apiserver.yaml")
    directory.unlink()
    directory.mkdir()

    with pytest.raises(AuditctlError) as caught:
        grade(plane_of(node), [{"serving": True}])

    assert caught.value.exit_code == 3


def test_a_mount_that_leads_nowhere_fails_while_the_server_from_before_still_serves(folder_node: ControlPlane) -> None:
    """The kubelet takes a while to stop it."""
    manifest = folder_node.manifest_path
    text = with_auditing(manifest.read_text())
    manifest.write_text(text.replace("    name: audit-log\nstatus", "    name: audit-lo\nstatus"))
    assert manifest.read_text() != text
    command = folder_node.read_manifest()[1].command
    policy = load((HEAD + "rules: [{level: Metadata}]").encode()).policy
    process = Process(os.getpid(), folder_node.clock.boot(), command)
    running = Running(
        folder_node, folder_node.read_manifest()[1], process, ActivePolicy(policy, known=True, edited=False)
    )

    checks = grading_grade.judged(running, requirements.read([{"receipt": True}]))

    assert [(check.status, check.detail.partition(" (")[0]) for check in checks] == [
        (Status.FAILED, "the manifest cannot be read as a Pod of the API server")
    ]
