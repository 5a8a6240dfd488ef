"""The main job on the embedded node: on, changed, proved, out again without a trace."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nodes import BROKEN, EVERYTHING, METADATA, NOTHING, Node, Ran

from auditctl.cli.app import run
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout
from auditctl.lab.node.process import until

pytestmark = pytest.mark.lab

ANNOTATION = "/metadata/annotations/auditctl~1policy-sha256"


def test_on_proved_again_and_out_without_a_trace(node: Node) -> None:
    """enable, the same again, disable --purge: the manifest is byte for byte what it was."""
    before = node.manifest.read_bytes()

    on = node.enable(METADATA)

    assert on.code == 0
    report = on.report
    assert (report["outcome"], report["changed"], report["exitCode"]) == ("Changed", True, 0)
    assert report["verification"]["holds"] is True
    receipt = report["receipt"]
    line = node.log.read_text().splitlines()[receipt["line"] - 1]
    assert f'"auditID":"{receipt["auditID"]}"' in line
    assert f'"stage":"{receipt["stage"]}"' in line
    assert f'"level":"{receipt["level"]}"' in line
    assert (receipt["level"], receipt["rule"], receipt["file"]) == ("Metadata", 0, str(node.log))
    assert receipt["grewBytes"] >= len(line)
    assert report["settings"]["flags"]["audit-log-maxage"] == "30"
    assert report["settings"]["policy"]["containerPath"] == "/etc/kubernetes/audit/policy.yaml"
    assert {operation["op"] for operation in report["manifest"]["patch"]} == {"add"}
    assert node.policy.read_text() == METADATA
    assert node.names_seen_by_the_kubelet() == ["kube-apiserver.yaml"]
    assert oct(node.policy.stat().st_mode)[-3:] == "600"
    assert oct(node.policy.parent.stat().st_mode)[-3:] == "700"

    stamp = node.manifest.stat().st_mtime_ns, node.manifest.stat().st_ino
    again = node.enable(METADATA)

    assert (again.code, again.report["outcome"], again.report["changed"]) == (0, "Unchanged", False)
    assert again.report["manifest"]["patch"] == []
    assert again.report["receipt"]["auditID"] != receipt["auditID"]
    assert (node.manifest.stat().st_mtime_ns, node.manifest.stat().st_ino) == stamp

    out = node.run("disable", "--purge")

    assert (out.code, out.report["outcome"]) == (0, "Changed")
    assert node.manifest.read_bytes() == before
    assert not node.policy.parent.exists()
    assert node.log.exists()
    assert node.run("disable").report["outcome"] == "Unchanged"


def test_another_policy_is_told_apart_from_the_old_one_by_its_receipt(node: Node) -> None:
    """A policy that changes alone is loaded in place, the next one by our annotation (back-off); disable takes that out.

    The receipts differ.
    """
    before = node.manifest.read_bytes()
    first = node.enable(METADATA).report["receipt"]

    second = node.enable(EVERYTHING)

    assert second.code == 0
    receipt = second.report["receipt"]
    assert (first["level"], receipt["level"]) == ("Metadata", "RequestResponse")
    assert receipt["distinguishes"] is True
    assert second.report["manifest"]["patch"] == []
    assert "auditctl/policy-sha256" not in node.manifest.read_text()
    assert "in its Pod" in why_so(second)
    third = node.enable(METADATA)
    assert third.report["receipt"]["distinguishes"] is True
    assert "back-off" in why_so(third)
    assert [operation["path"] for operation in third.report["manifest"]["patch"]] == [ANNOTATION]
    assert "auditctl/policy-sha256" in node.manifest.read_text()
    assert {event["level"] for event in node.events() if event["auditID"] == first["auditID"]} == {"Metadata"}
    same_decisions = node.enable(METADATA + "# a comment alone\n")
    assert (same_decisions.code, same_decisions.report["manifest"]["patch"]) == (0, [])
    assert same_decisions.report["timings"]["restart"] is None
    assert "comment" in node.policy.read_text()
    assert node.run("disable").code == 0
    assert node.manifest.read_bytes() == before


def why_so(ran: Ran) -> str:
    """How the policy was loaded, and why in this way."""
    (told,) = (finding["message"] for finding in ran.report["findings"] if finding["check"] == "policy-reload")
    return str(told)


def test_a_policy_that_the_server_would_refuse_changes_nothing(node: Node) -> None:
    """Exit 3 with line and column, and a second time with auditing on."""
    before = node.manifest.read_bytes()

    refused = node.enable(BROKEN)

    assert (refused.code, refused.report["outcome"]) == (3, "Refused")
    finding = refused.report["findings"][0]
    assert (finding["line"], finding["path"]) == (4, "rules[0].level")
    assert node.manifest.read_bytes() == before
    assert not node.policy.exists()
    assert not node.log.parent.exists()


def test_a_policy_that_records_nothing_is_refused_unless_allowed(node: Node) -> None:
    """Nothing could be proved: no-receipt."""
    refused = node.enable(NOTHING)
    assert refused.code == 3
    assert refused.report["findings"][0]["check"] == "no-receipt"

    allowed = node.enable(NOTHING, "--allow", "no-receipt")

    assert allowed.code == 0
    assert allowed.report["verification"]["holds"] is None
    assert "not proved" in allowed.report["summary"]


def test_restart_loads_what_was_edited_in_place_or_refuses_it(node: Node) -> None:
    """The installed policy is edited by hand: bad is exit 3, good is loaded and proved."""
    assert node.run("restart").code == 3
    node.enable(METADATA)
    node.policy.write_text(BROKEN)
    assert node.run("restart").code == 3
    assert node.run("status").code == 1

    node.policy.write_text(EVERYTHING)
    loaded = node.run("restart")

    assert loaded.code == 0
    assert loaded.report["receipt"]["level"] == "RequestResponse"
    assert loaded.report["receipt"]["distinguishes"] is True
    assert loaded.report["manifest"]["patch"] == []
    again = node.run("restart")
    assert (again.code, [operation["path"] for operation in again.report["manifest"]["patch"]]) == (0, [ANNOTATION])
    assert again.report["timings"]["restart"] is not None
    named = node.run("restart")
    assert (named.code, named.report["manifest"]["patch"]) == (0, [])
    assert named.report["timings"]["restart"] is not None


def test_an_edited_policy_is_never_taken_for_the_loaded_one(node: Node) -> None:
    """verify in between changes nothing about that; enable loads it."""
    node.enable(METADATA)
    node.policy.write_text(EVERYTHING)
    edited = node.root / "edited.yaml"
    edited.write_text(EVERYTHING)

    seen = node.run("verify")
    assert seen.code == 0
    assert [finding["check"] for finding in seen.report["findings"]] == ["policy-not-loaded"]
    assert node.run("verify").code == 0
    assert node.run("verify", "--policy", edited).code == 1
    stale = node.run("verify", "--expect", "get secrets -> RequestResponse")
    assert stale.code == 1
    assert stale.report["nextSteps"][0].endswith(" restart")
    assert node.run("status").report["findings"][0]["check"] == "policy-not-loaded"

    loaded = node.run("enable", "--policy", edited)
    assert loaded.report["receipt"]["level"] == "RequestResponse"
    findings = node.run("status").report["findings"]
    assert [one["check"] for one in findings if one["severity"] != "info"] == ["kubeadm-config"]  # nobody persisted it


def test_a_policy_that_was_written_since_the_start_meets_no_grader(node: Node) -> None:
    """Also where no receipt tells the two apart, and no record of ours says what was loaded."""
    node.enable(METADATA)
    bodies = METADATA.replace("rules:\n", "rules:\n- {level: Request, resources: [{resources: [secrets]}]}\n")
    node.policy.write_text(bodies)
    graded = ("--state-dir", "/var/lib/elsewhere", "verify", "--flag", "audit-log-maxage=0x1e")
    assert node.run(*graded).code == 0

    assert node.run(*graded, "--expect", "create secrets -> Request").code == 1
    assert node.run(*graded, "--policy", node.policy).code == 1

    node.run("restart")
    assert node.run(*graded, "--expect", "create secrets -> Request", "--policy", node.policy).code == 0


def test_a_policy_that_the_annotation_names_already_is_loaded_in_place(node: Node) -> None:
    """The server had died meanwhile, and loaded what somebody had put there."""
    node.enable(METADATA)
    node.enable(EVERYTHING)
    assert node.run("restart").code == 0
    assert "auditctl/policy-sha256" in node.manifest.read_text()
    node.policy.write_text(METADATA)
    old = node.run("status").report["status"]["process"]["pid"]
    os.kill(old, signal.SIGKILL)

    def serves_again() -> bool:
        process = node.run("status").report["status"]["process"]
        return process is not None and process["pid"] != old and node.is_ready()

    assert until(serves_again, 20)
    loaded = node.enable(EVERYTHING)

    assert (loaded.code, loaded.report["manifest"]["patch"]) == (0, []), loaded.report["summary"]
    assert loaded.report["receipt"]["level"] == "RequestResponse"


def test_a_restart_in_place_without_waiting_is_done_all_the_same(node: Node) -> None:
    """Another process serves soon after."""
    node.enable(METADATA)
    node.run("restart")
    old = node.run("status").report["status"]["process"]["pid"]

    assert node.run("restart", "--no-wait").code == 0

    def replaced() -> bool:
        process = node.run("status").report["status"]["process"]
        return process is not None and process["pid"] != old

    assert until(replaced, 20)


def test_a_signal_before_anything_was_changed_changes_nothing(node: Node) -> None:
    """While the policy is still being read from a pipe."""
    before = node.manifest.read_bytes()
    process = node.start("enable", "--policy", "/dev/stdin", stdin=subprocess.PIPE)
    assert until((node.root / "var/lib/auditctl/lock").exists, 30)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(METADATA, timeout=60)

    assert process.returncode == 130
    assert "nothing was changed" in stderr
    assert node.manifest.read_bytes() == before
    assert node.run("status").report["status"]["process"]["matchesManifest"]


def test_a_server_that_dies_of_the_change_is_put_back_with_its_own_last_words(node: Node) -> None:
    """Exit 4; the old configuration is ready; the policy and the directories are gone again."""
    before = node.manifest.read_bytes()
    node.log.parent.mkdir(parents=True)
    node.log.symlink_to("nowhere/audit.log")  # what no look at paths and flags sees

    failed = node.enable(METADATA)

    assert (failed.code, failed.report["outcome"]) == (4, "RolledBack")
    assert "ensureLogFile: open" in failed.report["summary"]
    assert node.manifest.read_bytes() == before
    assert not node.policy.parent.exists()
    assert not node.log.exists()
    assert node.run("status").report["status"]["process"]["matchesManifest"]
    assert node.run("history").report["history"][-1]["outcome"] == "undone"
    node.log.unlink()
    assert node.enable(METADATA).code == 0


def test_a_restart_that_kills_the_server_brings_the_last_known_good_policy_back(node: Node) -> None:
    """It was edited in place; the edited one stays beside it, and the next step names it."""
    assert node.enable(METADATA).code == 0
    Faults(only_with="--audit-", start_seconds=60).save(Layout(node.root))
    node.policy.write_text(EVERYTHING)

    process = node.start("restart", "--timeout", "4s", "-o", "json")
    assert until(lambda: node.policy.read_text() == METADATA, 60)
    clear(Layout(node.root))
    stdout, stderr = process.communicate(timeout=90)

    assert process.returncode == 4, stderr
    report = json.loads(stdout)
    (rejected,) = node.policy.parent.glob("policy.yaml.rejected-*")
    assert rejected.read_text() == EVERYTHING
    assert rejected.name.removeprefix("policy.yaml.rejected-") == report["change"]["id"]
    typed = f"kube-auditctl --rootfs {node.root} enable --policy {rejected}"
    assert report["nextSteps"] == [f"repair {rejected}, then: {typed}"]
    assert node.run("verify", "--expect", "get pods -> Metadata").code == 0


def test_a_webhook_is_installed_for_nobody_else_and_out_again(node: Node) -> None:
    """One that nobody listens at is refused unless that is allowed."""
    config = node.root / "webhook.yaml"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {server: 'https://127.0.0.1:1/'}\n"
        "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"
    )
    refused = node.enable(METADATA, "--webhook-config", config)
    assert (refused.code, refused.report["findings"][0]["check"]) == (3, "webhook-reachable")
    assert node.enable(METADATA, "--webhook-config", config, "--allow", "webhook-reachable").code == 0
    installed = node.root / "etc/kubernetes/audit/webhook.yaml"
    assert oct(installed.stat().st_mode)[-3:] == "600"
    assert installed.read_text() == config.read_text()
    assert node.run("enable", "--no-webhook").code == 0
    assert "webhook" not in node.manifest.read_text()


def test_a_strangers_edit_during_the_wait_is_left_alone(node: Node) -> None:
    """A server serves, but not with our command line: that is no success; exit 5 with the backup and the exact command."""
    process = started(node, "--timeout", "4s")
    theirs = node.manifest.read_text().replace("    image:", "    - --v=3\n    image:", 1)
    node.manifest.with_name(".theirs").write_text(theirs)
    node.manifest.with_name(".theirs").rename(node.manifest)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 5
    assert node.manifest.read_text() == theirs
    assert "somebody else changed the manifest" in stderr
    (backup,) = (node.root / "var/lib/auditctl/changes").glob("*/manifest.before")
    assert f"cp -p {backup} " in stderr
    assert "audit" not in backup.read_text()


def test_a_server_that_is_too_slow_is_put_back(node: Node) -> None:
    """--timeout; then the old configuration is ready again."""
    before = node.manifest.read_bytes()

    slow = node.enable(METADATA, "--timeout", "10ms")

    assert slow.code == 4  # the way back is given the time that it takes
    assert node.manifest.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_wait_undoes_first(node: Node, number: signal.Signals) -> None:
    """Exit 130; the old manifest serves."""
    before = node.manifest.read_bytes()
    process = started(node)
    process.send_signal(number)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert node.manifest.read_bytes() == before
    assert node.run("status").report["status"]["process"]["matchesManifest"]


def test_losing_the_terminal_changes_nothing(node: Node) -> None:
    """SIGHUP, and nobody reads stdout or stderr any more."""
    process = started(node)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGHUP)

    assert process.wait(timeout=60) == 0
    assert node.run("verify").code == 0


def test_a_terminal_that_goes_away_changes_nothing(node: Node) -> None:
    """EIO on every write, in the middle of the live line of progress."""
    before = node.manifest.read_bytes()
    (node.root / "p.yaml").write_text(METADATA)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "auditctl", "--rootfs", node.root, "enable", "--policy", node.root / "p.yaml"]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        assert until(lambda: node.manifest.read_bytes() != before, 20)
        os.close(ours)
        assert process.wait(timeout=60) == 0
    assert node.run("verify").code == 0


def test_killed_during_the_wait_the_next_run_finishes(node: Node) -> None:
    """SIGKILL: status names it, the next change begins with it. (With --no-rollback there is no watchdog.)"""
    process = started(node, "--no-rollback")
    process.kill()
    process.communicate()
    assert any(finding["check"] == "interrupted-change" for finding in node.run("status").report["findings"])

    again = node.enable(METADATA)

    assert again.code == 0
    assert again.report["findings"][0]["check"] == "interrupted-change"
    assert node.run("verify").code == 0


def started(node: Node, *words: str) -> subprocess.Popen[str]:
    """`enable`, stopped right after the manifest was replaced."""
    before = node.manifest.read_bytes()
    (node.root / "p.yaml").write_text(METADATA)
    process = node.start("enable", "--policy", node.root / "p.yaml", *words)
    assert until(lambda: node.manifest.read_bytes() != before, 20)
    return process


def test_a_copy_beside_the_manifest_is_named_before_the_edit(node: Node) -> None:
    """The kubelet would run the copy."""
    copy = node.manifest.with_name("kube-apiserver.yaml.bak")
    copy.write_bytes(node.manifest.read_bytes())

    refused = node.enable(METADATA)

    assert refused.code == 3
    assert refused.report["findings"][0]["check"] == "stray-manifests"
    assert str(copy) in refused.report["summary"]


def test_an_api_server_that_does_not_serve_beforehand_is_not_blamed_on_us(node: Node) -> None:
    """apiserver-ready, unless allowed."""
    broken = node.manifest.read_text().replace("- kube-apiserver\n", "- kube-apiserver\n    - --audit-log-maxage=x\n")
    node.manifest.with_name(".new").write_text(broken)
    node.manifest.with_name(".new").rename(node.manifest)
    assert until(lambda: node.run("status").report["status"]["process"] is None, 20)

    refused = node.enable(METADATA)
    assert refused.code == 3
    assert [one["check"] for one in refused.report["findings"] if one["severity"] == "error"] == [
        "flag-value",
        "apiserver-ready",
    ]

    repaired = node.run("disable", "--allow", "apiserver-ready")
    assert repaired.code == 0


def test_two_runs_at_once(node: Node) -> None:
    """The lock is held: exit 3, and who holds it."""
    state = node.root / "var/lib/auditctl"
    state.mkdir(parents=True, mode=0o700)
    with (state / "lock").open("w") as held:
        held.write("auditctl enable (pid 1)\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = node.enable(METADATA)

    assert refused.code == 3
    assert "auditctl enable (pid 1)" in refused.report["summary"]


def test_rollback_is_byte_exact_or_takes_only_our_lines_out(node: Node) -> None:
    """The last change; with a stranger's edit in between; with one in our own lines."""
    before = node.manifest.read_bytes()
    node.enable(METADATA)
    back = node.run("rollback")
    assert back.code == 0
    assert node.manifest.read_bytes() == before
    assert not node.policy.exists()

    change = node.enable(METADATA).report["change"]["id"]
    theirs = node.manifest.read_text().replace("cpu: 250m", "cpu: 300m  # ours now")
    replace(node, theirs)
    merged = node.run("rollback", change)
    assert merged.code == 0
    assert node.manifest.read_text() == before.decode().replace("cpu: 250m", "cpu: 300m  # ours now")
    assert node.run("rollback").code == 3

    node.enable(METADATA)
    replace(node, node.manifest.read_text().replace("--audit-log-maxage=30", "--audit-log-maxage=31"))
    conflict = node.run("rollback", "--dry-run")
    assert conflict.code == 3


def replace(node: Node, text: str) -> None:
    """A stranger's edit, done well; wait until another process serves with it."""
    old = node.run("status").report["status"]["process"]["pid"]
    node.manifest.with_name(".theirs").write_text(text)
    node.manifest.with_name(".theirs").rename(node.manifest)

    def replaced() -> bool:
        process = node.run("status").report["status"]["process"]
        return process is not None and process["pid"] != old and node.is_ready()

    assert until(replaced, 20)


def test_verify_grades_policy_flags_and_decisions(node: Node) -> None:
    """Another form of the same policy is the same; a grep would say otherwise."""
    assert node.run("verify").code == 1
    node.enable(METADATA)
    same = node.root / "same.yaml"
    same.write_text(
        "kind: Policy\napiVersion: audit.k8s.io/v1\nrules: [{level: Metadata, omitStages: [RequestReceived]}]\n"
    )
    other = node.root / "other.yaml"
    other.write_text(EVERYTHING)

    assert (
        node.run(
            "verify",
            "--policy",
            same,
            "--flag",
            "audit-log-maxbackup=10",
            "--expect",
            "get secrets in prod -> Metadata",
        ).code
        == 0
    )
    refused = {
        ("--policy", str(other)): f"enable --policy {other} --dry-run",
        ("--flag", "audit-log-maxbackup=2"): "enable --set audit-log-maxbackup=2 --dry-run",
        ("--expect", "get secrets in prod -> Request"): f"policy explain {node.policy} 'get secrets in prod'",
    }
    for options, step in refused.items():
        ran = node.run("verify", *options)
        assert ran.code == 1
        assert ran.report["nextSteps"][0].endswith(f" {step}")  # doctor knows nothing of what was expected
    assert node.run("verify", "--flag", "audit-log-mode=blocking").code == 0
    assert node.run("verify", "--expect", "no arrow").code == 2


def test_standard_output_is_not_proved(node: Node) -> None:
    """--log-path -: no log mount, exit 0, holds null."""
    on = node.enable(METADATA, "--log-path", "-")

    assert on.code == 0
    assert on.report["verification"]["holds"] is None
    assert "audit-log-max" not in node.manifest.read_text()
    assert "name: audit-log" not in node.manifest.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_the_right_to_write_nothing_is_touched(node: Node) -> None:
    """Exit 3, one sentence with sudo in it; a child that becomes nobody once all is imported."""
    before = node.manifest.read_bytes()
    node.manifest.chmod(0o644)
    for directory in (node.manifest.parent, *node.manifest.parent.parents):
        if directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    (node.root / "p.yaml").write_text(METADATA)
    words = ["auditctl", "--rootfs", str(node.root), "enable", "--policy", str(node.root / "p.yaml")]
    told = node.root / "told"
    pid = os.fork()
    if pid == 0:
        with told.open("w") as sys.stderr:
            run([*words, "--dry-run", "-q"])
            __import__("auditctl.operations.change.run")
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os._exit(run(words))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert code == 3, told.read_text()
    assert node.manifest.read_bytes() == before
    assert not (node.root / "var/lib/auditctl").exists()


def test_the_cluster_of_a_node_is_asked_with_that_nodes_own_kubeconfig(node: Node) -> None:
    """Not with that of whoever types the command: it may be another cluster's."""
    node.enable(METADATA)
    assert node.run("kubeadm", "persist").code == 0
    ran = node.run("status", "--server")
    assert ran.code == 0, ran.report["summary"]
    assert "1 of 1 API servers is ready, 1 of 1 record" in ran.report["summary"]
