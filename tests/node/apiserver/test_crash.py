"""Last words of kube-apiserver and of the kubelet: cause, place and next step, as recorded from real ones."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from foldernode import HERE, PLAIN

from auditctl import facts
from auditctl.facts import CrashKind
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.crash import KUBELET, Line, recognise, recognised, weightiest
from auditctl.node.kubelet import pod_logs
from auditctl.node.kubelet.diagnosis_place import SourceFile, Texts, placed

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
