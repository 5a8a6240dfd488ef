"""From the words of a server or a kubelet to the cause, the place in the user's own file, and the one edit."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from foldernode import HERE, PLAIN, FakeClock

from auditctl import facts
from auditctl.facts import CrashKind
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import Endpoint, Readiness, failing_checks
from auditctl.node.apiserver.crash import KUBELET, Crash, Line, recognise, recognised, weightiest
from auditctl.node.apiserver.credentials import NOBODY
from auditctl.node.apiserver.process import Process
from auditctl.node.change.files import Root
from auditctl.node.kubelet import diagnosis_recording, pod_logs
from auditctl.node.kubelet.diagnosis import Evidence, ServerState, judge
from auditctl.node.kubelet.diagnosis_attempts import Attempts
from auditctl.node.kubelet.diagnosis_place import SourceFile, Texts, placed
from auditctl.node.kubelet.diagnosis_recording import Recording
from auditctl.node.kubelet.kubelet_log import Appended, KubeletLog, stamp
from auditctl.node.kubelet.pod_logs import PodName
from auditctl.node.kubelet.restart import Failed, Restarted, RestartTarget, RestartWaiter
from auditctl.policy.load import load

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
POLICIES = {
    "policy-empty": ("", 1),
    "policy-no-rules": (HEAD + "rules: []\n", 1),
    "policy-unknown-level": (HEAD + "rules:\n- level: Metada\n", 4),
    "policy-level-missing": (HEAD + "rules:\n- users: [alice]\n", 4),
    "policy-bad-stage": (HEAD + "omitStages: [RequestResponse]\nrules:\n- level: Metadata\n", 3),
    "policy-stages-under-rules": (HEAD + "omitStages:\n- level: Metadata\nrules:\n- level: Metadata\n", 4),
    "policy-group-with-version": (HEAD + "rules:\n- level: Metadata\n  resources:\n  - group: apps/v1\n", 6),
    "policy-group-star": (HEAD + "rules:\n- level: Metadata\n  resources:\n  - group: '*'\n", 6),
    "policy-old-apiversion": ("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules:\n- level: Metadata\n", 1),
    "policy-no-apiversion": ("kind: Policy\nrules:\n- level: Metadata\n", 1),
    "policy-bad-indent": (HEAD + "rules:\n- level: Metadata\n verbs: [get]\n", 5),
    "policy-template-left-in": (HEAD + "rules:\n- level: {{level}}\n", 4),
    "policy-both-kinds-of-rule": (
        HEAD + "rules:\n- level: Metadata\n  resources:\n  - group: ''\n  nonResourceURLs: ['/api*']\n",
        7,
    ),
    "policy-unknown-field-accepted": (HEAD + "rules:\n- level: Metadata\n  resource: []\n", 5),
}
WEBHOOKS = {
    "webhook-empty": ("", 1),
    "webhook-no-server": ("clusters:\n- cluster: {}\n  name: c\ncurrent-context: x\n", 3),
    "webhook-not-yaml": ("clusters: [,\n", 1),
}


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / "golden/crashes" / name).read_text().splitlines()]


SERVER_ROWS = [
    pytest.param(row, id=f"{row['kubernetes']}-{row['fault']}") for row in rows("apiserver.jsonl") if row["log"]
]
KUBELET_ROWS = [pytest.param(row, id=row["fault"]) for row in rows("kubelet.jsonl") if row["kubelet"]]


def manifest_with(flags: list[str]) -> str:
    items = "".join(f"    - {flag}\n" for flag in flags)
    return PLAIN.read_text().replace("    - --allow-privileged=true\n", "    - --allow-privileged=true\n" + items)


def texts_of(row: dict[str, Any]) -> Texts:
    text = manifest_with(row["flags"])
    policy, webhook = POLICIES.get(row["fault"]), WEBHOOKS.get(row["fault"])
    manifest = None
    if "single-dash" not in row["fault"]:
        manifest = Manifest.of(Document.parse(text.replace("v1.36.2", f"v{row['kubernetes']}.2").encode(), "m.yaml"))
    return Texts(
        SourceFile("m.yaml", text.encode()),
        SourceFile("p.yaml", policy[0].encode()) if policy else None,
        SourceFile("w.yaml", webhook[0].encode()) if webhook else None,
        manifest,
    )


@pytest.mark.parametrize("row", SERVER_ROWS)
def test_every_golden_last_word_has_a_cause_a_place_and_a_next_step(row: dict[str, Any]) -> None:
    crash = recognise(row["log"])

    assert crash is not None
    assert crash.kind is (CrashKind.FINAL if row["exits"] else CrashKind.WARNING)
    located = placed(crash, texts_of(row))
    assert located.cause
    assert located.fix
    assert located.place is not None
    for known, file in ((POLICIES, "p.yaml"), (WEBHOOKS, "w.yaml")):
        if row["fault"] in known:
            assert (located.place.file, located.place.line) == (file, known[row["fault"]][1])
            return
    line = manifest_with(row["flags"]).splitlines()[located.place.line - 1]
    assert line.strip().removeprefix("- ") in row["flags"]
    assert line[located.place.column - 1] == "-"


@pytest.mark.parametrize("row", KUBELET_ROWS)
def test_every_golden_refusal_of_the_kubelet_is_named(row: dict[str, Any]) -> None:
    crash = weightiest(recognised(Line.of(line), KUBELET) for line in row["kubelet"])

    assert crash is not None
    names = {
        "policy-not-mounted": "crash-loop",
        "mount-field-misspelt": "crash-loop",
        "policy-host-file-missing": "volume-type",
        "manifest-broken-yaml": "manifest-yaml",
    }
    assert crash.name == names.get(row["fault"], row["fault"])
    assert crash.heals == (crash.name == "crash-loop")
    assert crash.cause
    assert crash.fix
    assert "\\" not in str(crash)


@pytest.mark.parametrize("row", [row for row in KUBELET_ROWS if row.values[0]["container"]])  # type: ignore[index]
def test_the_containers_own_words_name_the_file_that_it_lacks(row: dict[str, Any]) -> None:
    said = [text for _, text in pod_logs.joined(row["container"])]

    crash = recognise(said)

    assert crash is not None
    assert not crash.heals
    manifest = Manifest.of(Document.parse(manifest_with([]).encode(), "m.yaml"))
    located = placed(crash, Texts(SourceFile("m.yaml", manifest_with([]).encode()), manifest_read=manifest))
    assert crash.groups["path"] in located.cause


def test_a_file_that_no_mount_brings_in_is_said_to_be_so() -> None:
    text = manifest_with(["--audit-policy-file=/etc/kubernetes/audit/policy.yaml"])
    manifest = Manifest.of(Document.parse(text.encode(), "m.yaml"))
    words = 'E1121 21:21:44.4 1 run.go:72] "command failed" err="loading audit policy file: failed to read file path \\"/etc/kubernetes/audit/policy.yaml\\": open /etc/kubernetes/audit/policy.yaml: no such file or directory"'
    crash = recognise([words])
    assert crash is not None

    located = placed(crash, Texts(SourceFile("m.yaml", text.encode()), manifest_read=manifest))

    assert "no mount of the manifest brings it in" in located.cause
    assert str(located).startswith("m.yaml:")


@pytest.mark.parametrize(
    "words",
    [
        'E1121 21:21:44.1 1 run.go:72] "command failed" err="failed to create listener: failed to listen on 0.0.0.0:6443: listen tcp 0.0.0.0:6443: bind: address already in use"',
        'W1121 21:21:44.1 1 logging.go:55] [core] [Channel #1] grpc: addrConn.createTransport failed to connect to {Addr: "127.0.0.1:2379"}. Err: connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused"',
        "F1121 21:21:44.1 1 instance.go:226] Error creating leases: error creating storage factory: context deadline exceeded",
        'F1121 21:21:44.1 1 hooks.go:204] PostStartHook "rbac/bootstrap-roles" failed: unable to initialize roles: timed out waiting for the condition',
        'E1121 21:21:44.1 1 run.go:72] "command failed" err="some words of a version to come"',
    ],
    ids=["port", "etcd-refused", "etcd-deadline", "hook", "unknown-words"],
)
def test_what_time_may_mend_is_named_and_does_not_undo(words: str) -> None:
    crash = recognise([words])

    assert crash is not None
    assert crash.heals
    assert not crash.certain
    assert crash.fix


@pytest.mark.parametrize(
    "line",
    [
        'I1121 21:21:44.1 1 x.go:1] "command failed" err="loading audit policy file: failed decoding: yaml: line 4: x"',
        'E1121 21:21:44.1 1 wrap.go:54] "apiserver panic" agent="ensureLogFile: open /x: is a directory"',
        '{"kind":"Event","userAgent":"Error: unknown flag: --x"}',
    ],
)
def test_a_line_that_quotes_a_client_is_nobodys_last_word(line: str) -> None:
    assert recognise([line]) is None


def test_the_last_word_outweighs_the_noise_after_it() -> None:
    noise = "W1121 21:21:45.1 1 x.go:1] dial tcp 127.0.0.1:2379: connect: connection refused"

    crash = recognise([noise, "Error: unknown flag: --audit-log-max-size", noise])

    assert crash is not None
    assert (crash.name, crash.heals) == ("flag-unknown", False)


def test_a_password_in_a_webhooks_address_is_not_told() -> None:
    crash = recognise(
        [
            'E1121 21:21:44.1 1 run.go:72] "command failed" err="initializing audit webhook: host must be a URL or a host:port pair: \\"ftp://me:secret@x y\\""'
        ]
    )

    assert crash is not None
    assert "secret" not in repr(crash)


def test_a_likely_spelling_is_named_and_an_older_server_too() -> None:
    text = manifest_with(["--audit-log-max-size=5"])
    manifest = Manifest.of(Document.parse(text.encode(), "m.yaml"))
    crash = recognise(["Error: unknown flag: --audit-log-max-size"])
    assert crash is not None
    assert placed(crash, Texts(SourceFile("m.yaml", text.encode()), manifest_read=manifest)).fix == (
        "did you mean --audit-log-maxsize?"
    )

    text = manifest_with(["--audit-log-compress=true"]).replace("v1.36.2", "v1.19.0")
    manifest = Manifest.of(Document.parse(text.encode(), "m.yaml"))
    crash = recognise(["Error: unknown flag: --audit-log-compress"])
    assert crash is not None
    assert "from 1.20 on" in placed(crash, Texts(SourceFile("m.yaml", text.encode()), manifest_read=manifest)).fix


def test_a_policy_that_was_repaired_since_is_not_blamed() -> None:
    crash = recognise(
        [
            'E1121 21:21:44.1 1 run.go:72] "command failed" err="loading audit policy file: loaded illegal policy with 0 rules: from file /p"'
        ]
    )
    assert crash is not None
    good = SourceFile("p.yaml", (HEAD + "rules:\n- level: Metadata\n").encode())

    located = placed(crash, Texts(SourceFile("m.yaml", b""), good))

    assert "changed since" in located.cause
    assert located.fix == "auditctl restart"


def test_every_pattern_has_sentences_that_its_groups_fill() -> None:
    for says in ("apiserver", KUBELET):
        for fact in facts.crashes(says):
            groups = dict.fromkeys(re.compile(fact.pattern).groupindex, "X")
            assert fact.cause.format_map(groups)
            assert fact.fix.format_map(groups)
            fact.at.format_map(groups)


# -- container logs


def test_parts_of_a_line_are_joined_by_stream() -> None:
    lines = [
        "2026-11-21T21:26:27.1Z stderr P Error: unknown ",
        "2026-11-21T21:26:27.2Z stdout F something else",
        "2026-11-21T21:26:27.3Z stderr F flag: --x",
    ]

    assert [text for _, text in pod_logs.joined(lines)] == ["something else", "Error: unknown flag: --x"]


def test_dockers_json_lines_are_read_too() -> None:
    line = json.dumps({"log": "Error: unknown flag: --x\n", "stream": "stderr", "time": "2026-11-21T21:26:27.3Z"})

    assert list(pod_logs.joined([line])) == [("2026-11-21T21:26:27.3Z", "Error: unknown flag: --x")]


def test_a_log_that_was_rotated_a_moment_ago_has_its_end_beside_it(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_text("")
    (tmp_path / "0.log.20261121-212144").write_text("2026-11-21T21:26:27.1Z stderr F last words\n")

    assert pod_logs.last_lines(tmp_path / "0.log") == ["last words"]


def attempt(root: Path, uid: str, number: int, *lines: str) -> Path:
    path = root / f"var/log/pods/kube-system_kube-apiserver-node_{uid}/kube-apiserver/{number}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"2026-11-21T21:26:27.1Z stderr F {line}\n" for line in lines)
    return path


def test_only_starts_after_the_change_count_and_only_new_bytes_are_read(tmp_path: Path) -> None:
    attempt(tmp_path, "old", 0, "Error: unknown flag: --old")
    attempts = Attempts.from_now(Root(tmp_path), PodName(), broken=False)
    assert attempts.look() is None

    path = attempt(tmp_path, "new", 0, "Flag --x has been deprecated")
    assert attempts.look() is None
    with path.open("a") as file:
        file.write("2026-11-21T21:26:28.1Z stderr F Error: unknown fl")
    assert attempts.look() is None
    with path.open("a") as file:
        file.write("ag: --new\n")

    crash = attempts.look()
    assert crash is not None
    assert crash.groups["flag"] == "new"
    assert crash.at == "2026-11-21T21:26:28.1Z"
    attempt(tmp_path, "new", 1)
    assert attempts.look() == crash  # the next one has said nothing yet


def test_the_inode_of_a_removed_log_may_be_the_next_ones(tmp_path: Path) -> None:
    """ext4 hands it out again at once, and the kubelet removes the log before the last at each restart."""
    old = attempt(tmp_path, "pod", 0, "Error: unknown flag: --old")
    attempts = Attempts.from_now(Root(tmp_path), PodName(), broken=False)
    inode = old.stat().st_ino
    old.rename(old.with_name("1.log"))

    path = attempt(tmp_path, "pod", 1, "Error: unknown flag: --new")

    assert path.stat().st_ino == inode
    crash = attempts.look()
    assert crash is not None
    assert crash.groups["flag"] == "new"


def test_a_pod_that_was_dying_before_the_change_is_not_listened_to(tmp_path: Path) -> None:
    attempt(tmp_path, "old", 0, "Error: unknown flag: --old")
    attempts = Attempts.from_now(Root(tmp_path), PodName(), broken=True)

    attempt(tmp_path, "old", 1, "Error: unknown flag: --old")

    assert attempts.look() is None


# -- the kubelet's log

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


# -- the verdict

SERVER = Process(7, 100.0, ("kube-apiserver", "--x=1"))


def crashed(kind: CrashKind, says: str = "apiserver", name: str = "n") -> Crash:
    return Crash(
        name=name, words="own words", heals=kind is not CrashKind.FINAL, cause="cause", fix="fix", kind=kind, says=says
    )


FINAL, TRANSIENT = crashed(CrashKind.FINAL), crashed(CrashKind.TRANSIENT)
REFUSED = crashed(CrashKind.FINAL, KUBELET, "refused")
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


# -- ready, but not recording

LOGGING = [
    "--audit-policy-file=/etc/kubernetes/pki/p.yaml",
    "--audit-log-path=/etc/kubernetes/pki/audit.log",
]


def recording(flags: list[str], policy: str = HEAD + "rules:\n- level: Metadata\n", **more: Any) -> list[str]:
    manifest = Manifest.of(Document.parse(manifest_with(flags).encode(), "m.yaml"))
    usual = Recording(
        manifest=manifest, policy=load(policy.encode()).policy, host_log="/host/audit.log", log_there=True
    )
    return [finding.check for finding in diagnosis_recording.judge(replace(usual, **more))]


def test_a_server_that_records_is_left_in_peace() -> None:
    assert recording(LOGGING, open_files=("/etc/kubernetes/pki/audit.log",), free_bytes=1 << 30) == []
    assert recording(LOGGING, open_files=()) == []  # opened at the first event only


@pytest.mark.parametrize(
    ("flags", "more", "check"),
    [
        ([], {}, "auditing-off"),
        (LOGGING[1:], {}, "no-policy"),
        (LOGGING[:1], {}, "no-backend"),
        (LOGGING, {"policy": HEAD + "rules:\n- level: None\n"}, "policy-records-nothing"),
        (LOGGING, {"policy": HEAD + "rules:\n- level: None\n- level: Metadata\n"}, "policy-records-nothing"),
        (
            LOGGING,
            {
                "policy": HEAD
                + "omitStages: [RequestReceived, ResponseStarted, ResponseComplete, Panic]\nrules:\n- level: Metadata\n"
            },
            "policy-records-nothing",
        ),
        (LOGGING, {"host_log": ""}, "log-not-mounted"),
        (LOGGING, {"open_files": ("/etc/kubernetes/pki/audit.log (deleted)",)}, "dead-log"),
        (LOGGING, {"open_files": ("/etc/kubernetes/pki/audit.log.1",)}, "dead-log"),
        (LOGGING, {"free_bytes": 0}, "disk-full"),
        ([*LOGGING, "--audit-log-mode=batch", "--audit-log-batch-max-wait=30s"], {}, "batch-delay"),
        (LOGGING, {"said": crashed(CrashKind.WARNING, name="rotation-impossible")}, "rotation-impossible"),
        ([LOGGING[0], "--audit-log-path=-"], {}, "log-standard-output"),
    ],
)
def test_what_keeps_events_away_is_named(flags: list[str], more: dict[str, Any], check: str) -> None:
    assert recording(flags, **more) == [check]


def test_a_log_that_is_not_written_any_more_makes_another_path_a_warning() -> None:
    """D11: whoever reads the older file believes that nothing happens."""
    text = manifest_with(LOGGING).replace("      path: /etc/kubernetes/pki\n", "      path: /data/pki\n")
    evidence = Recording(
        manifest=Manifest.of(Document.parse(text.encode(), "m.yaml")),
        host_log="/data/pki/audit.log",
        log_there=True,
        older_log="/etc/kubernetes/pki/audit.log",
    )

    (finding,) = diagnosis_recording.judge(evidence)

    assert (finding.check, finding.severity.value) == ("log-elsewhere", "warning")
    assert "/etc/kubernetes/pki/audit.log is another file, and the API server does not write it" in finding.message


def test_a_log_that_has_another_path_on_the_host_is_told_with_it() -> None:
    """Whoever reads at the flag's path finds nothing there."""
    text = manifest_with(LOGGING)
    moved = text.replace("      path: /etc/kubernetes/pki\n", "      path: /data/pki\n")
    assert moved != text
    manifest = Manifest.of(Document.parse(moved.encode(), "m.yaml"))
    evidence = Recording(manifest=manifest, host_log="/data/pki/audit.log", log_there=True)

    (finding,) = diagnosis_recording.judge(evidence)

    assert (finding.check, finding.severity.value) == ("log-elsewhere", "info")
    assert "/etc/kubernetes/pki/audit.log; on this node that file is /data/pki/audit.log" in finding.message


# -- the wait

PORT = 1  # nobody listens there


def watch_with(folder: Path, line: str | None) -> tuple[Failed | Restarted, float]:
    """Wait on a folder where, after a while, a container says `line`."""
    path = folder / "etc/kubernetes/manifests/kube-apiserver.yaml"
    path.parent.mkdir(parents=True)
    text = manifest_with(["--audit-log-mode=async"])
    path.write_text(text)
    manifest = Manifest.of(Document.parse(text.encode(), str(path)))
    clock = FakeClock()

    def tell(_text: str, seconds: float) -> None:
        if line is not None and 3 <= seconds < 3.2:
            attempt(folder, "new", 0, line)

    watch = RestartWaiter.begin(Root(folder), manifest, clock, tell)
    expected = RestartTarget(
        command=manifest.command, renamed_at=clock.boot(), endpoint=Endpoint("127.0.0.1", PORT), credentials=NOBODY
    )
    return watch.wait(expected, timeout=60, drain=0, outgoing=None), clock.passed


def test_a_fatal_word_ends_the_wait_within_two_seconds(tmp_path: Path) -> None:
    words = 'E1121 21:21:44.1 1 run.go:72] "command failed" err="invalid audit log mode async, allowed modes are \\"batch,blocking,blocking-strict\\""'

    failed, passed = watch_with(tmp_path, words)

    assert isinstance(failed, Failed)
    assert passed <= 5.0
    assert failed.crash is not None
    assert failed.crash.place is not None
    place = failed.crash.place
    assert "--audit-log-mode=async" in Path(place.file).read_text().splitlines()[place.line - 1]
    assert "\n" not in str(failed)


def test_a_word_that_time_may_mend_does_not(tmp_path: Path) -> None:
    words = 'E1121 21:21:44.1 1 run.go:72] "command failed" err="listen tcp 0.0.0.0:6443: bind: address already in use"'

    failed, passed = watch_with(tmp_path, words)

    assert isinstance(failed, Failed)
    assert passed >= 60
    assert failed.crash is not None
    assert failed.crash.name == "port-in-use"


def test_silence_waits_for_the_deadline(tmp_path: Path) -> None:
    failed, passed = watch_with(tmp_path, None)

    assert isinstance(failed, Failed)
    assert failed.crash is None
    assert passed >= 60


def test_the_checks_that_fail_are_read_from_a_refusing_readyz() -> None:
    body = b"[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/x failed: reason withheld\nreadyz check failed\n"

    assert failing_checks(body) == ("etcd", "poststarthook/x")
