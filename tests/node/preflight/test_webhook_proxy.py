"""Which proxy Go would take: the variables of the container, and every form of NO_PROXY."""

from __future__ import annotations

import pytest

from auditctl.node.preflight.webhook_config import WebhookConfig, proxy_for
from auditctl.node.preflight.webhook_trial import ContainerEnvironment, WebhookTrialVerdict, attempt

PROXY = "http://proxy:3128"


def is_direct(no_proxy: str, host: str, port: int = 443) -> bool:
    return proxy_for("https", host, port, {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}) == ""


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("10.0.0.0/8", "10.96.0.10", True),
        ("10.96.0.0/12, 192.168.0.0/16", "192.168.3.4", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("10.0.0.0/8", "ten.example", False),
        ("fd00::/8", "fd00::1", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("10.1.2.3:8443", "10.1.2.3", False),
        ("[fd00::1]:443", "fd00::1", True),
        ("fd00::1", "fd00::1", True),
        ("example.com", "example.com", True),
        ("example.com", "a.example.com", True),
        ("example.com", "notexample.com", False),
        (".example.com", "example.com", False),
        (".example.com", "a.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("EXAMPLE.com:443", "Example.COM", True),
        ("example.com:80", "example.com", False),
        ("*", "anything", True),
        ("", "anything", False),
        ("a/b", "a", False),
        ("", "localhost", True),
        ("", "127.3.2.1", True),
        ("", "::1", True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(no_proxy: str, host: str, direct: bool) -> None:
    assert is_direct(no_proxy, host) is direct


def test_upper_case_comes_first_and_the_scheme_chooses_the_variable() -> None:
    both = {"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower", "http_proxy": "http://plain"}

    assert proxy_for("https", "a", 443, both) == "http://upper"
    assert proxy_for("http", "a", 80, both) == "http://plain"
    assert proxy_for("http", "a", 80, {"HTTPS_PROXY": PROXY}) == ""


@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_a_proxy_that_needs_more_than_plain_text_is_named_and_not_tried(scheme: str) -> None:
    config = WebhookConfig(server="https://receiver.example/", proxy=f"{scheme}://me:s3cr3t@127.0.0.1:1")
    tried = attempt(config, ContainerEnvironment())

    assert tried.verdict is WebhookTrialVerdict.UNKNOWN
    assert "127.0.0.1:1" in tried.words
    assert "s3cr3t" not in tried.words
