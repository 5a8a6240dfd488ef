"""Slow and failing starts on demand; what the kubelet stops without a container's log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from labroom import AUDIT_FLAGS, EVERYTHING, Node, eventually, with_auditing

from auditctl.lab.node import injected_faults
from auditctl.lab.node.injected_faults import Faults
from auditctl.lab.node.layout import Layout
from auditctl.node.apiserver.process import apiservers, listener

pytestmark = pytest.mark.lab


def started_with(node: Node, fault: Faults) -> None:
    """The fault is on, and the manifest changed, with auditing."""
    policy = node.layout.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(EVERYTHING)
    fault.save(node.layout)
    node.write_manifest(with_auditing(node.manifest.read_text()))


def audited_server(node: Node) -> int | None:
    """The server that was started with auditing, by its pid."""
    return next((each.pid for each in apiservers() if node_is(node, each.argv) and AUDIT_FLAGS[0] in each.argv), None)


def node_is(node: Node, argv: tuple[str, ...]) -> bool:
    return any(word.startswith(f"{node.lab.root}/") for word in argv)


def said(node: Node, words: str) -> bool:
    return any(words in text for text in node.pod_logs().values())


def test_a_file_that_nobody_can_read_is_no_fault(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.processes.parent.mkdir(parents=True)
    fault = Faults(only_with="--audit-", failing_checks=("etcd",), dies_after_seconds=3)
    fault.save(layout)
    assert Faults.load(layout) == fault
    (layout.processes.parent / "faults.json").write_text('{"no_such_fault": 1}')
    assert Faults.load(layout) == Faults()


def test_a_server_that_never_gets_ready_lives_until_the_fault_is_over(node: Node) -> None:
    started_with(node, Faults(only_with="--audit-", never_ready=True, failing_checks=("etcd",)))
    eventually(lambda: audited_server(node) is not None and answer(node, "/livez") == 200)
    assert answer(node, "/readyz") == 500
    text = node.request("GET", "/readyz").text
    assert "[-]etcd failed: reason withheld\n" in text
    assert "[+]ping ok\n" in text
    injected_faults.clear(node.layout)
    eventually(node.serves)


def answer(node: Node, path: str) -> int:
    try:
        return node.request("GET", path).code
    except OSError:
        return 0


def test_etcd_that_refuses_ends_the_server_in_the_real_ones_words(node: Node) -> None:
    started_with(node, Faults(only_with="--audit-", etcd_refused=True))
    eventually(lambda: said(node, '"command failed" err="context deadline exceeded"'))
    assert said(node, "dial tcp 127.0.0.1:2379: connect: connection refused")
    assert answer(node, "/livez") == 0


def test_a_server_that_dies_after_its_start_does_so_again_and_again(node: Node) -> None:
    started_with(node, Faults(only_with="--audit-", dies_after_seconds=0.8))
    eventually(lambda: "CrashLoopBackOff" in node.kubelet_log())
    assert said(node, 'PostStartHook "rbac/bootstrap-roles" failed')


def test_a_slow_start_is_slow_and_nothing_else(node: Node) -> None:
    started_with(node, Faults(only_with="--audit-", start_seconds=2))
    eventually(lambda: audited_server(node) is not None)
    pid = audited_server(node)
    assert answer(node, "/livez") == 0
    eventually(node.serves)
    assert audited_server(node) == pid


def test_an_old_server_that_keeps_the_port_makes_the_new_one_fail_to_bind_until_it_goes(node: Node) -> None:
    started_with(node, Faults(held_port_seconds=3))
    eventually(lambda: said(node, "bind: address already in use"))
    assert node.serves()  # the old one, healthy, and without auditing
    assert not node.events()
    eventually(lambda: node.serves() and bool(node.events()))


def test_a_kubelet_that_does_nothing_does_it_once_the_fault_is_over(node: Node) -> None:
    old = listener(node.lab.port)
    started_with(node, Faults(kubelet_idle=True))
    node.manifest.with_name("kube-apiserver.yaml").touch()
    for _ in range(20):
        assert node.serves()
    assert listener(node.lab.port) == old
    injected_faults.clear(node.layout)
    eventually(lambda: audited_server(node) is not None and node.serves())


def test_an_invalid_manifest_stops_the_server_without_a_containers_log_and_the_reason_is_in_the_kubelets_own(
    node: Node,
) -> None:
    """Found as on a real node: the file behind the kubelet's standard error."""
    before = node.manifest.read_text()
    line = "    - mountPath: /etc/kubernetes/pki\n"
    node.write_manifest(before.replace(line, f"{line}      name: k8s-certs\n{line}"))
    eventually(lambda: listener(node.lab.port) is None)
    eventually(lambda: not node.pod_logs())
    log = Path(os.readlink(f"/proc/{node.lab.kubelet_pid}/fd/2")).read_text()
    reason = 'spec.containers[0].volumeMounts[2].mountPath: Invalid value: \\"/etc/kubernetes/pki\\": must be unique'
    assert '"Could not process manifest file" err="invalid pod: [' + reason in log
    node.write_manifest(before)
    eventually(node.serves)
