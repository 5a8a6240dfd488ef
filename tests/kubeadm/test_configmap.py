"""The ConfigMap is read and replaced, through the real client and without it: a precondition, every failure one sentence."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import jsonpatch
import pytest

from auditctl.errors import RefusedError
from auditctl.kubeadm import configmap
from auditctl.kubeadm.configmap import Access, ConflictError
from auditctl.lab.node import certificates


class ApiServer(BaseHTTPRequestHandler):
    """One ConfigMap and a list of Pods, as the API server answers for them; a failed test of a patch is 422."""

    status: ClassVar[int] = 200
    stored: ClassVar[dict[str, Any]] = {}
    pods: ClassVar[list[dict[str, Any]]] = []
    authorization: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.authorization.append(self.headers["Authorization"])
        if self.status != 200:
            self._answer(self.status, {"kind": "Status", "status": "Failure"})
        elif "/pods" in self.path:
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self.pods})
        else:
            self._answer(200, self.stored)

    def do_PATCH(self) -> None:
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            new = jsonpatch.apply_patch(self.stored, patch)
        except jsonpatch.JsonPatchTestFailed:
            self._answer(422, {"kind": "Status", "status": "Failure"})
            return
        new["metadata"]["resourceVersion"] = str(int(new["metadata"]["resourceVersion"]) + 1)
        ApiServer.stored = new
        self._answer(200, new)

    def _answer(self, code: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture(params=["library", "plain"])
def access(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Access]:
    """The way to a small API server; once with the package kubernetes, once as where it is not installed."""
    if request.param == "library":
        pytest.importorskip("kubernetes", reason="the kubernetes package is not installed")
    else:
        monkeypatch.setitem(sys.modules, "kubernetes", None)
    bundle = certificates.issue()
    pair = tmp_path / "pair.pem"
    pair.write_bytes(bundle.server.certificate + bundle.server.key)
    ApiServer.status, ApiServer.pods = 200, []
    ApiServer.authorization.clear()
    metadata = {"name": "kubeadm-config", "namespace": "kube-system", "resourceVersion": "7"}
    ApiServer.stored = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": metadata,
        "data": {"ClusterConfiguration": "a: b\n"},
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Access(f"https://127.0.0.1:{server.server_address[1]}", bundle.authority.certificate.decode(), token="s3cr3t")
    server.shutdown()
    server.server_close()


def test_a_text_is_read_and_replaced_whole(access: Access) -> None:
    stored = configmap.read(access)
    assert stored == configmap.Stored("a: b\n", "7")
    configmap.write(access, stored, "c: d\n")
    assert configmap.read(access) == configmap.Stored("c: d\n", "8")
    assert ApiServer.authorization == ["Bearer s3cr3t", "Bearer s3cr3t"]


def test_of_two_writers_the_second_is_refused_and_nothing_is_lost(access: Access) -> None:
    mine = theirs = configmap.read(access)
    configmap.write(access, theirs, "theirs: 1\n")
    with pytest.raises(ConflictError, match="somebody else has written it"):
        configmap.write(access, mine, "mine: 1\n")
    assert configmap.read(access).text == "theirs: 1\n"


def test_other_api_servers_are_known_by_their_mirror_pods(access: Access) -> None:
    command = ["kube-apiserver", "--advertise-address=192.0.2.11", "--audit-log-maxage=7", "--v=2"]
    ApiServer.pods = [
        {
            "metadata": {"name": "kube-apiserver-b"},
            "spec": {"nodeName": "b", "containers": [{"name": "c", "command": command}]},
        }
    ]
    assert configmap.apiservers(access) == (configmap.MirrorPod("b", "192.0.2.11", {"audit-log-maxage": "7"}),)


@pytest.mark.parametrize(("status", "words"), [(404, "there is none"), (403, "403"), (500, "500")])
def test_every_failure_is_one_sentence_with_a_way_on(access: Access, status: int, words: str) -> None:
    ApiServer.status = status
    with pytest.raises(RefusedError, match=words) as caught:
        configmap.read(access)
    assert caught.value.fix
    assert "s3cr3t" not in f"{caught.value}{caught.value.fix}{access!r}"


def test_nobody_there_and_a_strange_certificate_are_refused(access: Access) -> None:
    with pytest.raises(RefusedError, match=r"no answer from https://127\.0\.0\.1:1 "):
        configmap.read(access._replace(server="https://127.0.0.1:1"))
    with pytest.raises(RefusedError, match="cannot be read: SSLError"):
        configmap.read(access._replace(authority=certificates.issue().authority.certificate.decode()))


def test_a_config_map_without_the_key_is_no_record_of_kubeadm(access: Access) -> None:
    ApiServer.stored["data"] = {}
    with pytest.raises(RefusedError, match="has no key ClusterConfiguration"):
        configmap.read(access)


def test_an_answer_that_the_client_library_refuses_is_one_sentence(access: Access) -> None:
    """Its newer versions check every field: a container status without ``ready`` ends in a ValueError."""
    status = {"containerStatuses": [{"name": "kube-apiserver"}]}
    ApiServer.pods = [
        {"metadata": {"name": "a"}, "spec": {"nodeName": "a", "containers": [{"name": "c"}]}, "status": status}
    ]
    with suppress(RefusedError):  # the plain client takes it, and older libraries too
        assert configmap.apiservers(access) == (configmap.MirrorPod("a", "", {}),)
