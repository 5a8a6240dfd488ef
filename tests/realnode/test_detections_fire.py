"""What public detections look for is in the log of a real server under the shipped policy `detect`, field by field.

The fields are those of each rule at the commit that `templates/detections.yaml` names, in our own words.
"""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from traffic import ADMIN, FOLDER, NOBODY, Client, Request, collection

from auditctl.node.apiserver.credentials import read

LOG = Path("/var/log/kubernetes/audit/audit.log")
RBAC = "rbac.authorization.k8s.io"
PODS, SECRETS, BINDINGS = (
    collection("", "v1", "pods"),
    collection("", "v1", "secrets"),
    collection(RBAC, "v1", "clusterrolebindings", ""),
)
ALLOWED = ("annotations authorization.k8s.io/decision", "allow")
COMPLETE, STARTED = ("stage", "ResponseComplete"), ("stage", "ResponseStarted")
ALICE = (("Impersonate-User", "alice"), ("Impersonate-Group", "system:masters"))
IMAGE = "registry.k8s.io/pause:3.6"  # containerd's own, which the node script made; its one program is /pause
KUBELET_PORT = 10250
MERGE = (("Content-Type", "application/merge-patch+json"),)
Run = Callable[..., tuple[int, dict[str, Any]]]


def body(api: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    """A Pod of this node, whose one container sleeps."""
    container = {"name": "c", "image": IMAGE, "securityContext": {"privileged": True}}
    return body(
        "v1",
        "Pod",
        name,
        spec={
            "nodeName": "controlplane",
            "hostNetwork": True,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            **spec,
        },
    )


class Case(NamedTuple):
    """A rule by set and name, the requests of somebody who does what it looks for, and the fields that it reads.

    A field is a path of keys, with a space between two; of a list each item counts.
    """

    rule: str
    requests: tuple[Request, ...]
    reads: tuple[tuple[str, Any], ...]


CASES = (
    Case(
        "falco: Create Privileged Pod",
        (Request("POST", PODS, body=pod("privileged"), headers=ALICE),),
        (
            COMPLETE,
            ("verb", "create"),
            ("objectRef resource", "pods"),
            ("requestObject spec containers securityContext privileged", True),
        ),
    ),
    Case(
        "falco: Attach to cluster-admin Role",
        (
            Request(
                "POST",
                BINDINGS,
                body=body(
                    f"{RBAC}/v1",
                    "ClusterRoleBinding",
                    "all-power",
                    roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
                    subjects=[{"apiGroup": RBAC, "kind": "User", "name": "bob"}],
                ),
            ),
        ),
        (COMPLETE, ("objectRef resource", "clusterrolebindings"), ("requestObject roleRef name", "cluster-admin")),
    ),
    Case(
        "falco: Anonymous Request Allowed",
        (Request("GET", "/version", NOBODY),),
        (COMPLETE, ALLOWED, ("user username", "system:anonymous"), ("requestURI", "/version")),
    ),
    Case(
        "falco: K8s Secret Get Successfully",
        (
            Request("POST", SECRETS, body=body("v1", "Secret", "s", stringData={"a": "b"})),
            Request("GET", f"{SECRETS}/s", headers=ALICE),
        ),
        (
            COMPLETE,
            ("verb", "get"),
            ("objectRef resource", "secrets"),
            ("responseStatus code", 200),
            ("impersonatedUser username", "alice"),
        ),
    ),
    Case(
        "falco: Create/Modify Configmap With Private Credentials",
        (
            Request(
                "POST",
                collection("", "v1", "configmaps"),
                body=body("v1", "ConfigMap", "c", data={"db": "password=open"}),
            ),
        ),
        (COMPLETE, ("objectRef resource", "configmaps"), ("requestObject data db", "password=open")),
    ),
    Case(
        "sigma: Kubernetes Secrets Enumeration",
        (Request("GET", "/api/v1/secrets"),),
        (("verb", "list"), ("objectRef resource", "secrets")),
    ),
    Case(
        "sigma: RBAC Permission Enumeration Attempt",
        (
            Request(
                "POST",
                collection("authorization.k8s.io", "v1", "selfsubjectrulesreviews", ""),
                body={
                    "apiVersion": "authorization.k8s.io/v1",
                    "kind": "SelfSubjectRulesReview",
                    "spec": {"namespace": "default"},
                },
            ),
        ),
        (
            ("verb", "create"),
            ("objectRef apiGroup", "authorization.k8s.io"),
            ("objectRef resource", "selfsubjectrulesreviews"),
        ),
    ),
    Case(
        "sigma: Kubernetes Unauthorized or Unauthenticated Access",
        (Request("GET", SECRETS, NOBODY, headers=(("Authorization", "Bearer none"),)),),
        (("responseStatus code", 401),),
    ),
    Case(
        "elastic: Kubernetes Cluster-Admin Role Binding Created",
        (
            Request(
                "POST",
                collection(RBAC, "v1", "rolebindings"),
                body=body(
                    f"{RBAC}/v1",
                    "RoleBinding",
                    "some-power",
                    roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
                    subjects=[],
                ),
            ),
        ),
        (
            COMPLETE,
            ALLOWED,
            ("level", "RequestResponse"),
            ("verb", "create"),
            ("requestObject roleRef name", "cluster-admin"),
        ),
    ),
    Case(
        "elastic: Kubernetes RBAC Wildcard Elevation on Existing Role",
        (
            Request("POST", collection(RBAC, "v1", "roles"), body=body(f"{RBAC}/v1", "Role", "little", rules=[])),
            Request(
                "PATCH",
                collection(RBAC, "v1", "roles") + "/little",
                body={"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
                headers=MERGE,
            ),
        ),
        (
            COMPLETE,
            ALLOWED,
            ("level", "RequestResponse"),
            ("verb", "patch"),
            ("responseObject rules verbs", "*"),
            ("responseObject rules resources", "*"),
        ),
    ),
    Case(
        "elastic: Kubernetes Service Account Token Created via TokenRequest API",
        (
            Request("POST", collection("", "v1", "serviceaccounts"), body=body("v1", "ServiceAccount", "builder")),
            Request(
                "POST",
                collection("", "v1", "serviceaccounts") + "/builder/token",
                body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
            ),
        ),
        (
            ("verb", "create"),
            ("objectRef resource", "serviceaccounts"),
            ("objectRef subresource", "token"),
            ("responseStatus code", 201),
        ),
    ),
    Case(
        "elastic: Kubernetes API Server Proxying Request to Kubelet",
        (Request("GET", "/api/v1/nodes/controlplane/proxy/pods"),),
        (
            ("objectRef resource", "nodes"),
            ("objectRef subresource", "proxy"),
            ("requestURI", "/api/v1/nodes/controlplane/proxy/pods"),
        ),
    ),
)


def values(event: Any, path: str) -> Iterator[Any]:
    """All values at a path of the event."""
    if isinstance(event, list):
        for item in event:
            yield from values(item, path)
    elif not path:
        yield event
    elif isinstance(event, dict):
        key, _, rest = path.partition(" ")
        if key in event:
            yield from values(event[key], rest)


def fires(events: list[dict[str, Any]], reads: tuple[tuple[str, Any], ...]) -> bool:
    """Whether one event has every field with the value that the rule reads."""
    return any(all(value in values(event, path) for path, value in reads) for event in events)


def events_since(begun: int, mark: str) -> list[dict[str, Any]]:
    """The events of one case; the server writes an event after it has answered."""
    with LOG.open("rb") as file:
        file.seek(begun)
        lines = file.read().splitlines()
    return [event for event in map(json.loads, lines) if event["auditID"].startswith(mark)]


class _ToTheKubelet(socketserver.BaseRequestHandler):
    """The kubelet of the node script listens at 127.0.0.1; the API server calls it at the address of its Node."""

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", KUBELET_PORT)) as kubelet:
            back = threading.Thread(target=_pipe, args=(kubelet, self.request), daemon=True)
            back.start()
            _pipe(self.request, kubelet)
            back.join(timeout=5)


def _pipe(source: socket.socket, target: socket.socket) -> None:
    """Copy until one side ends."""
    try:
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def reachable_kubelet() -> Iterator[None]:
    """The API server reaches the kubelet."""
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()[0]
    with _Server((address, KUBELET_PORT), _ToTheKubelet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def upgraded(path: str, audit_id: str) -> int:
    """The status of a request that asks for a WebSocket, as `kubectl exec` of 1.30 and later does."""
    context = ssl.create_default_context(cafile=str(FOLDER / "pki/ca.crt"))
    read(FOLDER / f"{ADMIN}.conf").load_into(context)
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=20, context=context)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
        "Audit-ID": audit_id,
    }
    connection.request("GET", path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.fixture(scope="module")
def recording(run: Run, node: None) -> Iterator[None]:
    """The policy `detect` is loaded; the account that Pods of the namespace need is there."""
    code, report = run("enable", "--policy", "detect")
    assert code == 0, report["summary"]
    client = Client()
    accounts = collection("", "v1", "serviceaccounts")
    assert client.send(Request("POST", accounts, body=body("v1", "ServiceAccount", "default")), "setup-0") in (201, 409)
    client.close()
    yield
    assert run("disable", "--purge")[0] == 0


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.rule for case in CASES])
def test_the_event_is_in_the_log_with_the_fields_that_the_rule_reads(recording: None, number: int) -> None:
    case = CASES[number]
    client, begun = Client(), LOG.stat().st_size
    mark = f"case-{number:02}-"
    codes = [client.send(each, f"{mark}{index}") for index, each in enumerate(case.requests)]
    client.close()
    deadline = time.monotonic() + 10
    while not fires(events_since(begun, mark), case.reads):
        assert time.monotonic() < deadline, (codes, events_since(begun, mark))
        time.sleep(0.1)
    print(f"\n{case.rule}: {codes}")


def test_a_shell_in_a_running_pod_is_in_the_log_for_falco_and_for_elastic(recording: None) -> None:
    """Falco's rule reads the stage ResponseStarted, Elastic's the level Request; kubectl opens it with GET since 1.30."""
    client = Client()
    power = body(
        f"{RBAC}/v1",
        "ClusterRoleBinding",
        "kubeadm:cluster-admins",
        roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        subjects=[{"apiGroup": RBAC, "kind": "Group", "name": "kubeadm:cluster-admins"}],
    )
    assert client.send(Request("POST", BINDINGS, body=power), "setup-1") in (201, 409)
    assert client.send(Request("POST", PODS, body=pod("shell")), "setup-2") == 201
    with reachable_kubelet():
        deadline = time.monotonic() + 90
        begun = LOG.stat().st_size
        while True:
            status = upgraded(f"{PODS}/shell/exec?command=/pause&stdout=1", "shell-0")
            if status == 101:
                break
            assert time.monotonic() < deadline, status
            time.sleep(1)
    client.close()
    the_shell = (("verb", "get"), ("objectRef resource", "pods"), ("objectRef subresource", "exec"))
    deadline = time.monotonic() + 10
    while not fires(events_since(begun, "shell-"), (STARTED, ("responseStatus code", 101), *the_shell)):
        assert time.monotonic() < deadline, events_since(begun, "shell-")
        time.sleep(0.1)
    assert fires(events_since(begun, "shell-"), (ALLOWED, ("level", "Request"), *the_shell))
