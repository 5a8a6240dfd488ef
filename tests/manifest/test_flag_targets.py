"""Which audit flags enable sets, from what was asked for and what is there."""

from __future__ import annotations

import pytest

from auditctl.findings import Severity
from auditctl.settings import Settings

from .pods import audit_flags, enabled, enabling, manifest, refusal, small, with_flags


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
    assert "--audit-log-maxsize=50: requested" in plan.edits[0].reason


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


def test_no_webhook_leaves_the_log_as_it_is() -> None:
    text = enabled(small(), Settings(webhook=True, log_maxage_days=1, log_path="/srv/log/a.log"))
    left = audit_flags(enabled(text, Settings(webhook=False)))
    assert (left["audit-log-maxage"], left["audit-log-path"]) == ("1", "/srv/log/a.log")


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
        (Settings(log=False, log_path="-"), "settings", "--no-log"),
        (Settings(log=False, webhook=True, log_maxage_days=1), "settings", "--no-log"),
        (Settings(webhook=False, set_flags={"audit-webhook-mode": "batch"}), "settings", "--no-webhook"),
        (Settings(log_maxage_days=1, unset_flags=frozenset({"audit-log-maxage"})), "settings", "both set and unset"),
        (Settings(log_maxage_days=1, set_flags={"audit-log-maxage": "2"}), "settings", "twice"),
        (Settings(unset_flags=frozenset({"audit-policy-file"})), "settings", "without a policy"),
        (Settings(set_flags={"audit-policy-file": ""}), "path", "an absolute path"),
        (Settings(policy_path="/a/b", log_path="/a/b"), "settings", "one path"),
        (Settings(set_flags={"audit-log-maxsise": "1"}), "unknown-flag", "not an audit flag"),
        (Settings(unset_flags=frozenset({"profiling"})), "unknown-flag", "not an audit flag"),
        (Settings(log_maxage_days=-1), "flag-value", "0 or more"),
        (Settings(set_flags={"audit-log-maxage": "x"}), "flag-value", "whole number"),
        (Settings(set_flags={"audit-log-compress": "yes"}), "flag-value", "not true or false"),
        (Settings(set_flags={"audit-log-batch-max-wait": "5"}), "flag-value", "not a duration"),
        (Settings(set_flags={"audit-log-batch-throttle-qps": "x"}), "flag-value", "not a number"),
        (Settings(set_flags={"audit-log-truncate-max-event-size": "1.5"}), "flag-value", "not a whole number"),
        (Settings(set_flags={"audit-log-mode": "a\nb"}), "flag-value", "not one line of text"),
    ],
)
def test_settings_that_cannot_work_are_refused(asked: Settings, check: str, word: str) -> None:
    refused = refusal(small(), asked)
    assert refused.check == check
    assert word in refused.message


@pytest.mark.parametrize(
    "asked",
    [
        Settings(log=False, webhook=True, policy_path="/srv/p.yaml", set_flags={"audit-webhook-mode": "batch"}),
        Settings(webhook=False, log_maxage_days=10, log_maxbackup_files=10, log_maxsize_megabytes=10),
    ],
)
def test_settings_that_have_nothing_to_do_with_each_other_are_no_contradiction(asked: Settings) -> None:
    assert enabling(small(), asked).changes


def test_an_empty_policy_is_none_even_if_the_manifest_says_so() -> None:
    refused = refusal(with_flags("--audit-policy-file="), Settings(set_flags={"audit-policy-file": ""}))
    assert "without a policy" in refused.message


def test_each_flag_that_goes_has_its_reason() -> None:
    text = enabled(small(), Settings(webhook=True))

    def reasons(asked: Settings) -> set[str]:
        edits = enabling(text, asked).edits
        return {edit.reason for edit in edits if "/command/" in edit.operation["path"]}

    assert reasons(Settings(unset_flags=frozenset({"audit-log-maxage"}))) == {"--audit-log-maxage: --unset"}
    assert reasons(Settings(webhook=False)) == {"--audit-webhook-config-file: --no-webhook"}
    assert "--audit-log-path: --no-log" in reasons(Settings(log=False))


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
