"""Two texts of a flag's value are one value where the server's parser says so, and only there."""

from __future__ import annotations

import pytest

from auditctl.manifest.flag_values import same_value


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("audit-log-maxage", "30", "30"),
        ("audit-log-maxage", "30", "+30"),
        ("audit-log-maxage", "30", "0x1e"),
        ("audit-log-maxage", "24", "030"),
        ("audit-log-compress", "true", "1"),
        ("audit-log-compress", "F", "false"),
        ("audit-webhook-batch-max-wait", "60s", "1m"),
        ("audit-webhook-batch-max-wait", "0", "0s"),
        ("audit-webhook-batch-max-wait", "-1s", "-1000ms"),
        ("audit-webhook-batch-throttle-qps", "10", "1e1"),
        ("audit-log-path", "/var/log//a/../b.log", "/var/log/b.log"),
    ],
)
def test_one_value_in_two_spellings(name: str, one: str, other: str) -> None:
    assert same_value(name, one, other)
    assert same_value(name, other, one)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("audit-log-maxage", "30", "030"),
        ("audit-log-maxage", "30", "-30"),
        ("audit-log-maxage", "30", "30d"),
        ("audit-log-compress", "true", "yes"),
        ("audit-webhook-batch-max-wait", "60s", "60"),
        ("audit-log-path", "-", "/dev/stdout"),
        ("audit-log-path", "var/log", "/var/log"),
        ("audit-log-mode", "batch", "Batch"),
        ("no-such-flag", "1", "true"),
    ],
)
def test_two_values(name: str, one: str, other: str) -> None:
    assert not same_value(name, one, other)
    assert not same_value(name, other, one)
