"""One control plane after the other: all fine, a failure in the middle, resumed, and what check mode may not do."""

from __future__ import annotations

import time

import pytest
from controlplanes import BROKEN, METADATA, ControlPlanes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def test_the_whole_way_of_three_control_planes(planes: ControlPlanes) -> None:
    """Check mode, on with receipts, one alone, proof, an edited policy, off: the bytes of before."""
    before, started = planes.manifests(), planes.processes()
    policy = planes.folder / "policy.yaml"
    policy.write_text(METADATA)
    _check_mode_shows_all_and_touches_nothing(planes, str(policy))
    running = _on_with_a_receipt_each(planes, str(policy))
    assert not set(running.values()) & set(started.values())

    alone = planes.play("enable-audit.yml", "--limit", "b", log_maxage=8, persist=True)
    assert (alone.code, alone.touched) == (0, ["b"]), alone.text
    assert "a, c was left out by --limit" in alone.text
    same = {name: process == running[name] for name, process in planes.processes().items()}
    assert same == {"a": True, "b": False, "c": True}

    _proof(planes)
    planes.nodes["c"].policy.write_text(METADATA.replace("Metadata", "Request"))
    loaded = planes.play("restart-audit.yml", "--limit", "c")
    assert (loaded.code, loaded.change("c")["receipt"]["level"]) == (0, "Request"), loaded.text

    off = planes.play("disable-audit.yml", purge=True)
    assert (off.code, off.touched) == (0, ["a", "b", "c"]), off.text
    assert planes.manifests() == before
    assert not any(node.policy.exists() for node in planes.nodes.values())


def _proof(planes: ControlPlanes) -> None:
    """Only b does not hold; the table has the receipt of each, and the outage of its last change."""
    proof = planes.play(
        "verify-audit.yml", expect_flags={"audit-log-maxage": 30}, expect=["get secrets in prod -> Metadata"]
    )
    assert (proof.code, "--audit-log-maxage is 8 (set), not 30" in proof.last_words) == (2, True), proof.text
    assert all(proof.results(name, "Ask for the proof")[0]["receipt"] for name in planes.nodes)
    ends = {row["host"]: row["how"] for row in proof.rows if "does not hold" in row["task"]}
    assert ends == {"a": "ok", "b": "failed", "c": "ok"}
    head, *rows, took = proof.results("a", "Say what is known of each control plane")[0]["msg"]
    assert head.split()[-2:] == ["OUTAGE", "RECEIPT"]
    for row in rows:
        outage, unit, receipt = row.split()[-3:]
        assert (float(outage) > 0, unit, ":" in receipt) == (True, "s", True), row
    assert took.startswith("3 control planes in ")


def _check_mode_shows_all_and_touches_nothing(planes: ControlPlanes, policy: str) -> None:
    trees, started = planes.trees(), planes.processes()
    checked = planes.play("enable-audit.yml", "--check", "--diff", policy_file=policy)
    assert (checked.code, checked.touched) == (0, ["a", "b", "c"]), checked.text
    assert all(checked.change(name)["changed"] for name in planes.nodes)
    assert checked.text.count("+    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml") == 3
    assert checked.text.count("+omitStages: [RequestReceived]") == 3
    assert planes.trees() == trees
    assert planes.processes() == started


def _on_with_a_receipt_each(planes: ControlPlanes, policy: str) -> dict[str, tuple[int, float]]:
    on = planes.play("enable-audit.yml", policy_file=policy)
    assert (on.code, on.touched) == (0, ["a", "b", "c"]), on.text
    for name in planes.nodes:
        change = on.change(name)
        assert (change["changed"], change["outcome"], change["receipt"]["level"]) == (True, "Changed", "Metadata")
        assert change["flags"]["audit-policy-file"] == "/etc/kubernetes/audit/policy.yaml"
        assert change["report"]["verification"]["holds"]
        assert (change["reason"], change["rolled_back"], change["restarted"]) == (None, False, True)
    assert "apiserver_audit_persist is false" in on.text
    return planes.processes()


def test_a_failure_on_the_second_of_three_stops_there_and_a_repaired_run_goes_on(planes: ControlPlanes) -> None:
    """The third is untouched, the second serves again with its old bytes, the sentence says who is where."""
    before, started = planes.manifests(), planes.processes()
    planes.nodes["b"].never_ready_with("--audit-log-maxage=77")

    failed = planes.play("enable-audit.yml", log_maxage=77, timeout="4s")

    assert (failed.code, failed.touched) == (2, ["a", "b"]), failed.text
    change = failed.change("b")
    assert (change["exit_code"], change["outcome"], change["rolled_back"]) == (4, "RolledBack", True)
    words = failed.last_words
    assert words.startswith("b failed: the API server was not ready within 4 s; put back; the API server is ready with")
    assert "b is ready again, with its old configuration. Done: a. Not touched: c." in words
    assert planes.nodes["b"].serves
    assert planes.nodes["b"].manifest.read_bytes() == before["b"]
    assert planes.nodes["c"].manifest.read_bytes() == before["c"]
    assert planes.nodes["c"].process == started["c"]
    assert b"--audit-log-maxage=77" in planes.nodes["a"].manifest.read_bytes()
    done = planes.nodes["a"].process

    planes.nodes["b"].heal()
    # the ConfigMap, which is written once, on the last
    (planes.nodes["c"].root / "var/lib/auditctl-lab/kubeadm-config.json").unlink()
    resumed = planes.play("enable-audit.yml", log_maxage=77, persist=True)
    assert resumed.touched == ["a", "b", "c"], resumed.text
    changes = [resumed.results(name, "Switch auditing on") for name in planes.nodes]
    assert [rows[0]["outcome"] for rows in changes] == ["Unchanged", "Changed", "Changed"]
    assert planes.nodes["a"].process == done
    assert (resumed.code, [len(rows) for rows in changes]) == (2, [1, 1, 2]), resumed.text
    assert (changes[2][1]["reason"], changes[2][1]["exit_code"]) == ("kubeadm-config", 3)
    assert resumed.last_words.startswith("Every control plane is done; only kubeadm-config is not written: ")
    assert "there is none" in resumed.last_words


def test_check_mode_says_3_where_the_run_does_and_the_node_stays_as_it_is(planes: ControlPlanes) -> None:
    """A policy that the API server would refuse: the same refusal, with the line, before anything is touched."""
    policy = planes.folder / "policy.yaml"
    policy.write_text(BROKEN)
    trees, started = planes.trees(), planes.processes()
    told = []
    for words in (["--check", "--diff"], []):
        ran = planes.play("enable-audit.yml", *words, policy_file=str(policy))
        change = ran.change("a")
        assert (ran.code, ran.touched, change["exit_code"], change["changed"]) == (2, ["a"], 3, False), ran.text
        assert change["msg"].startswith(f"{policy}:5:10: ")
        assert "Done: none. Not touched: b, c." in ran.last_words
        told.append((change["msg"], change["reason"]))
        assert ("var/lib/auditctl" in planes.trees()["a"]) == (not words)  # the run holds a lock there
    assert told[0] == told[1]
    assert planes.processes() == started
    assert planes.trees(but="var/lib") == {
        name: {path: seen for path, seen in tree.items() if not path.startswith("var/lib")}
        for name, tree in trees.items()
    }


def test_none_is_started_while_another_does_not_serve_reachable_or_not_limit_or_not(planes: ControlPlanes) -> None:
    """And the sentence says who, why, and the two ways on."""
    started = planes.processes()
    planes.write_inventory(c="ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1")
    refused = planes.play("enable-audit.yml", "--limit", "a")
    assert (refused.code, refused.touched) == (2, []), refused.text
    assert "c does not serve (" in refused.last_words
    assert "nothing was changed on a" in refused.last_words
    assert "Left out by --limit: b, c." in refused.last_words

    planes.write_inventory(c="ansible_python_interpreter=/bin/false")
    unasked = planes.play("enable-audit.yml", "--limit", "a")
    assert (unasked.code, unasked.touched) == (2, []), unasked.text
    assert "c could not be asked, for no module runs there (" in unasked.last_words

    planes.write_inventory(a="ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1")
    lost = planes.play("enable-audit.yml", "--limit", "a", "-e", "apiserver_audit_allow=other-control-planes")
    assert (lost.code, lost.touched) == (2, []), lost.text
    assert "a failed: there is no connection to a. If a change had begun there, its watchdog" in lost.last_words

    planes.write_inventory()
    planes.nodes["b"].manifest.rename(planes.folder / "kube-apiserver.yaml")
    until_gone(planes)
    refused = planes.play("enable-audit.yml")
    assert (refused.code, refused.touched) == (2, []), refused.text
    assert "b does not serve (" in refused.last_words
    assert planes.nodes["a"].process == started["a"]

    words = ("--check", "--limit", "a,c", "-e", "apiserver_audit_allow=other-control-planes")
    allowed = planes.play("enable-audit.yml", *words)
    assert (allowed.code, allowed.touched) == (0, ["a", "c"]), allowed.text
    assert all(allowed.change(name)["changed"] for name in ("a", "c"))


def until_gone(planes: ControlPlanes) -> None:
    """Poll until b's server has ended."""
    end = time.monotonic() + 30
    while planes.nodes["b"].serves:
        assert time.monotonic() < end
