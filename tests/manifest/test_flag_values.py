"""Values of the audit flags: what the server refuses is an error, what harms is a warning, by version."""

from __future__ import annotations

import pytest

from auditctl.facts import audit_flags
from auditctl.findings import Severity
from auditctl.manifest.flag_values import complaints

LOG = {"audit-policy-file": "/p", "audit-log-path": "/l", "audit-log-maxage": "30", "audit-log-maxbackup": "10"}
HOOK = {"audit-policy-file": "/p", "audit-webhook-config-file": "/w"}
BATCH = {"audit-log-mode": "batch"}
NEW, OLD = (1, 36), (1, 31)


def found(flags: dict[str, str], version: tuple[int, int] = NEW) -> list[tuple[str, str]]:
    """(severity, check) of every complaint."""
    return [(finding.severity.value, finding.check) for finding in complaints(flags, version)]


@pytest.mark.parametrize("flags", [LOG, HOOK, LOG | HOOK, LOG | BATCH, {"audit-policy-file": "/p"}])
@pytest.mark.parametrize("version", [NEW, OLD, (1, 19)])
def test_nothing_is_said_of_plain_settings(flags: dict[str, str], version: tuple[int, int]) -> None:
    assert found(flags, version) == []


@pytest.mark.parametrize(
    ("flags", "check", "words"),
    [
        ({"audit-log-max-size": "5"}, "unknown-flag", "did you mean --audit-log-maxsize?"),
        ({"audit-log-maxage": "30d"}, "flag-value", "not a whole number"),
        ({"audit-log-mode": "Batch"}, "flag-value", "not a mode"),
        ({"audit-log-format": "xml"}, "flag-value", "not a format"),
        ({"audit-log-version": "audit.k8s.io/v1beta1"}, "flag-value", "not known"),
        ({"audit-webhook-version": "a/b/c"}, "flag-value", "group and version"),
        ({"audit-log-maxbackup": "-1"}, "flag-value", "negative"),
        (BATCH | {"audit-log-batch-max-size": "0"}, "flag-value", "above 0"),
        (BATCH | {"audit-log-batch-buffer-size": "0"}, "flag-value", "above 0"),
        (BATCH | {"audit-log-batch-throttle-enable": "true"}, "flag-value", "above 0"),
        ({"audit-log-truncate-max-event-size": "0"}, "flag-value", "above 0"),
        ({"audit-log-truncate-max-event-size": "20000000"}, "truncate-sizes", "raise"),
        ({"audit-log-path": "/dev/stdout"}, "stream-as-file", "--audit-log-path=-"),
        ({"audit-log-mode": "blocking-strict"}, "blocking-strict", "--allow blocking-strict"),
    ],
)  # fmt: skip
def test_what_the_server_refuses_is_an_error(flags: dict[str, str], check: str, words: str) -> None:
    first = complaints(LOG | flags, NEW)[0]
    assert (first.severity, first.check) == (Severity.ERROR, check)
    assert words in f"{first.message} {first.fix}"
    assert first.fix


@pytest.mark.parametrize(
    ("flags", "version", "check"),
    [
        (BATCH | {"audit-log-batch-max-size": "100"}, NEW, "batch-without-wait"),
        (BATCH | {"audit-log-batch-buffer-size": "5", "audit-log-batch-max-size": "9",
                  "audit-log-batch-max-wait": "1s"}, NEW, "batch-buffer"),
        ({"audit-log-batch-max-size": "100"}, NEW, "flag-unused"),
        ({"audit-log-truncate-max-event-size": "50"}, NEW, "flag-unused"),
        ({"audit-log-maxsize": "0"}, NEW, "maxsize-zero"),
        ({"audit-log-maxsize": "0"}, OLD, "maxsize-zero"),
        ({"audit-log-maxsize": "5000"}, NEW, "maxsize-large"),
        ({"audit-log-maxage": "0", "audit-log-maxbackup": "0"}, NEW, "retention"),
        ({"audit-log-format": "legacy"}, NEW, "legacy-format"),
        ({"audit-log-path": "-"}, NEW, "flag-unused"),
        ({"audit-webhook-mode": "blocking"}, NEW, "flag-unused"),
    ],
)  # fmt: skip
def test_what_harms_is_a_warning(flags: dict[str, str], version: tuple[int, int], check: str) -> None:
    assert found(LOG | flags, version) == [("warning", check)]


def test_unset_retention_keeps_for_ever_up_to_1_35() -> None:
    flags = {"audit-policy-file": "/p", "audit-log-path": "/l"}
    assert found(flags, (1, 35)) == [("warning", "retention")]
    assert found(flags, (1, 36)) == []


def test_what_the_manifest_has_had_already_is_not_refused_for_being_unwise() -> None:
    strict = LOG | {"audit-log-mode": "blocking-strict"}
    assert [finding.severity for finding in complaints(strict, NEW, LOG)] == [Severity.ERROR]
    assert [finding.severity for finding in complaints(strict, NEW, strict)] == [Severity.WARNING]


def test_a_webhook_that_every_request_waits_for_is_refused_unless_the_manifest_has_had_it_already() -> None:
    batch = LOG | {"audit-webhook-config-file": "/w"}
    blocking = batch | {"audit-webhook-mode": "blocking"}
    for before, severity in ((batch, Severity.ERROR), (blocking, Severity.WARNING)):
        assert [(one.check, one.severity) for one in complaints(blocking, NEW, before)] == [
            ("webhook-blocking", severity)
        ]


def test_old_versions_know_other_flags_and_values() -> None:
    assert found(LOG | {"audit-log-compress": "true"}, (1, 19)) == [("error", "flag-version")]
    assert found(LOG | {"audit-log-version": "audit.k8s.io/v1beta1"}, (1, 23)) == []
    assert found(LOG | {"audit-log-mode": "Batch"} | {"audit-log-path": ""}, NEW)[0] == ("warning", "flag-unused")


def test_every_default_of_every_version_is_legal() -> None:
    for minor in range(20, 38):
        flags = {name: flag.default((1, minor, 0)) for name, flag in audit_flags().items()} | LOG | HOOK
        assert not [one for one in complaints(flags, (1, minor)) if one.severity is Severity.ERROR]
