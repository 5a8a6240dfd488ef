"""Every class of fault on the embedded node: refused beforehand (3), or undone (4), and the API server is ready again.

Never started, crash looping, started but not ready, ready but not recording, the wrong process, an invalid manifest.
Where the tool may see a fault before or after, both codes are right: the node is the same.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from nodes import BROKEN, METADATA, NOTHING, Node, Ran

from auditctl.lab.node import injected_faults
from auditctl.lab.node.injected_faults import Faults
from auditctl.lab.node.layout import Layout
from auditctl.lab.node.process import until
from auditctl.node.apiserver.process import listener

pytestmark = pytest.mark.lab

ON = "--audit-"  # faults that concern only servers with auditing on: the way back leads to health
WEBHOOK = (
    "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {server: 'https://127.0.0.1:1/'}\n"
    "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"
)


def layout(node: Node) -> Layout:
    return Layout(node.root.resolve())


def server(node: Node) -> int | None:
    """The pid of the server that listens."""
    marker = layout(node).read_marker()
    assert marker is not None
    process = listener(marker.port)
    return process.pid if process else None


class Before:
    """What a node was, and that it is so again."""

    def __init__(self, node: Node) -> None:
        self.node, self.manifest, self.server = node, node.manifest.read_bytes(), server(node)

    def stands(self, ran: Ran, codes: tuple[int, ...]) -> None:
        """The code is one of these, the manifest is what it was, the same flags serve; refused is untouched."""
        summary = ran.report["summary"]
        assert ran.code in codes, summary
        assert self.node.manifest.read_bytes() == self.manifest, summary
        assert self.node.names_seen_by_the_kubelet() == ["kube-apiserver.yaml"]
        assert until(self.node.is_ready, 20), summary
        assert self.node.run("status").report["status"]["process"]["matchesManifest"]
        if ran.code == 3:
            assert server(self.node) == self.server, summary
            assert ran.report["changed"] is False


# -- never started: no container, no log; only the kubelet knows why


def test_a_mounted_file_that_is_gone_is_refused(node: Node) -> None:
    """The server that runs does not need it any more; the next Pod would wait for it for ever, and so would the old one."""
    extra = node.root / "etc/kubernetes/extra.yaml"
    extra.touch()
    text = node.manifest.read_text()
    mount = "    - mountPath: /etc/kubernetes/extra.yaml\n      name: extra\n      readOnly: true\n  hostNetwork:"
    volume = "  - hostPath:\n      path: /etc/kubernetes/extra.yaml\n      type: File\n    name: extra\nstatus: {}"
    put(node, text.replace("  hostNetwork:", mount).replace("status: {}", volume))
    extra.unlink()
    before = Before(node)

    refused = node.enable(METADATA, "--timeout", "4s")

    assert refused.code == 3
    assert "extra.yaml" in refused.report["summary"]
    extra.touch()
    before.stands(refused, (3,))


def test_a_kubelet_that_never_acts_is_waited_for_and_the_old_server_serves_on(node: Node) -> None:
    before = Before(node)
    Faults(kubelet_idle=True).save(layout(node))

    undone = node.enable(METADATA, "--timeout", "4s")

    before.stands(undone, (4,))
    assert server(node) == before.server
    injected_faults.clear(layout(node))
    assert node.enable(METADATA).code == 0


# -- crash looping: policy, flag, webhook, file


def test_a_policy_that_the_server_would_die_of_is_refused_with_its_line(node: Node) -> None:
    before = Before(node)
    refused = node.enable(BROKEN)
    before.stands(refused, (3,))
    assert refused.report["findings"][0]["line"] == 4


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--set", "audit-log-mode=async"), "async"),
        (("--set", "audit-log-maxbackup=-1"), "audit-log-maxbackup"),
        (("--set", "audit-log-truncate-max-event-size=20000000"), "20000000"),
        (("--log-path", "/etc/kubernetes/pki"), "/etc/kubernetes/pki"),
        (("--log-path", "/etc/kubernetes/pki/audit.log"), "/etc/kubernetes/pki"),
    ],
    ids=["mode", "negative", "truncate", "directory", "read-only"],
)
def test_a_flag_that_the_server_would_die_of_leaves_the_node_as_it_was(
    node: Node, words: tuple[str, ...], reason: str
) -> None:
    before = Before(node)
    failed = node.enable(METADATA, *words)
    before.stands(failed, (3, 4))
    assert reason in failed.report["summary"]
    assert not node.policy.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        WEBHOOK.replace("current-context: c\n", ""),
        WEBHOOK.replace("{server: 'https://127.0.0.1:1/'}", "{}"),
        WEBHOOK.replace("'}", "', certificate-authority: /nowhere.crt}"),
        "kind: Config\nclusters: [,\n",
    ],
    ids=["empty", "no-context", "no-server", "no-authority", "no-yaml"],
)
def test_a_webhook_file_that_the_server_would_die_of_leaves_the_node_as_it_was(node: Node, text: str) -> None:
    before = Before(node)
    config = node.root / "webhook.yaml"
    config.write_text(text)

    failed = node.enable(METADATA, "--webhook-config", config)

    before.stands(failed, (3, 4))
    assert "webhook" in failed.report["summary"]
    assert not (node.root / "etc/kubernetes/audit").exists()


def test_a_server_that_dies_of_a_hook_again_and_again_is_put_back(node: Node) -> None:
    """Nothing beforehand could know."""
    before = Before(node)
    Faults(only_with=ON, dies_after_seconds=0.3, never_ready=True).save(layout(node))

    undone = node.enable(METADATA, "--timeout", "8s")

    before.stands(undone, (4,))
    assert "rbac/bootstrap-roles" in undone.report["summary"]


# -- started but not ready


@pytest.mark.parametrize(
    "fault",
    [Faults(only_with=ON, never_ready=True), Faults(only_with=ON, failing_checks=("etcd",))],
    ids=["hook", "etcd"],
)
def test_a_server_that_never_gets_ready_is_put_back(node: Node, fault: Faults) -> None:
    before = Before(node)
    fault.save(layout(node))
    before.stands(node.enable(METADATA, "--timeout", "5s"), (4,))


def test_etcd_that_refuses_is_waited_for_until_the_deadline(node: Node) -> None:
    before = Before(node)
    Faults(only_with=ON, etcd_refused=True).save(layout(node))

    undone = node.enable(METADATA, "--timeout", "5s")

    before.stands(undone, (4,))
    assert undone.report["timings"]["total"] >= 5


def test_a_port_that_the_old_process_keeps_for_a_while_is_no_failure(node: Node) -> None:
    """`address already in use` heals; who undid at once would be wrong."""
    Faults(held_port_seconds=3).save(layout(node))

    enabled = node.enable(METADATA)

    assert enabled.code == 0, enabled.report["summary"]
    assert any("address already in use" in path.read_text() for path in (node.root / "var/log/pods").glob("*/*/*.log"))


def test_a_slow_start_within_the_timeout_is_no_failure(node: Node) -> None:
    Faults(only_with=ON, start_seconds=3).save(layout(node))
    assert node.enable(METADATA).code == 0


def test_a_start_slower_than_the_timeout_is_put_back(node: Node) -> None:
    before = Before(node)
    Faults(only_with=ON, start_seconds=60).save(layout(node))
    before.stands(node.enable(METADATA, "--timeout", "3s"), (4,))


# -- ready but not recording


def test_a_policy_that_records_nothing_is_refused(node: Node) -> None:
    before = Before(node)
    before.stands(node.enable(NOTHING), (3,))


def test_a_batch_that_holds_the_event_for_a_while_is_waited_for(node: Node) -> None:
    held = ("audit-log-mode=batch", "audit-log-batch-max-size=400", "audit-log-batch-max-wait=2s")
    words = [word for setting in held for word in ("--set", setting)]

    enabled = node.enable(METADATA, *words)

    assert enabled.code == 0, enabled.report["summary"]
    assert enabled.report["receipt"]["auditID"] in node.log.read_text()


BATCH_OF_AN_HOUR = ("audit-log-mode=batch", "audit-log-batch-max-size=400", "audit-log-batch-max-wait=1h")


def test_a_batch_that_holds_the_event_longer_than_the_timeout_is_not_proved_and_stays(node: Node) -> None:
    """Nothing failed: the server serves with it, and tells us only in an hour."""
    words = [word for setting in BATCH_OF_AN_HOUR for word in ("--set", setting)]

    enabled = node.enable(METADATA, *words, "--timeout", "8s")

    assert enabled.code == 0, enabled.report["summary"]
    assert enabled.report["verification"]["holds"] is None
    assert "not proved" in enabled.report["summary"]
    assert "1h" in enabled.report["summary"]
    assert enabled.report["timings"]["total"] < 16  # restart and receipt together; checks beforehand come on top
    assert "--audit-log-batch-max-wait=1h" in node.manifest.read_text()


def test_a_signal_while_the_event_is_waited_for_undoes_first(node: Node) -> None:
    before = Before(node)
    (node.root / "p.yaml").write_text(METADATA)
    words = [word for setting in BATCH_OF_AN_HOUR for word in ("--set", setting)]
    process = node.start("enable", "--policy", node.root / "p.yaml", *words, "-v")
    assert process.stderr is not None
    assert any("under Audit-ID" in line for line in process.stderr)

    process.send_signal(signal.SIGTERM)

    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130, stdout
    assert node.manifest.read_bytes() == before.manifest
    assert until(node.is_ready, 20)


def test_a_full_disk_is_not_called_a_success(node: Node) -> None:
    before = Before(node)
    Faults(only_with=ON, disk_full=True).save(layout(node))
    before.stands(node.enable(METADATA, "--timeout", "5s"), (4,))


def test_a_log_that_is_no_regular_file_is_refused_and_not_read(node: Node) -> None:
    """A pipe gives nothing back, and whoever opens it waits."""
    before = Before(node)
    node.log.parent.mkdir(parents=True)
    os.mkfifo(node.log)

    refused = node.enable(METADATA)

    before.stands(refused, (3,))
    assert f"{node.log}, for --audit-log-path, is not a regular file" in refused.report["summary"]


def test_a_log_that_was_taken_away_under_a_running_server_is_seen(node: Node) -> None:
    """It goes on writing to the removed file, and nothing says so."""
    assert node.enable(METADATA).code == 0
    node.log.rename(node.log.with_name("moved.log"))

    assert node.run("verify").code == 1
    assert node.run("restart").code == 0
    assert node.run("verify").code == 0


# -- the wrong process


def test_a_copy_beside_the_manifest_is_refused(node: Node) -> None:
    copy = node.manifest.with_name("kube-apiserver.yaml.bak")
    copy.write_bytes(node.manifest.read_bytes())
    standing = node.manifest.read_bytes()

    refused = node.enable(METADATA)

    assert refused.code == 3
    assert str(copy) in refused.report["summary"]
    assert node.manifest.read_bytes() == standing


def test_a_copy_that_appears_during_the_wait_wins_and_is_not_called_a_success(node: Node) -> None:
    """The kubelet runs the copy: a healthy server, and silent. Put back, the manifest says again what runs."""
    before = node.manifest.read_bytes()
    (node.root / "p.yaml").write_text(METADATA)
    process = node.start("enable", "--policy", node.root / "p.yaml", "--timeout", "4s")
    assert until(lambda: node.manifest.read_bytes() != before, 20)
    node.manifest.with_name(".copy").write_bytes(before)
    node.manifest.with_name(".copy").rename(node.manifest.with_name("kube-apiserver.yaml.bak"))
    _, stderr = process.communicate(timeout=200)

    assert process.returncode in (4, 5), stderr
    assert "kube-apiserver.yaml.bak defines the same Pod" in stderr
    assert node.manifest.read_bytes() == before
    assert until(node.is_ready, 20)
    pid = server(node)  # the new Pod may have run for a moment, before the kubelet listed the copy
    assert b"--audit-log-path" not in Path(f"/proc/{pid}/cmdline").read_bytes()


# -- an invalid manifest: the listing stops the server, no container says why


@pytest.mark.parametrize("fault", ["yaml", "mount-path-twice", "mount-without-volume"])
def test_a_strangers_invalid_manifest_takes_the_server_down_and_is_not_edited(node: Node, fault: str) -> None:
    text, line = node.manifest.read_text(), "    - mountPath: /etc/kubernetes/pki\n"
    broken = {
        "yaml": text.replace("    image:", "   image:", 1),
        "mount-path-twice": text.replace(line, f"{line}      name: k8s-certs\n{line}"),
        "mount-without-volume": text.replace("      name: k8s-certs\n", "      name: no-such-volume\n"),
    }[fault]
    node.manifest.with_name(".theirs").write_text(broken)
    node.manifest.with_name(".theirs").rename(node.manifest)
    assert until(lambda: server(node) is None, 20)
    assert until(lambda: not list((node.root / "var/log/pods").glob("*/*/*.log")), 20)

    refused = node.enable(METADATA, "--timeout", "5s")

    assert refused.code == 3, refused.report["summary"]
    assert node.manifest.read_text() == broken
    put(node, text)


def put(node: Node, text: str) -> None:
    """A stranger's edit, done well, that a server serves after."""
    old = server(node)
    node.manifest.with_name(".theirs").write_text(text)
    node.manifest.with_name(".theirs").rename(node.manifest)
    assert until(lambda: server(node) not in (None, old) and node.is_ready(), 20)
