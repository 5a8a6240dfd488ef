"""What is wrong with the server, from recorded evidence: the state, the cause and how certain it is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from auditctl.facts import CrashKind
from auditctl.node.apiserver.client import Readiness, failing_checks
from auditctl.node.apiserver.crash import KUBELET, Crash
from auditctl.node.apiserver.process import Process
from auditctl.node.change.files import Root
from auditctl.node.kubelet.diagnosis import Evidence, ServerState, judge
from auditctl.node.kubelet.kubelet_log import Appended, KubeletLog, stamp
from auditctl.node.kubelet.pod_logs import PodName

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"

CHANGED = time.time() - 60  # before the parameters below are made, however long the tests before these take


def refusal(path: str = MANIFEST, at: float | None = None) -> str:
    moment = stamp(time.time() if at is None else at)
    return f'E{moment}    1035 file.go:187] "Could not process manifest file" err="invalid pod: [spec.volumes[2].name: Duplicate value: \\"audit-policy\\"]" path="{path}"\n'


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_the_time_zone_of_our_shell_is_not_the_kubelets(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    in_its_zone = stamp(now)
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert stamp(now) == in_its_zone
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (refusal(), True),
        ("??? " + refusal(), True),
        (refusal(MANIFEST + ".bak"), False),
        (refusal("/etc/kubernetes/manifests/etcd.yaml"), False),
        (refusal(at=CHANGED - 3600), False),
        (refusal().replace("E", "I", 1), False),
    ],
    ids=["ours", "with-a-prefix", "a-copy", "another-pod", "before-the-change", "news"],
)
def test_only_what_the_kubelet_says_of_our_manifest_since_the_change_counts(
    line: str, counts: bool, tmp_path: Path
) -> None:
    log = tmp_path / "var/log/kubelet.log"
    log.parent.mkdir(parents=True)
    log.write_text(refusal())
    reader = KubeletLog.begin(Root(tmp_path), MANIFEST, PodName(), since=CHANGED)
    assert reader.source == str(log)

    with log.open("a") as file:
        file.write(line)

    assert [crash.name for crash in reader.look()] == (["volume-name-twice"] if counts else [])
    assert reader.look() == []


def test_a_log_that_was_truncated_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")
    reader = Appended(path)
    path.write_text("a\n")

    assert reader.lines() == ["a"]


SERVER = Process(7, 100.0, ("kube-apiserver", "--x=1"))


def crashed(kind: CrashKind, says: str = "apiserver", name: str = "n") -> Crash:
    return Crash(
        name=name, words="own words", heals=kind is not CrashKind.FINAL, cause="cause", fix="fix", kind=kind, says=says
    )


REFUSED = crashed(CrashKind.FINAL, KUBELET, "refused")


FINAL, TRANSIENT = crashed(CrashKind.FINAL), crashed(CrashKind.TRANSIENT)

SEEN = Evidence(port=6443, kubelet_runs=True, kubelet_log="journal")


@pytest.mark.parametrize(
    ("seen", "state", "certain"),
    [
        (replace(SEEN, process=SERVER, as_manifest=True, readiness=Readiness.READY), ServerState.SERVING, True),
        (
            replace(SEEN, process=SERVER, as_manifest=True, readiness=Readiness.NOT_READY, failing=("etcd",)),
            ServerState.NOT_READY,
            True,
        ),
        (
            replace(SEEN, process=SERVER, as_manifest=True, readiness=Readiness.UNREACHABLE),
            ServerState.NOT_READY,
            False,
        ),
        (replace(SEEN, process=SERVER, stray="/m/kube-apiserver.yaml.bak"), ServerState.WRONG_PROCESS, True),
        (replace(SEEN, process=SERVER, kubelet_runs=False), ServerState.WRONG_PROCESS, True),
        (replace(SEEN, process=SERVER), ServerState.WRONG_PROCESS, False),
        (replace(SEEN, process=SERVER, changed_seconds=5), ServerState.STARTING, False),
        (
            replace(SEEN, process=SERVER, as_manifest=True, is_older=True, kubelet=REFUSED),
            ServerState.NEVER_STARTED,
            True,
        ),
        (
            replace(SEEN, process=SERVER, as_manifest=True, kubelet=REFUSED, readiness=Readiness.READY),
            ServerState.SERVING,
            True,
        ),
        (replace(SEEN, container=FINAL, kubelet=TRANSIENT), ServerState.CRASH_LOOPING, True),
        (replace(SEEN, container=TRANSIENT), ServerState.CRASH_LOOPING, False),
        (replace(SEEN, container=TRANSIENT, kubelet=REFUSED), ServerState.NEVER_STARTED, True),
        (replace(SEEN, kubelet=REFUSED), ServerState.NEVER_STARTED, True),
        (replace(SEEN, kubelet=crashed(CrashKind.TRANSIENT, KUBELET, "crash-loop")), ServerState.CRASH_LOOPING, False),
        (replace(SEEN, kubelet_runs=False), ServerState.NO_KUBELET, True),
        (replace(SEEN, kubelet=TRANSIENT, stopped_kubelet=7), ServerState.NO_KUBELET, True),
        (replace(SEEN, taken=True), ServerState.NOT_READY, True),
        (replace(SEEN, taken=True, sees_all=False), ServerState.UNSEEN, False),
        (replace(SEEN, changed_seconds=5, has_manifest=False), ServerState.NO_MANIFEST, True),
        (replace(SEEN, process=SERVER, changed_seconds=5, has_manifest=False), ServerState.NO_MANIFEST, True),
        (replace(SEEN, changed_seconds=5), ServerState.STARTING, False),
        (SEEN, ServerState.UNKNOWN, False),
        (replace(SEEN, live=False, kubelet_runs=False), ServerState.UNSEEN, False),
    ],
)
def test_the_verdict_follows_from_the_evidence(seen: Evidence, state: ServerState, certain: bool) -> None:
    verdict = judge(seen)

    assert (verdict.state, verdict.certain) == (state, certain)
    assert verdict.message
    assert verdict.fix or state in (ServerState.SERVING, ServerState.UNSEEN)


def test_a_crash_looping_server_that_is_met_listening_is_told_by_its_cause() -> None:
    """kube-apiserver binds its port before it reads its policy (seen on 1.36.2)."""
    listening = replace(SEEN, process=SERVER, as_manifest=True, readiness=Readiness.UNREACHABLE)

    assert judge(listening).check == "apiserver-ready"
    told = judge(replace(listening, container=FINAL))

    assert (told.state, told.check, told.certain) == (ServerState.NOT_READY, FINAL.name, False)


def test_the_checks_that_fail_are_read_from_a_refusing_readyz() -> None:
    body = b"[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/x failed: reason withheld\nreadyz check failed\n"

    assert failing_checks(body) == ("etcd", "poststarthook/x")
