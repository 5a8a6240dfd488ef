"""doctor on the embedded node: each way of being broken is named, and what has one safe repair is repaired."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from nodes import BROKEN, EVERYTHING, METADATA, Node, Ran

from auditctl.lab.node.process import until

pytestmark = pytest.mark.lab

SECONDS = 20


def put(node: Node, text: str) -> None:
    """Replace the manifest by hand."""
    hidden = node.manifest.with_name(".by-hand")
    hidden.write_text(text)
    hidden.rename(node.manifest)


def told(node: Node, true: Callable[[dict[str, Any]], bool]) -> Ran:
    """`doctor`, once what it says is as wanted."""
    ran: list[Ran] = []

    def said() -> bool:
        ran[:] = [node.run("doctor")]
        return true(ran[0].report)

    assert until(said, SECONDS), ran[0].report
    return ran[0]


def in_state(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda report: report["doctor"]["state"] == state and report["doctor"]["certain"]


def checks(ran: Ran, severity: str = "error") -> list[str]:
    return [finding["check"] for finding in ran.report["findings"] if finding["severity"] == severity]


def test_a_healthy_node_is_left_alone_and_proved(node: Node) -> None:
    """Also one that auditctl never touched."""
    assert node.run("doctor").code == 0
    node.enable(METADATA)

    ran = node.run("doctor")

    assert (ran.code, ran.report["outcome"], ran.report["doctor"]["state"]) == (0, "Unchanged", "serving")
    assert ran.report["receipt"]["level"] == "Metadata"
    before = node.manifest.read_bytes()
    fixed = node.run("doctor", "--fix")
    assert (fixed.code, fixed.report["changed"], fixed.report["change"]) == (0, False, None)
    assert node.manifest.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "check", "state"),
    [
        ("--audit-log-maxsize=", "--audit-log-max-size=", "flag-unknown", "crash-looping"),
        ("--audit-log-maxage=30", "--audit-log-maxage=30d", "flag-value", "crash-looping"),
        ("--audit-log-maxbackup=10", "--audit-log-maxbackup=-1", "flag-negative", "crash-looping"),
        ("      name: audit-log\n", "      name: audit-lo\n", "mount-without-volume", "never-started"),
        ("      type: File\n", "      type: Directory\n", "volume-type", "never-started"),
    ],
)
def test_a_fault_in_the_manifest_is_told_at_its_own_line(
    node: Node, old: str, new: str, check: str, state: str
) -> None:
    node.enable(METADATA)
    text = node.manifest.read_text()
    assert old in text
    put(node, text.replace(old, new, 1))

    ran = told(node, in_state(state))

    assert ran.code == 1
    assert check in checks(ran)
    (finding,) = (finding for finding in ran.report["findings"] if finding["check"] == check)
    assert finding["file"] == str(node.manifest)
    line = node.manifest.read_text().splitlines()[finding["line"] - 1]
    assert new.split("\n", maxsplit=1)[0].strip().removesuffix("Directory") in line or check == "volume-type"
    assert ran.report["nextSteps"] == [finding["fix"]]


def test_a_manifest_that_is_no_yaml_is_told_by_line_and_column(node: Node) -> None:
    node.enable(METADATA)
    put(node, node.manifest.read_text().replace("  - command:\n", "  - command: [\n", 1))

    ran = told(node, in_state("never-started"))

    assert ran.code == 1
    finding = next(finding for finding in ran.report["findings"] if finding["check"] == "yaml")
    assert finding["line"]
    assert finding["column"]
    assert "auditctl wrote last" in finding["fix"]


def test_a_policy_that_kills_the_server_goes_back_to_the_last_known_good_one(node: Node) -> None:
    """The user's own text stays beside it; the server serves, and it is proved."""
    node.enable(METADATA)
    node.policy.write_text(BROKEN)
    put(node, node.manifest.read_text().replace("--audit-log-maxage=30", "--audit-log-maxage=31"))
    ran = told(node, in_state("crash-looping"))
    finding = ran.report["findings"][0]
    assert (finding["file"], finding["line"], finding["column"]) == (str(node.policy), 4, 10)
    dry = node.run("doctor", "--fix", "--dry-run")
    assert (dry.code, node.policy.read_text()) == (0, BROKEN)

    fixed = node.run("doctor", "--fix")

    assert (fixed.code, fixed.report["outcome"]) == (0, "Changed"), fixed.report["summary"]
    assert node.policy.read_text() == METADATA
    (rejected,) = node.policy.parent.glob("policy.yaml.rejected-*")
    assert rejected.read_text() == BROKEN
    assert fixed.report["receipt"]["level"] == "Metadata"
    assert node.run("doctor").code == 0


def test_a_broken_policy_that_is_not_loaded_is_put_back_without_an_outage(node: Node) -> None:
    """The running server has the good one."""
    node.enable(METADATA)
    node.policy.write_text(BROKEN)
    pid = node.run("status").report["status"]["process"]["pid"]

    fixed = node.run("doctor", "--fix")

    assert fixed.code == 0
    assert node.policy.read_text() == METADATA
    assert node.run("status").report["status"]["process"]["pid"] == pid


def test_a_policy_of_an_old_version_is_converted(node: Node) -> None:
    node.enable(METADATA)
    old = EVERYTHING.replace("audit.k8s.io/v1", "audit.k8s.io/v1beta1") + "# the user's own words\n"
    node.policy.write_text(old)

    fixed = node.run("doctor", "--fix")

    assert fixed.code == 0, fixed.report["summary"]
    assert node.policy.read_text() == EVERYTHING + "# the user's own words\n"
    assert fixed.report["receipt"]["level"] == "RequestResponse"


def test_a_good_policy_that_was_edited_in_place_is_loaded(node: Node) -> None:
    node.enable(METADATA)
    node.policy.write_text(EVERYTHING)
    assert "policy-not-loaded" in checks(node.run("doctor"), "warning")

    fixed = node.run("doctor", "--fix")

    assert (fixed.code, fixed.report["command"]) == (0, "doctor")
    assert fixed.report["receipt"]["level"] == "RequestResponse"


def test_a_log_that_was_renamed_from_outside_is_opened_anew(node: Node) -> None:
    """Every event since went to the other file."""
    node.enable(METADATA)
    node.log.rename(node.log.with_name("audit.log.1"))
    ran = node.run("doctor")
    assert ran.code == 1
    assert "dead-log" in checks(ran)

    fixed = node.run("doctor", "--fix")

    assert fixed.code == 0, fixed.report["summary"]
    assert node.events()
    assert node.run("doctor").code == 0


@pytest.mark.parametrize("name", ["kube-apiserver.yaml.bak", "a-copy.yaml"], ids=["wins", "loses"])
def test_a_copy_of_the_manifest_is_moved_and_the_manifests_own_pod_serves(node: Node, name: str) -> None:
    """Nothing is lost: the copy lies among the records, and rollback knows it."""
    node.enable(METADATA)
    copy = node.manifest.with_name(name)
    text = node.manifest.read_text().replace("--audit-log-maxage=30", "--audit-log-maxage=7")
    copy.write_text(text)
    wins = name > node.manifest.name
    ran = told(node, lambda report: report["doctor"]["state"] == ("wrong-process" if wins else "serving"))
    finding = next(finding for finding in ran.report["findings"] if finding["check"] == "stray-manifests")
    assert f"{copy if wins else node.manifest} runs" in finding["message"]
    assert copy.exists()
    dry = node.run("doctor", "--fix", "--dry-run")
    assert (dry.code, copy.exists()) == (0, True)

    fixed = node.run("doctor", "--fix")

    assert fixed.code == 0, fixed.report["summary"]
    assert node.names_seen_by_the_kubelet() == ["kube-apiserver.yaml"]
    saved = node.root / "var/lib/auditctl/changes" / fixed.report["change"]["id"] / "stray.before"
    assert saved.read_text() == text
    assert {check["name"]: check["status"] for check in fixed.report["verification"]["checks"]}["listing"] == "passed"
    assert node.run("doctor").code == 0


def test_two_copies_go_in_one_run(node: Node) -> None:
    node.enable(METADATA)
    for name in ("kube-apiserver.yaml.bak", "kube-apiserver.yaml~"):
        node.manifest.with_name(name).write_bytes(node.manifest.read_bytes() + b"# a copy\n")

    fixed = node.run("doctor", "--fix")

    assert fixed.code == 0, fixed.report["summary"]
    assert node.names_seen_by_the_kubelet() == ["kube-apiserver.yaml"]


def test_what_has_no_one_safe_repair_is_left_alone(node: Node) -> None:
    """A misspelt flag: what was meant is a guess."""
    node.enable(METADATA)
    put(node, node.manifest.read_text().replace("--audit-log-maxsize=", "--audit-log-max-size="))
    told(node, in_state("crash-looping"))
    before = node.manifest.read_bytes()

    ran = node.run("doctor", "--fix")

    assert ran.code == 1
    assert "nothing was changed" in ran.report["summary"]
    assert node.manifest.read_bytes() == before


def test_a_change_that_failed_says_where_and_what_to_do_next(node: Node) -> None:
    """One line: what, where in the user's file, the node's state; one next step."""
    config = node.root / "webhook.yaml"
    config.write_text("apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {}\n")
    assert node.enable(METADATA).code == 0

    failed = node.run("enable", "--webhook-config", config)

    assert failed.code in (3, 4)
    if failed.code == 4:
        assert str(config) in failed.report["summary"]
        assert failed.report["summary"].endswith("put back; the API server is ready with the old configuration again")
        assert len(failed.report["nextSteps"]) == 1


def test_one_of_two_strays_that_cannot_be_moved_is_told_before_the_other_is(node: Node) -> None:
    assert node.enable(METADATA).code == 0
    elsewhere = node.root / "elsewhere.yaml"
    for path in (elsewhere, node.manifest.with_name("a.yaml")):
        path.write_bytes(node.manifest.read_bytes())
    node.manifest.with_name("b.yaml").symlink_to(elsewhere)

    ran = node.run("doctor", "--fix")

    assert (ran.code, ran.report["changed"]) == (3, False)
    assert sorted(node.names_seen_by_the_kubelet()) == ["a.yaml", "b.yaml", "kube-apiserver.yaml"]


def test_asked_to_stop_before_the_first_of_two_strays_is_moved_doctor_stops(node: Node) -> None:
    assert node.enable(METADATA).code == 0
    for name in ("a.yaml", "b.yaml"):
        node.manifest.with_name(name).write_bytes(node.manifest.read_bytes())
    process = node.start("doctor", "--fix", "-o", "json")
    lock = node.root / "var/lib/auditctl/lock"
    assert until(lambda: b"doctor" in lock.read_bytes(), SECONDS)
    process.send_signal(signal.SIGINT)
    try:
        answer, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    report = json.loads(answer)
    if process.returncode == 130:
        assert (report["outcome"], report["changed"]) == ("Interrupted", False)
        assert sorted(node.names_seen_by_the_kubelet()) == ["a.yaml", "b.yaml", "kube-apiserver.yaml"]
    else:  # one was moved by then: all of it is done
        assert (process.returncode, node.names_seen_by_the_kubelet()) == (0, ["kube-apiserver.yaml"])


def test_what_a_watchdog_did_once_is_no_change_of_this_run(node: Node) -> None:
    assert node.enable(METADATA).code == 0
    process = node.start("enable", "--log-maxage", "5")
    assert until(lambda: "--audit-log-maxage=5" in node.manifest.read_text(), SECONDS)
    process.kill()
    process.communicate()
    assert until(lambda: "watchdog" in checks(node.run("status"), "info"), SECONDS)

    ran = node.run("doctor", "--fix")

    assert (ran.code, ran.report["outcome"], ran.report["changed"]) == (0, "Unchanged", False)
    assert "watchdog" in checks(ran, "info")
