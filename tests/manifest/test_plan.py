"""What enable and disable change, told by the texts before and after."""

from __future__ import annotations

import pytest

from auditctl.errors import BugError, ManifestError, RefusedError
from auditctl.findings import Severity
from auditctl.manifest.plan import Edit, Plan, plan_annotation, plan_disable, prove
from auditctl.settings import Settings

from .pods import annotated, disabled, enabled, enabling, manifest, small, with_flags, with_mount

POLICY = "--audit-policy-file=/etc/kubernetes/audit/policy.yaml"
LOG = "--audit-log-path=/var/log/kubernetes/audit/audit.log"
ROTATION = ("--audit-log-maxage=30", "--audit-log-maxbackup=10", "--audit-log-maxsize=100")
ENABLED = (*ROTATION, LOG, POLICY)
DIGEST = "0123456789abcdef" * 4


def lines_added(before: str, after: str) -> list[str]:
    """The lines that ``after`` has more; fails where one of ``before`` is missing or out of place."""
    rest, added = list(before.splitlines()), []
    for line in after.splitlines():
        if rest and line == rest[0]:
            rest.pop(0)
        else:
            added.append(line)
    assert rest == []
    return added


def audit_flags(text: str) -> dict[str, str]:
    return manifest(text).audit_flags


def refusal(text: str, asked: Settings | None = None) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        enabling(text, asked)
    return caught.value


# --- flags: which


def test_a_first_enable_sets_policy_log_and_rotation() -> None:
    assert audit_flags(enabled(small())) == {
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
        "audit-log-path": "/var/log/kubernetes/audit/audit.log",
        "audit-policy-file": "/etc/kubernetes/audit/policy.yaml",
    }


def test_a_second_enable_changes_only_what_its_options_name() -> None:
    before = enabled(small(), Settings(log_maxage_days=7, set_flags={"audit-log-compress": "true"}))
    plan = enabling(before, Settings(log_maxsize_megabytes=50))
    assert plan.patch == [{"op": "replace", "path": "/spec/containers/0/command/5", "value": "--audit-log-maxsize=50"}]
    assert plan.after == before.replace("maxsize=100", "maxsize=50")
    assert "--audit-log-maxsize=50: asked for" in plan.edits[0].reason


def test_the_manifests_own_values_stay() -> None:
    own = ("--audit-log-maxage=1", "--audit-log-path=-", "--audit-policy-file=/etc/kubernetes/pki/policy.yaml")
    assert not enabling(with_flags(*own)).changes


def test_rotation_is_filled_in_only_for_a_log_file_and_not_where_it_is_unset() -> None:
    asked = Settings(unset_flags=frozenset({"--audit_log_maxage"}))
    assert set(audit_flags(enabled(small(), asked))) & {"audit-log-maxage", "audit-log-maxbackup"} == {
        "audit-log-maxbackup"
    }
    assert set(audit_flags(enabled(small(), Settings(log_path="-")))) == {"audit-log-path", "audit-policy-file"}
    assert audit_flags(enabled(small(), Settings(log_path="-", log_maxage_days=3)))["audit-log-maxage"] == "3"


def test_an_empty_value_counts_as_not_set() -> None:
    text = with_flags("--audit-policy-file=", "--audit-log-path=")
    assert audit_flags(enabled(text)) == audit_flags(enabled(small()))


def test_a_manifest_with_a_webhook_gets_no_log_unless_it_is_asked_for() -> None:
    text = with_flags("--audit-webhook-config-file=/etc/kubernetes/pki/hook.yaml")
    assert set(audit_flags(enabled(text))) == {"audit-policy-file", "audit-webhook-config-file"}
    assert "audit-log-path" in audit_flags(enabled(text, Settings(log=True)))
    assert audit_flags(enabled(text, Settings(log_path="/var/log/a/b.log")))["audit-log-path"] == "/var/log/a/b.log"
    assert "audit-log-path" in audit_flags(enabled(text, Settings(webhook=False)))
    assert set(audit_flags(enabled(text, Settings(unset_flags=frozenset({"audit-log-path"}))))) == {
        "audit-policy-file",
        "audit-webhook-config-file",
    }


def test_webhook_takes_the_manifests_path_else_ours() -> None:
    ours = audit_flags(enabled(small(), Settings(webhook=True)))
    assert ours["audit-webhook-config-file"] == "/etc/kubernetes/audit/webhook.yaml"
    assert ours["audit-log-path"] == "/var/log/kubernetes/audit/audit.log"
    theirs = with_flags("--audit-webhook-config-file=/etc/kubernetes/pki/hook.yaml")
    assert (
        audit_flags(enabled(theirs, Settings(webhook=True)))["audit-webhook-config-file"]
        == "/etc/kubernetes/pki/hook.yaml"
    )
    named = Settings(webhook=True, set_flags={"audit-webhook-config-file": "/etc/kubernetes/audit/x.yaml"})
    assert audit_flags(enabled(theirs, named))["audit-webhook-config-file"] == "/etc/kubernetes/audit/x.yaml"


def test_no_webhook_and_no_log_take_out_their_flags_and_mounts() -> None:
    both = enabled(small(), Settings(webhook=True, set_flags={"audit-webhook-mode": "batch"}))
    assert enabled(both, Settings(webhook=False)) == enabled(small())
    hook_only = enabled(both, Settings(log=False))
    assert set(audit_flags(hook_only)) == {"audit-policy-file", "audit-webhook-config-file", "audit-webhook-mode"}
    assert [volume.name for volume in manifest(hook_only).volumes] == ["audit-policy", "audit-webhook", "k8s-certs"]


def test_set_and_unset_take_any_audit_flag_in_any_spelling() -> None:
    text = enabled(small(), Settings(set_flags={"--audit_log_mode": "batch", "audit-log-batch-throttle-qps": "1.5"}))
    assert audit_flags(text)["audit-log-mode"] == "batch"
    assert audit_flags(text)["audit-log-batch-throttle-qps"] == "1.5"
    assert enabled(
        text, Settings(unset_flags=frozenset({"audit-log-mode", "--audit_log_batch_throttle_qps"}))
    ) == enabled(small())


@pytest.mark.parametrize(
    ("asked", "check", "word"),
    [
        (Settings(log=False), "no-backend", "nothing would be recorded"),
        (Settings(unset_flags=frozenset({"audit-log-path"})), "no-backend", "log path unset"),
        (Settings(log=False, log_path="-"), "settings", "no log"),
        (Settings(log=False, webhook=True, log_maxage_days=1), "settings", "no log"),
        (Settings(webhook=False, set_flags={"audit-webhook-mode": "batch"}), "settings", "no webhook"),
        (Settings(log_maxage_days=1, unset_flags=frozenset({"audit-log-maxage"})), "settings", "both set and unset"),
        (Settings(log_maxage_days=1, set_flags={"audit-log-maxage": "2"}), "settings", "twice"),
        (Settings(unset_flags=frozenset({"audit-policy-file"})), "settings", "without a policy"),
        (Settings(set_flags={"audit-policy-file": ""}), "path", "no absolute path"),
        (Settings(policy_path="/a/b", log_path="/a/b"), "settings", "one path"),
        (Settings(set_flags={"audit-log-maxsise": "1"}), "unknown-flag", "no audit flag"),
        (Settings(unset_flags=frozenset({"profiling"})), "unknown-flag", "no audit flag"),
        (Settings(log_maxage_days=-1), "flag-value", "from 0 on"),
        (Settings(set_flags={"audit-log-maxage": "x"}), "flag-value", "no int"),
        (Settings(set_flags={"audit-log-compress": "yes"}), "flag-value", "no bool"),
        (Settings(set_flags={"audit-log-batch-max-wait": "5"}), "flag-value", "no duration"),
        (Settings(set_flags={"audit-log-batch-throttle-qps": "x"}), "flag-value", "no float"),
        (Settings(set_flags={"audit-log-truncate-max-event-size": "1.5"}), "flag-value", "no int64"),
        (Settings(set_flags={"audit-log-mode": "a\nb"}), "flag-value", "no string"),
    ],
)
def test_settings_that_cannot_work_are_refused(asked: Settings, check: str, word: str) -> None:
    refused = refusal(small(), asked)
    assert refused.check == check
    assert word in refused.message


def test_a_misspelt_flag_gets_a_suggestion() -> None:
    assert refusal(small(), Settings(set_flags={"audit-log-maxsise": "1"})).fix == "did you mean --audit-log-maxsize?"
    assert refusal(small(), Settings(set_flags={"zzz": "1"})).fix == "`auditctl flags` lists them all"


@pytest.mark.parametrize("value", ["90s", "1m30s", "-1.5h", "0", "5µs"])
def test_durations_are_those_of_go(value: str) -> None:
    assert (
        audit_flags(enabled(small(), Settings(set_flags={"audit-log-batch-max-wait": value})))[
            "audit-log-batch-max-wait"
        ]
        == value
    )


def test_a_flag_that_the_server_does_not_know_yet_is_refused() -> None:
    old = small((":v1.31.14", ":v1.19.3"))
    assert refusal(old, Settings(set_flags={"audit-log-compress": "true"})).check == "flag-version"
    assert enabling(old, Settings(log_maxage_days=1)).changes
    assert enabling(small((":v1.31.14", ":v1.18.3")), Settings(log_maxage_days=1)).changes
    assert enabling(small((":v1.31.14", ":v1.20.0")), Settings(set_flags={"audit-log-compress": "true"})).changes


def test_a_server_without_audit_policies_is_warned_about() -> None:
    findings = enabling(small((":v1.31.14", ":v1.6.0"))).findings
    assert [(finding.check, finding.severity) for finding in findings] == [("too-old-server", Severity.WARNING)]
    assert enabling(small((":v1.31.14", ":v1.7.0"))).findings == ()
    assert enabling(small((":v1.31.14", ""))).findings == ()


# --- flags: where


def command(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("- --", "#", "- kube"))]


def test_in_a_sorted_list_of_a_sorting_kubeadm_flags_go_in_order() -> None:
    assert command(enabled(small())) == [
        "- kube-apiserver",
        "- --allow-privileged=true",
        *(f"- {flag}" for flag in ENABLED),
        "- --secure-port=6443",
    ]
    first = small(("    - --allow-privileged=true\n", ""))
    assert command(enabled(first)) == ["- kube-apiserver", *(f"- {flag}" for flag in ENABLED), "- --secure-port=6443"]


@pytest.mark.parametrize("text", [small((":v1.31.14", ":v1.36.0")), small(("--allow-privileged=true", "--v=2"))])
def test_else_they_go_to_the_end(text: str) -> None:
    assert command(enabled(text))[3:] == [f"- {flag}" for flag in ENABLED]


def test_beside_audit_flags_they_are_sorted_among_them() -> None:
    text = with_flags("--audit-log-maxbackup=1", "--audit-policy-file=/etc/kubernetes/pki/p", "--v=2")
    assert command(enabled(text))[3:] == [
        "- --audit-log-maxage=30", "- --audit-log-maxbackup=1", "- --audit-log-maxsize=100", f"- {LOG}",
        "- --audit-policy-file=/etc/kubernetes/pki/p", "- --v=2",
    ]  # fmt: skip


def test_a_flag_never_parts_another_from_its_value() -> None:
    text = with_flags("--audit-log-maxbackup", "'1'", "--v", "'2'")
    text = text.replace("    - --allow-privileged=true\n", "")
    items = manifest(enabled(text)).command
    assert items[items.index("--audit-log-maxbackup") + 1] == "1"
    assert items[items.index("--v") + 1] == "2"
    assert audit_flags(enabled(text)) == audit_flags(enabled(small())) | {"audit-log-maxbackup": "1"}


def test_where_the_last_item_has_a_comment_below_it_the_place_is_above() -> None:
    new = small((":v1.31.14", ":v1.36.0"), ("    image:", "    # the image\n    image:"))
    assert command(enabled(new)) == [
        "- kube-apiserver", "- --allow-privileged=true", *(f"- {flag}" for flag in ENABLED), "- --secure-port=6443", "# the image",
    ]  # fmt: skip


def test_where_every_place_touches_a_comment_it_is_directly_behind_the_last_item() -> None:
    text = small(
        ("    - --allow", "    # a\n    - --allow"),
        ("    - --secure", "    # b\n    - --secure"),
        ("    image:", "    # c\n    image:"),
    )
    assert command(enabled(text)) == [
        "- kube-apiserver", "# a", "- --allow-privileged=true", "# b", "- --secure-port=6443", *(f"- {flag}" for flag in ENABLED), "# c",
    ]  # fmt: skip


def test_beside_audit_flags_with_comments_the_nearest_clean_place_among_them_comes_first() -> None:
    text = with_flags(
        "--v=2\n    # why", "--audit-log-maxbackup=1\n    # and", "--audit-policy-file=/etc/kubernetes/pki/p"
    )
    assert command(enabled(text))[-4:] == [
        "- --audit-policy-file=/etc/kubernetes/pki/p",
        "- --audit-log-maxage=30",
        "- --audit-log-maxsize=100",
        f"- {LOG}",
    ]


def test_flags_go_to_args_where_the_flags_are_there() -> None:
    args = small(
        (
            "    - --allow-privileged=true\n    - --secure-port=6443\n",
            "    args:\n    - --allow-privileged=true\n    - --secure-port=6443\n",
        )
    )
    pod = manifest(enabled(args))
    assert {flag.item.list_path[-1] for flag in pod.flag_list if flag.is_audit} == {"args"}
    first = args.replace("    - --allow-privileged=true\n", "")
    assert disabled(enabled(first)) == first
    assert command(enabled(first))[1] == "- --audit-log-maxage=30"
    audit_first = small(
        ("    - --secure-port=6443\n    image:", "    - --audit-log-maxage=1\n    args:\n    - --v=2\n    image:")
    )
    pod = manifest(enabled(audit_first))
    assert {flag.item.list_path[-1] for flag in pod.flag_list if flag.is_audit} == {"command"}


def test_a_new_item_looks_like_its_neighbours() -> None:
    assert "      -   --audit-log-maxage=30\n" in enabled(
        small(("    - kube", "      -   kube"), ("    - --a", "      -   --a"), ("    - --s", "      -   --s"))
    )
    assert '    - "--audit-log-path=/var/log/a/b: c"' in enabled(small(), Settings(log_path="/var/log/a/b: c"))


# --- flags: changes in their own spelling


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-maxage=1", "--audit-log-maxage=7"),
        ("--audit_log_maxage=1 # days", "--audit_log_maxage=7 # days"),
        ("'--audit-log-maxage=1'", "'--audit-log-maxage=7'"),
        ('"--audit-log-maxage=1"', '"--audit-log-maxage=7"'),
        ("|-\n      --audit-log-maxage=1", "|-\n      --audit-log-maxage=7"),
        ("--audit-log-maxage\n    - '1'", "--audit-log-maxage\n    - '7'"),
        ("!!str --audit-log-maxage=1", "!!str --audit-log-maxage=7"),
        ("--audit-log-maxage=", "--audit-log-maxage=7"),
    ],
)
def test_a_changed_value_keeps_its_spelling(old: str, new: str) -> None:
    text = enabled(with_flags(old))
    assert enabled(text, Settings(log_maxage_days=7)) == text.replace(old, new)


def test_a_bool_without_a_value_gets_one() -> None:
    text = enabled(with_flags("--audit-log-compress"))
    after = enabled(text, Settings(set_flags={"audit-log-compress": "false"}))
    assert after == text.replace("--audit-log-compress", "--audit-log-compress=false")
    assert not enabling(text, Settings(set_flags={"audit-log-compress": "true"})).changes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--audit-log-mode=x", '"--audit-log-mode=a: b"'),
        ("'--audit-log-mode=x'", "'--audit-log-mode=a: b'"),
        ('"--audit-log-mode=x"', '"--audit-log-mode=a: b"'),
    ],
)
def test_a_value_that_plain_yaml_would_misread_is_quoted(old: str, new: str) -> None:
    text = enabled(with_flags(old))
    assert enabled(text, Settings(set_flags={"audit-log-mode": "a: b"})) == text.replace(old, new)


def test_quotes_and_backslashes_are_escaped_in_the_scalars_own_way() -> None:
    for old in ("--audit-log-mode=x", "'--audit-log-mode=x'", '"--audit-log-mode=x"', "|-\n      --audit-log-mode=x"):
        text = enabled(with_flags(old), Settings(set_flags={"audit-log-mode": "a 'b' \"c\" \\ #d"}))
        assert audit_flags(text)["audit-log-mode"] == "a 'b' \"c\" \\ #d"


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ('"--audit-log-\\x6daxage=1"', "cannot be changed exactly"),
        ("'--audit-log-mode=it''s'", "cannot be changed exactly"),
        ("--audit-log-mode=a\n      b", "cannot be changed exactly"),
        ("&x --audit-log-maxage=1", "anchor"),
    ],
)
def test_a_value_that_cannot_be_changed_exactly_is_refused(item: str, word: str) -> None:
    assert (
        word
        in refusal(with_flags(item), Settings(set_flags={"audit-log-maxage": "7", "audit-log-mode": "batch"})).message
    )


def test_an_alias_in_the_way_is_refused_and_beside_the_way_it_is_not() -> None:
    aliased = (
        with_flags("--audit-log-maxage=1")
        .replace("  labels:", "  annotations:\n    x: &x --audit-log-maxage=1\n  labels:")
        .replace("- --audit-log-maxage=1", "- *x")
    )
    assert "alias" in refusal(aliased, Settings(log_maxage_days=7)).message
    assert audit_flags(disabled(enabled(aliased))) == {}
    used = (
        with_flags("&x --audit-log-maxage=1")
        .replace("  labels:\n", "  labels:\n")
        .replace("status: {}", "status: {a: *x}")
    )
    with pytest.raises(ManifestError, match="anchor"):
        plan_disable(manifest(used))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (small(("    - kube-apiserver\n    - --allow-privileged=true\n    - --secure-port=6443\n", "")).replace("command:", "command: [kube-apiserver, --v=2]"), "flow style"),
        (small(("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", "    volumeMounts: []\n")), "flow style"),
        (small(("  volumes:\n  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name: k8s-certs\n", "  volumes:\n")), "has no entries"),
        (small(("command:", "command: &c")), "anchor &c"),
        (small(("spec:", "spec: &s")), "anchor &s"),
        (small(("command:", "command: !!seq")), "cannot be told apart"),
        (small(("  - command:\n    - kube-apiserver\n", "  - ? command\n    : - kube-apiserver\n")).replace("    - --", "      - --"), "cannot be told apart"),
        ("x: &x\n  volumes:\n  - {name: a, hostPath: {path: /a}}\n" + small(("  volumes:", "  <<: *x\n  y:")), "merge key"),
        ("x: &x\n- kube-apiserver\n- --v=2\n" + small(("    - kube-apiserver\n    - --allow-privileged=true\n    - --secure-port=6443\n", "")).replace("command:", "command: *x"), "is an alias"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_grow_exactly_is_refused(text: str, word: str) -> None:
    refused = refusal(text)
    assert word in refused.message
    assert refused.place


def test_a_flow_list_that_does_not_change_is_no_obstacle() -> None:
    text = small(
        ("    - --allow-privileged=true\n    - --secure-port=6443\n", "    args:\n    - --v=2\n"),
        ("command:\n    - kube-apiserver", "command: [kube-apiserver]"),
    )
    assert disabled(enabled(text)) == text


# --- mounts and volumes


def test_missing_lists_are_made_where_kubeadm_has_them_and_go_again() -> None:
    text = small(
        ("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", ""),
        ("  volumes:\n  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name: k8s-certs\n", "  securityContext: {}\n"),
    )  # fmt: skip
    after = enabled(text)
    assert (
        "    name: kube-apiserver\n    volumeMounts:\n    - mountPath: /var/log/kubernetes/audit\n      name: audit-log\n"
        in after
    )
    assert "  securityContext: {}\n  volumes:\n  - hostPath:\n      path: /var/log/kubernetes/audit\n" in after
    assert disabled(after) == text
    indented = text.replace("    - ", "      - ")
    assert "    volumeMounts:\n      - mountPath: /var/log/kubernetes/audit\n        name: audit-log\n" in enabled(
        indented
    )


def test_new_volumes_are_indented_as_those_that_are_there() -> None:
    text = small(
        (
            "  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name",
            "    -  hostPath:\n           path: /etc/kubernetes/pki\n           type: DirectoryOrCreate\n       name",
        )
    )
    assert (
        "    -  hostPath:\n           path: /var/log/kubernetes/audit\n           type: DirectoryOrCreate\n       name: audit-log\n"
        in enabled(text)
    )


def test_in_an_unsorted_list_new_volumes_go_to_the_end() -> None:
    names = [volume.name for volume in manifest(enabled(with_mount("/srv/x", "a"))).volumes]
    assert names == ["k8s-certs", "a", "audit-log", "audit-policy"]
    names = [mount.name for mount in manifest(enabled(with_mount("/srv/x", "zz"))).mounts]
    assert names == ["audit-log", "audit-policy", "k8s-certs", "zz"]


def test_a_comment_above_the_first_volume_stays_there() -> None:
    text = small(("  volumes:\n", "  volumes:\n  # certificates\n"))
    assert "  volumes:\n  # certificates\n  - hostPath:\n      path: /etc/kubernetes/pki\n" in enabled(text)


def test_a_covering_mount_is_adopted() -> None:
    covered = with_mount("/var/log", "logs").replace("/etc/kubernetes/pki", "/etc/kubernetes")
    after = enabled(covered)
    assert [volume.name for volume in manifest(after).volumes] == ["k8s-certs", "logs"]
    assert disabled(after) == covered


def test_a_taken_volume_name_is_not_used_again() -> None:
    text = with_mount("/srv/x", "audit-log", more="  - name: audit-log-2\n    hostPath: {path: /y}\n")
    assert {volume.name for volume in manifest(enabled(text)).volumes} == {
        "k8s-certs",
        "audit-log",
        "audit-log-2",
        "audit-log-3",
        "audit-policy",
    }
    assert disabled(enabled(text)) == text


def test_the_log_first_because_its_directory_may_cover_the_policy() -> None:
    text = enabled(small(), Settings(policy_path="/srv/audit/policy.yaml", log_path="/srv/audit/audit.log"))
    assert [mount.path for mount in manifest(text).mounts] == ["/srv/audit", "/etc/kubernetes/pki"]
    assert disabled(text) == small()


def test_a_log_below_a_read_only_mount_is_refused() -> None:
    text = with_mount("/var/log/kubernetes", "logs", mount_more="      readOnly: true\n")
    assert refusal(text).check == "read-only-log"


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (Settings(log_path="/var/log/audit.log"), "needs /var/log mounted whole"),
        (Settings(log_path="/audit.log"), "needs / mounted whole"),
        (Settings(log_path="/etc/kubernetes/audit.log"), "needs /etc/kubernetes mounted whole"),
        (Settings(log_path="/tmp/audit.log"), "needs /tmp mounted whole"),
        (Settings(log_path="/sys/kernel/audit/a.log"), "mounted whole"),
        (Settings(log_path="/var/log/audit/a.log"), "auditd"),
        (Settings(log_path="/dev/stdout"), "taken for a file"),
        (Settings(log_path="/proc/self/fd/1"), "taken for a file"),
        (Settings(log_path="/etc/kubernetes/manifests/a/a.log"), "in, at or above /etc/kubernetes/manifests"),
        (Settings(log_path="/etc/kubernetes/pki/a/a.log"), "in, at or above /etc/kubernetes/pki"),
        (Settings(log_path="/etc/kubernetes"), "in, at or above"),
        (Settings(log_path="audit.log"), "no absolute path"),
        (Settings(log_path="/var/log/kubernetes/"), "no absolute path"),
        (Settings(policy_path="/etc/kubernetes/manifests/../manifests/p.yaml"), "in, at or above"),
        (Settings(policy_path="/etc"), "in, at or above"),
        (Settings(policy_path="p.yaml"), "no absolute path"),
        (Settings(set_flags={"audit-webhook-config-file": "/etc/kubernetes/manifests/w"}), "in, at or above"),
        (Settings(policy_path="/srv/p"), "is a directory in the Pod"),
    ],
)
def test_a_path_that_cannot_be_is_refused_with_what_to_do(asked: Settings, word: str) -> None:
    refused = refusal(with_mount("/srv/p/q", "x"), asked)
    assert word in refused.message
    assert refused.fix


def test_a_mounted_directory_is_no_file() -> None:
    assert (
        "is a directory"
        in refusal(with_mount("/srv/p", "x", kind="DirectoryOrCreate"), Settings(policy_path="/srv/p")).message
    )
    assert enabling(with_mount("/srv/p", "x", kind="File"), Settings(policy_path="/srv/p")).changes


def test_paths_are_normalised() -> None:
    asked = Settings(
        log_path="//var/log//k/../kubernetes/audit/./audit.log",
        policy_path="/etc/kubernetes/audit/../audit/policy.yaml",
    )
    assert enabled(small(), asked) == enabled(small())


def test_a_new_path_takes_the_parts_of_the_old_one_with_it() -> None:
    moved = enabled(enabled(small()), Settings(log_path="/srv/audit/a.log", policy_path="/srv/p.yaml"))
    assert [mount.path for mount in manifest(moved).mounts] == ["/srv/audit", "/srv/p.yaml", "/etc/kubernetes/pki"]
    assert {volume.name for volume in manifest(moved).volumes} == {"audit-log", "audit-policy", "k8s-certs"}
    beside = enabled(enabled(small()), Settings(log_path="/var/log/kubernetes/audit/other.log"))
    assert beside == enabled(small()).replace("audit/audit.log", "audit/other.log")
    assert enabled(enabled(small()), Settings(log_path="-")) == enabled(small()).replace(
        "=/var/log/kubernetes/audit/audit.log", "=-"
    ).replace("    - mountPath: /var/log/kubernetes/audit\n      name: audit-log\n", "").replace(
        "  - hostPath:\n      path: /var/log/kubernetes/audit\n      type: DirectoryOrCreate\n    name: audit-log\n", ""
    )


SINGLE = with_mount("/var/log/kubernetes/audit.log", "log", kind="FileOrCreate").replace(
    "    - --secure-port=6443\n", "    - --secure-port=6443\n    - --audit-log-path=/var/log/kubernetes/audit.log\n"
)


def test_a_log_that_is_mounted_as_a_file_is_migrated_to_its_directory() -> None:
    pod = manifest(enabled(SINGLE))
    found = pod.host_path("/var/log/kubernetes/audit.log")
    assert found
    assert (found.path, found.mount_path, found.type) == (
        "/var/log/kubernetes/audit.log",
        "/var/log/kubernetes",
        "DirectoryOrCreate",
    )
    assert "log" not in {volume.name for volume in pod.volumes}
    elsewhere = manifest(
        enabled(SINGLE.replace("      path: /var/log/kubernetes/audit.log", "      path: /srv/logs/x.log"))
    ).host_path("/var/log/kubernetes/audit.log")
    assert elsewhere
    assert elsewhere.path == "/srv/logs/audit.log"
    covered = SINGLE.replace(
        "    - name: log\n", "    - name: k8s-certs\n      mountPath: /var/log/kubernetes\n    - name: log\n"
    )
    assert [mount.path for mount in manifest(enabled(covered)).mounts].count("/var/log/kubernetes") == 1


@pytest.mark.parametrize(
    "text",
    [
        SINGLE.replace("/var/log/kubernetes/audit.log", "/var/log/audit.log"),
        SINGLE.replace("      path: /var/log/kubernetes/audit.log", "      path: /var/log/x.log"),
        SINGLE.replace("    - --secure-port=6443\n", "    - --x=/var/log/kubernetes/audit.log\n"),
    ],
)
def test_a_log_file_whose_directory_cannot_be_mounted_is_an_error_that_names_the_fix(text: str) -> None:
    plan = enabling(text)
    assert [(one.check, one.severity) for one in plan.findings] == [("single-file-log", Severity.ERROR)]
    assert plan.findings[0].fix == f"use --log-path /var/log/kubernetes/audit/{'audit.log'}"
    assert enabling(text, Settings(log_path="/var/log/kubernetes/audit/audit.log")).findings == ()


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("/var/log/api.log", "/var/log/kubernetes/audit/api.log"),
        ("/dev/stdout", "-"),
        ("/var/log/audit/a.log", "/var/log/kubernetes/audit/a.log"),
    ],
)
def test_a_log_that_no_mount_covers_and_none_can_is_an_error_that_names_the_fix(path: str, fix: str) -> None:
    plan = enabling(with_flags(f"--audit-log-path={path}"))
    assert [(one.check, one.severity, one.fix) for one in plan.findings] == [
        ("log-not-mounted", Severity.ERROR, f"use --log-path {fix}")
    ]


@pytest.mark.parametrize("path", ["a.log", "$(DIR)/a.log"])
def test_a_log_path_that_cannot_be_resolved_is_refused(path: str) -> None:
    assert refusal(with_flags(f"--audit-log-path={path}")).place


def test_the_kubelets_rule_of_one_mount_a_path_is_kept() -> None:
    assert "one mountPath" in refusal(with_mount("/etc/kubernetes/pki", "again")).message


# --- disable


def test_disable_takes_out_every_audit_flag_also_unknown_ones_and_values() -> None:
    text = with_flags(
        "--audit-dynamic-configuration=true", "--audit-log-maxage", "'3'", "--audit-log-path=-", "--audit_log_compress"
    )
    assert disabled(text) == small()


def test_disable_of_nothing_is_nothing() -> None:
    plan = plan_disable(manifest(small()))
    assert (plan.changes, plan.edits, plan.diff("m")) == (False, (), "")


HAND = with_flags(
    "--audit-policy-file=/etc/kubernetes/audit-policy.yaml", "--audit-log-path=/var/log/kubernetes/audit/audit.log"
)


def hand_written(*mounts: tuple[str, str], flags: str = "") -> str:
    text = HAND.replace("    - --audit-policy", f"{flags}    - --audit-policy")
    entries = "".join(f"    - name: {name}\n      mountPath: {path}\n" for name, path in mounts)
    volumes = "".join(f"  - name: {name}\n    hostPath:\n      path: {path}\n" for name, path in mounts)
    return text.replace("  hostNetwork", entries + "  hostNetwork").replace("status: {}", volumes + "status: {}")


@pytest.mark.parametrize(
    ("mounts", "flags", "left"),
    [
        ([("a", "/etc/kubernetes/audit-policy.yaml"), ("b", "/var/log/kubernetes/audit")], "", []),
        ([("audit-log", "/var/log/kubernetes")], "", []),
        ([("a", "/var/log/kubernetes")], "", ["a"]),
        ([("audit", "/etc/kubernetes"), ("audit-log", "/var/log")], "", ["audit", "audit-log"]),
        ([("ca-certs", "/var/log/kubernetes/audit")], "", ["ca-certs"]),
        ([("a", "/var/log/kubernetes/audit")], "    - --x=/var/log/kubernetes/audit/x,b\n", ["a"]),
        ([("a", "/var/log/kubernetes/audit")], "    - --x=/var/log/kubernetes/audit-b\n", []),
        ([("other", "/srv/other")], "", ["other"]),
    ],
)
def test_disable_takes_out_the_mounts_that_serve_nothing_else(
    mounts: list[tuple[str, str]], flags: str, left: list[str]
) -> None:
    pod = manifest(disabled(hand_written(*mounts, flags=flags)))
    assert [mount.name for mount in pod.mounts] == ["k8s-certs", *left]
    assert [volume.name for volume in pod.volumes] == ["k8s-certs", *left]


def test_a_path_in_environment_or_probe_keeps_a_mount() -> None:
    text = hand_written(("a", "/var/log/kubernetes/audit")).replace(
        "    image:", "    env:\n    - name: A\n      value: x:/var/log/kubernetes/audit\n    image:"
    )
    assert [mount.name for mount in manifest(disabled(text)).mounts] == ["k8s-certs", "a"]


def test_a_volume_that_another_container_mounts_stays() -> None:
    for kind in ("initContainers", "containers"):
        other = "name: s\n    volumeMounts:\n    - {name: audit-log, mountPath: /x}\n"
        text = (
            small(("  hostNetwork", f"  {kind}:\n  - {other}  hostNetwork"))
            if kind == "initContainers"
            else small(("  containers:\n", f"  containers:\n  - {other}"))
        )
        text = enabled(text).replace("name: audit-log-2", "name: audit-log")
        pod = manifest(disabled(text))
        assert "audit-log" in {volume.name for volume in pod.volumes}
        assert "audit-log" not in {mount.name for mount in pod.mounts}


def test_a_list_that_cannot_lose_its_key_is_refused() -> None:
    text = small(
        (
            "  - command:\n",
            "  - volumeMounts:\n    - {name: audit, mountPath: /var/log/kubernetes/audit}\n    command:\n",
        ),
        ("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", ""),
    )
    text = text.replace("  volumes:\n", "  volumes:\n  - name: audit\n    hostPath: {path: /a}\n").replace(
        "    - --secure-port=6443\n", "    - --audit-log-path=/var/log/kubernetes/audit/a.log\n"
    )
    with pytest.raises(ManifestError, match="shares its line with a dash"):
        plan_disable(manifest(text))


# --- the annotation


def test_the_annotation_is_made_changed_and_taken_out() -> None:
    first = annotated(small(), DIGEST)
    assert first == small(("  labels:", f"  annotations:\n    auditctl/policy-sha256: {DIGEST}\n  labels:"))
    plan = plan_annotation(manifest(first), "f" * 64)
    assert plan.after == first.replace(DIGEST, "f" * 64)
    assert plan.patch == [{"op": "replace", "path": "/metadata/annotations/auditctl~1policy-sha256", "value": "f" * 64}]
    assert not plan_annotation(manifest(first), DIGEST).changes
    assert disabled(first) == small()
    assert disabled(enabled(small(), sha256=DIGEST)) == small()


def test_the_annotation_goes_in_order_beside_others() -> None:
    text = small(("  labels:", "  annotations:\n    a: b\n    kubeadm: x\n  labels:"))
    assert f"    a: b\n    auditctl/policy-sha256: {DIGEST}\n    kubeadm: x\n" in annotated(text, DIGEST)
    assert disabled(annotated(text, DIGEST)) == text
    unsorted = small(("  labels:", "  annotations:\n    z: b\n    a: x\n  labels:"))
    assert f"    a: x\n    auditctl/policy-sha256: {DIGEST}\n" in annotated(unsorted, DIGEST)


def test_a_comment_beside_the_annotation_stays() -> None:
    text = annotated(small(), DIGEST).replace("    auditctl/", "    # ours\n    auditctl/")
    assert "  # ours\n" in disabled(text)


def test_a_digest_that_yaml_would_take_for_a_number_is_quoted() -> None:
    for digest in ("1" * 64, "1" * 62 + "e5", "0x" + "1" * 62):
        if digest.startswith("0x"):
            with pytest.raises(RefusedError):
                annotated(small(), digest)
        else:
            assert manifest(annotated(small(), digest)).annotations["auditctl/policy-sha256"] == digest


def test_annotations_in_flow_style_cannot_grow() -> None:
    with pytest.raises(ManifestError, match="flow style"):
        annotated(small(("  labels:", "  annotations: {a: b}\n  labels:")), DIGEST)
    with pytest.raises(ManifestError, match="has no entries"):
        annotated(small(("  labels:", "  annotations:\n  labels:")), DIGEST)


# --- the plan itself


def test_the_edits_are_a_sequential_patch_with_reasons() -> None:
    plan = enabling(small())
    assert plan.patch[0] == {"op": "add", "path": "/spec/containers/0/command/2", "value": "--audit-log-maxage=30"}
    assert plan.patch[4] == {"op": "add", "path": "/spec/containers/0/command/6", "value": POLICY}
    assert plan.patch[5] == {
        "op": "add",
        "path": "/spec/containers/0/volumeMounts/0",
        "value": {"mountPath": "/var/log/kubernetes/audit", "name": "audit-log"},
    }
    assert [edit.operation["path"] for edit in plan.edits[6:]] == [
        "/spec/containers/0/volumeMounts/1",
        "/spec/volumes/0",
        "/spec/volumes/1",
    ]
    assert all(edit.reason for edit in plan.edits)
    assert plan.edits[0].reason == "--audit-log-maxage=30: the default, where the manifest sets nothing"
    gone = plan_disable(manifest(plan.after))
    assert [edit.operation["op"] for edit in gone.edits] == ["remove"] * 9
    assert gone.edits[0].reason == "--audit-policy-file: auditing is switched off"


def test_the_diff_is_one_that_patch_understands() -> None:
    text = small().removesuffix("status: {}\n").removesuffix("\n")
    diff = enabling(text).diff("/etc/kubernetes/manifests/kube-apiserver.yaml")
    assert diff.startswith(
        "--- a/etc/kubernetes/manifests/kube-apiserver.yaml\n+++ b/etc/kubernetes/manifests/kube-apiserver.yaml\n@@ "
    )
    assert "\n+    - --audit-log-maxage=30\n" in diff
    assert "     name: k8s-certs\n\\ No newline at end of file\n" in diff


def test_a_text_without_a_final_line_end_keeps_having_none() -> None:
    command_last = (
        "kind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - image: x\n    command:\n    - kube-apiserver"
    )
    for text in (command_last, command_last + "\n    - --v=2", command_last.replace("\n", "\r\n"), small()[:-1]):
        assert not enabled(text).endswith("\n")
        assert disabled(enabled(text)) == text
        moved = enabled(enabled(text), Settings(log_path="/srv/audit/a.log", webhook=True))
        assert disabled(moved) == text


def test_a_plan_that_does_not_say_what_its_patch_says_is_a_bug_of_ours() -> None:
    good = enabling(small())
    assert prove(good).text == good.after
    for bad in (
        Plan(good.before, good.after, good.edits[:-1]),
        Plan(good.before, good.after.replace("maxage=30", "maxage=31"), good.edits),
        Plan(good.before, "a: [", good.edits),
        Plan(good.before, good.after, (Edit({"op": "remove", "path": "/nowhere"}, ""),)),
    ):
        with pytest.raises(BugError):
            prove(bad)
