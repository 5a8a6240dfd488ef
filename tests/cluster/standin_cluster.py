"""A small cluster for tests: HTTPS servers that answer as three recorded API servers do (tests/golden/cluster).

Each control plane is 127.0.0.1N at the port of all; 127.0.0.1 is the load balancer, which asks the ready ones in turn.
The rights of a token are those of templates/rbac, as an API server would judge them.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from auditctl.lab.node.certificates import issue

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/cluster"
TOKEN, STRANGER = "token-of-the-read-only-account", "token-of-a-stranger"
NODES = ("cp1", "cp2", "cp3")
FORBIDDEN = 403
FLAGZ_TYPE = "application/json;g=config.k8s.io;v=v1beta1;as=Flagz"


class Rule(NamedTuple):
    """One rule of RBAC, for a namespace ("" is the whole cluster)."""

    namespace: str
    body: Mapping[str, Any]


def shipped_rules() -> list[Rule]:
    """The rules that are bound to the ServiceAccount of the shipped text."""
    documents = list(YAML(typ="safe").load_all(ROOT / "templates/rbac/auditctl-status.yaml"))
    bound = {(one["kind"], one["metadata"].get("namespace", "")) for one in documents if "Binding" in one["kind"]}
    assert all(one["subjects"][0]["name"] == "auditctl-status" for one in documents if "subjects" in one)
    return [
        Rule(one["metadata"].get("namespace", ""), rule)
        for one in documents
        for rule in one.get("rules", ())
        if (f"{one['kind']}Binding", one["metadata"].get("namespace", "")) in bound
    ]


class Server:
    """What one control plane answers; tests change it."""

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.host = f"127.0.0.1{number}"
        self.events, self.lost = 364 + number, 0
        self.levels = {"Metadata": 316, "None": 95}
        self.level = "Metadata"  # of a read of objects; URLs that are none are not audited
        self.is_recording, self.has_etcd, self.has_flagz, self.readyz = True, True, True, 200
        self.drips = False  # its headers never end: a line now and then
        self.running: dict[str, str] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.listening: ThreadingHTTPServer | None = None


class Cluster:
    """The objects of the API, which all servers share, and the servers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers = {node: Server(node, number) for number, node in enumerate(NODES, 1)}
        read = {name: json.loads((GOLDEN / f"{name}.json").read_text()) for name in ("pods", "nodes", "endpointslice")}
        self.pods, self.nodes, self.slice = read["pods"], read["nodes"], read["endpointslice"]
        self.record = json.loads((GOLDEN / "kubeadm-config.json").read_text())
        self.rules = shipped_rules()
        self.noise: tuple[str, ...] = ()  # levels of requests of others, which come with each of ours
        self.turn = itertools.count()
        self.bundle = issue()
        with socket.socket() as probe:
            probe.bind(("127.0.0.11", 0))
            self.port = probe.getsockname()[1]
        for pod, server in zip(self.pods["items"], self.servers.values(), strict=True):
            pod["status"]["hostIP"] = server.host
            command = pod["spec"]["containers"][0]["command"]
            command[:] = [word.replace("--secure-port=6443", f"--secure-port={self.port}") for word in command]
        for row, server in zip(self.slice["endpoints"], self.servers.values(), strict=True):
            row["addresses"] = [server.host]
        self.keep()

    def pod(self, node: str) -> dict[str, Any]:
        return next(one for one in self.pods["items"] if one["spec"]["nodeName"] == node)

    def set_flag(self, node: str, name: str, value: str | None) -> None:
        """Change a flag of the manifest; the process runs with it."""
        command = self.pod(node)["spec"]["containers"][0]["command"]
        command[:] = [word for word in command if not word.startswith(f"--{name}=")]
        if value is not None:
            command.append(f"--{name}={value}")

    def set_digest(self, node: str, digest: str) -> None:
        self.pod(node)["metadata"]["annotations"]["auditctl/policy-sha256"] = digest

    def stop(self, node: str, *, kubelet_notices: bool = True) -> None:
        """End an API server: its endpoint goes, and its kubelet says so if that still runs."""
        server = self.servers[node]
        assert server.listening is not None
        server.listening.shutdown()
        server.listening.server_close()
        server.listening = None
        if kubelet_notices:
            conditions = self.pod(node)["status"]["conditions"]
            next(one for one in conditions if one["type"] == "Ready")["status"] = "False"
            self.slice["endpoints"] = [one for one in self.slice["endpoints"] if one["addresses"] != [server.host]]

    def keep(self) -> None:
        """Let kubeadm-config have the audit settings of the recorded manifests."""
        self.record["data"]["ClusterConfiguration"] = (
            "apiServer:\n  extraArgs:\n"
            + "".join(f"  - name: {name}\n    value: {json.dumps(value)}\n" for name, value in self.audit_flags("cp1"))
            + "  extraVolumes:\n"
            + "  - {name: audit-log, hostPath: /var/log/kubernetes/audit, mountPath: /var/log/kubernetes/audit,"
            + " pathType: DirectoryOrCreate}\n"
            + "  - {name: audit-policy, hostPath: /etc/kubernetes/audit/policy.yaml,"
            + " mountPath: /etc/kubernetes/audit/policy.yaml, pathType: File, readOnly: true}\n"
            + "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.2\n"
        )

    def audit_flags(self, node: str) -> list[tuple[str, str]]:
        words = self.pod(node)["spec"]["containers"][0]["command"]
        return [tuple(word[2:].split("=", 1)) for word in words if word.startswith("--audit-")]  # type: ignore[misc]

    def kubeconfig(self, token: str = TOKEN, **user: Any) -> Path:
        """Write a kubeconfig with the contexts ``prod`` (current) and ``away``, which leads nowhere."""
        authority = base64.b64encode(self.bundle.authority.certificate).decode()
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority-data": authority}
        nowhere = {**cluster, "server": "https://127.0.0.1:1"}
        path = self.folder / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "prod",
            "clusters": [{"name": "prod", "cluster": cluster}, {"name": "away", "cluster": nowhere}],
            "users": [{"name": "reader", "user": user or {"token": token}}],
            "contexts": [{"name": one, "context": {"cluster": one, "user": "reader"}} for one in ("prod", "away")],
        }
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        return path

    def allows(self, token: str, path: str) -> bool:
        """Would the API server let a GET pass?"""
        if token != TOKEN:
            return path == "/readyz" and token == STRANGER
        bare = path.partition("?")[0]
        found = re.fullmatch(r"(?:/api/v1|/apis/([^/]+)/v1)(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+))?", bare)
        for namespace, rule in self.rules:
            if found is None:
                if "get" in rule["verbs"] and bare in rule.get("nonResourceURLs", ()):
                    return True
                continue
            group, where, resource, name = (part or "" for part in found.groups())
            if (
                namespace in ("", where)
                and group in rule.get("apiGroups", ())
                and resource in rule.get("resources", ())
                and ("get" if name else "list") in rule["verbs"]
                and (not rule.get("resourceNames") or name in rule["resourceNames"])
            ):
                return True
        return False


class Answers(BaseHTTPRequestHandler):
    """One request; ``place`` is the control plane, None the load balancer."""

    protocol_version = "HTTP/1.1"
    cluster: Cluster
    place: Server | None

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        server = self.place or self._next()
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        server.requests.append((self.path, self.headers.get("Audit-ID", ""), token))
        if token not in (TOKEN, STRANGER):
            return self._send(401, {"kind": "Status", "code": 401})
        level = server.level if self.path.startswith("/api") else "None"
        server.levels[level] = server.levels.get(level, 0) + 1
        for other in self.cluster.noise:
            server.levels[other] = server.levels.get(other, 0) + 1
        if not self.cluster.allows(token, self.path):
            return self._send(FORBIDDEN, {"kind": "Status", "code": FORBIDDEN})
        return self._answer(server)

    def _next(self) -> Server:
        up = [one for one in self.cluster.servers.values() if one.listening is not None]
        return up[next(self.cluster.turn) % len(up)]

    def _answer(self, server: Server) -> None:
        cluster, bare = self.cluster, self.path.partition("?")[0]
        if bare == "/readyz":
            return self._send(server.readyz, "ok" if server.readyz == 200 else "[-]etcd failed: reason withheld\n")
        if bare == "/metrics":
            return self._send(200, metrics_of(server))
        if bare == "/flagz":
            return self._flagz(server)
        if server.drips:
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                for _ in range(600):
                    self.wfile.write(b"X")
                    time.sleep(0.05)
            return None
        if not server.has_etcd:  # the client gives up first
            time.sleep(cluster_patience(self))
            return None
        objects = {"pods": cluster.pods, "nodes": cluster.nodes, "kubernetes": cluster.slice}
        name = bare.rpartition("/")[2]
        if name == "kubeadm-config":
            server.events += server.is_recording
            server.lost += not server.is_recording
            return self._send(200, cluster.record) if cluster.record else self._send(404, {"code": 404})
        return self._send(200, objects[name])

    def _flagz(self, server: Server) -> None:
        if not server.has_flagz:
            return self._send(404, "404 page not found\n")
        shown = json.loads((GOLDEN / "flagz.json").read_text())
        shown["flags"] |= {**dict(self.cluster.audit_flags(server.node)), **server.running}
        if "as=Flagz" in self.headers.get("Accept", ""):
            return self._send(200, shown, FLAGZ_TYPE)
        return self._send(406, {"code": 406})

    def _send(self, status: int, body: object, kind: str = "application/json") -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def cluster_patience(handler: Answers) -> float:
    """How long a server without etcd keeps its client waiting: until that one has closed, or longer than it waits."""
    handler.close_connection = True
    handler.connection.settimeout(20)
    with suppress(OSError):
        handler.connection.recv(1)
    return 0.0


def metrics_of(server: Server) -> str:
    """The recorded page with the counters of now."""
    text = (GOLDEN / "metrics.txt").read_text()
    text = re.sub(r"(?m)^apiserver_audit_event_total .*$", f"apiserver_audit_event_total {server.events}", text)
    text = re.sub(r"(?m)^apiserver_audit_level_total.*\n", "", text)
    for level, number in server.levels.items():
        text += f'apiserver_audit_level_total{{level="{level}"}} {number}\n'
    if server.lost:
        text += f'apiserver_audit_error_total{{plugin="log"}} {server.lost}\n'
    return text


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Yield the cluster while its servers listen."""
    cluster = Cluster(folder)
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(cluster.bundle.server.certificate)
    key.write_bytes(cluster.bundle.server.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    listening = []
    for server in (None, *cluster.servers.values()):
        handler = type("Bound", (Answers,), {"cluster": cluster, "place": server})
        one = ThreadingHTTPServer((server.host if server else "127.0.0.1", cluster.port), handler)
        one.daemon_threads, one.block_on_close = True, False
        one.socket = tls.wrap_socket(one.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        listening.append(one)
        if server is not None:
            server.listening = one
    try:
        yield cluster
    finally:
        for one in listening:
            if one.socket.fileno() >= 0:
                one.shutdown()
                one.server_close()


def without(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A copy without a key."""
    return {name: copy.deepcopy(value) for name, value in document.items() if name != key}
