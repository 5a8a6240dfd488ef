"""The official client against a stand-in cluster: addresses, names in certificates, deadlines, what is not shown."""

from __future__ import annotations

import json
import time

import pytest
from standin_cluster import TOKEN, Cluster

from auditctl.cluster.client_choice import connection_to
from auditctl.cluster.connection import KubeconfigChoice, ServerAddress
from auditctl.cluster.official_client import OfficialClient
from auditctl.errors import RefusedError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def test_each_server_is_asked_at_its_own_address_under_the_name_of_its_certificate(cluster: Cluster) -> None:
    """The certificate has not the address, but it has ``kubernetes``; the kubeconfig's own server goes by its address."""
    connection = connection_to(KubeconfigChoice((cluster.kubeconfig(),)))
    assert isinstance(connection, OfficialClient)

    answer = connection.get("/readyz", ServerAddress("127.0.0.12", cluster.port), headers={"Audit-ID": "own"})

    assert (answer.status, answer.body) == (200, b"ok")
    assert cluster.servers["cp2"].requests == [("/readyz", "own", TOKEN)]
    assert (connection.get("/readyz").status, connection.context) == (200, "prod")


def test_a_server_that_another_authority_signed_is_not_trusted(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And gets no token."""
    from standin_cluster import running

    with running(tmp_path_factory.mktemp("other")) as other:
        connection = OfficialClient.of(KubeconfigChoice((cluster.kubeconfig(),)))
        answer = connection.get("/readyz", ServerAddress("127.0.0.11", other.port))

        assert (answer.status, "certificate" in answer.reason.lower()) == (0, True)
        assert other.servers["cp1"].requests == []


def test_an_answer_that_does_not_come_ends_at_the_deadline(cluster: Cluster) -> None:
    """A server without its etcd member holds the request."""
    cluster.servers["cp1"].has_etcd = False
    connection = OfficialClient.of(KubeconfigChoice((cluster.kubeconfig(),)))
    begun = time.monotonic()

    answer = connection.get("/api/v1/nodes", ServerAddress("127.0.0.11", cluster.port), seconds=0.5)

    assert (answer.status, answer.reason) == (0, "no answer within 0 s")
    assert time.monotonic() - begun < 10


def test_headers_that_come_byte_by_byte_end_at_the_deadline(cluster: Cluster) -> None:
    """Each read is quick, so no limit of a read ends it."""
    cluster.servers["cp1"].drips = True
    connection = OfficialClient.of(KubeconfigChoice((cluster.kubeconfig(),)))

    answer = connection.get("/api/v1/nodes", ServerAddress("127.0.0.11", cluster.port), seconds=0.2)

    assert answer == (0, "no whole answer within 0 s", b"", "")


def test_a_longer_body_is_cut(cluster: Cluster) -> None:
    """A page of metrics may have any length."""
    connection = OfficialClient.of(KubeconfigChoice((cluster.kubeconfig(),)))

    assert len(connection.get("/metrics", limit_bytes=100).body) == 100


def test_a_file_that_is_no_kubeconfig_is_refused_without_what_is_in_it(cluster: Cluster) -> None:
    """Its name, and the library's first words."""
    path = cluster.kubeconfig()
    document = json.loads(path.read_text())
    for text in ("- s3cret", "s3cret: [", json.dumps({**document, "current-context": "s3cret"})):
        path.write_text(text)
        with pytest.raises(RefusedError, match="not a usable kubeconfig") as refused:
            OfficialClient.of(KubeconfigChoice((path,)))
        assert str(path) in refused.value.message
