"""The connection of the single file: what it knows, and what it refuses with the reason."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from standin_cluster import TOKEN, Cluster

from auditctl.cluster.connection import KubeconfigChoice, ServerAddress
from auditctl.cluster.plain_connection import PlainConnection
from auditctl.errors import RefusedError, UsageError

pytestmark = pytest.mark.timeout(60)


def test_each_server_is_asked_at_its_own_address_under_the_name_of_its_certificate(cluster: Cluster) -> None:
    """With the token; the context that is named counts."""
    connection = PlainConnection.of(KubeconfigChoice((cluster.kubeconfig(),)))

    answer = connection.get("/readyz", ServerAddress("127.0.0.13", cluster.port))

    assert (answer.status, answer.body) == (200, b"ok")
    assert cluster.servers["cp3"].requests == [("/readyz", "", TOKEN)]
    away = PlainConnection.of(KubeconfigChoice((cluster.kubeconfig(),), "away"))
    assert (away.server, away.get("/readyz").reason) == ("https://127.0.0.1:1", "connection refused")
    with pytest.raises(UsageError, match="it has away, prod"):
        PlainConnection.of(KubeconfigChoice((cluster.kubeconfig(),), "prd"))


def test_a_client_certificate_is_shown(cluster: Cluster) -> None:
    """From memory; a key in a file is no different."""
    pair = cluster.bundle.client
    encoded = {
        f"client-{part}-data": base64.b64encode(text).decode()
        for part, text in (("certificate", pair.certificate), ("key", pair.key))
    }

    connection = PlainConnection.of(KubeconfigChoice((cluster.kubeconfig(**encoded),)))

    assert connection.get("/readyz").status == 401  # the stand-in knows tokens alone


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ({"exec": {"command": "x"}}, "runs a credential plugin"),
        ({"auth-provider": {"name": "oidc"}}, "uses an auth provider"),
        ({"username": "admin", "password": "s3cret"}, "uses a password"),
        ({"as": "bob", "token": "t"}, "acts as another user"),
    ],
)
def test_what_needs_the_library_is_named(cluster: Cluster, user: dict[str, Any], reason: str) -> None:
    """With how it is had, and nothing secret."""
    with pytest.raises(RefusedError, match=f"{reason}; that needs the Python package kubernetes") as refused:
        PlainConnection.of(KubeconfigChoice((cluster.kubeconfig(**user),)))
    assert "pip install auditctl" in refused.value.fix
    assert "s3cret" not in refused.value.message


def test_a_proxy_several_files_and_no_kubeconfig_at_all(cluster: Cluster, tmp_path: Path) -> None:
    """Each with its reason."""
    path = cluster.kubeconfig()
    document = json.loads(path.read_text())
    document["clusters"][0]["cluster"]["proxy-url"] = "http://proxy:3128"
    other = tmp_path / "proxy"
    other.write_text(json.dumps(document))
    with pytest.raises(RefusedError, match="through a proxy"):
        PlainConnection.of(KubeconfigChoice((other,)))
    with pytest.raises(RefusedError, match="several files"):
        PlainConnection.of(KubeconfigChoice((path, other)))
    for text in ("[]", "a: [", json.dumps({**document, "clusters": []})):
        other.write_text(text)
        with pytest.raises(RefusedError):
            PlainConnection.of(KubeconfigChoice((other,)))
