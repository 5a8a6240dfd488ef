"""Addresses of API servers, and the files of a kubeconfig, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.cluster.connection import KubeconfigChoice, ServerAddress


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("10.77.0.11", "https://10.77.0.11:6443"),
        ("fd00::11", "https://[fd00::11]:6443"),
        ("cp1.example", "https://cp1.example:6443"),
    ],
)
def test_an_address_is_written_as_a_url(host: str, text: str) -> None:
    """An IPv6 address stands in brackets (RFC 3986, 3.2.2)."""
    assert str(ServerAddress(host, 6443)) == text


def test_several_kubeconfigs_are_written_as_in_the_environment() -> None:
    """As $KUBECONFIG has them."""
    assert str(KubeconfigChoice((Path("/a"), Path("/b")))) == "/a:/b"
