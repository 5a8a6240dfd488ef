"""Requests of every kind that audit policies tell apart, each under an Audit-ID of its own, the same ones again and again."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.node.apiserver.credentials import read

FOLDER = Path("/etc/kubernetes")
ADMIN, MANAGER, SCHEDULER, KUBELET = ("super-admin", "controller-manager", "scheduler", "kubelet")
NOBODY = ""
_JSON, _MERGE, _STRATEGIC, _APPLY = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Request(NamedTuple):
    """One request; ``who`` names a kubeconfig of the node, "" is nobody."""

    method: str
    path: str
    who: str = ADMIN
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Client:
    """Connections to this node's API server that stay open, one a user."""

    def __init__(self) -> None:
        self._open: dict[str, http.client.HTTPSConnection] = {}

    def send(self, request: Request, audit_id: str) -> int:
        """Send it; the status code. The answer is read whole."""
        connection = self._open.get(request.who) or self._connected(request.who)
        body = None if request.body is None else json.dumps(request.body).encode()
        headers = {"Audit-ID": audit_id, "Content-Type": "application/json", **dict(request.headers)}
        try:
            connection.request(request.method, request.path, body, headers)
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError):  # a server that closes a connection was asked all the same
            self._open.pop(request.who).close()
            return 0
        return answer.status

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def _connected(self, who: str) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(FOLDER / "pki/ca.crt"))
        if who == KUBELET:  # its kubeconfig names files
            current = "/var/lib/kubelet/pki/kubelet-client-current.pem"
            if Path(current).exists():
                context.load_cert_chain(current)
            else:
                read(FOLDER / "kubelet.conf").load_into(context)
        elif who:
            read(FOLDER / f"{who}.conf").load_into(context)
        made = self._open[who] = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=30, context=context)
        return made


def collection(group: str, version: str, resource: str, namespace: str = "default") -> str:
    """The path of a collection; ``namespace`` "" is none."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{resource}" if namespace else f"{root}/{resource}"


def _object(api: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}


def _life(path: str, body: dict[str, Any], patch: dict[str, Any]) -> Iterator[Request]:
    """All that can be done to an object, from its creation to its end."""
    name = body["metadata"]["name"]
    yield Request("POST", path, body=body)
    yield Request("POST", path + "?dryRun=All", body=body)
    yield Request("GET", f"{path}/{name}")
    yield Request("GET", path)
    yield Request("GET", path, headers=(("Accept", _TABLE),))
    yield Request("GET", f"{path}?fieldSelector=metadata.name%3D{name}")
    yield Request("GET", f"{path}?watch=1&timeoutSeconds=1")
    yield Request("PUT", f"{path}/{name}", body=body)
    yield Request("PATCH", f"{path}/{name}", body=patch, headers=(("Content-Type", _MERGE),))
    add = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "<b>&c"}}]
    yield Request("PATCH", f"{path}/{name}", body=add, headers=(("Content-Type", _JSON),))
    applied = {**body, "metadata": {**body["metadata"], "labels": {"applied": "yes"}}}
    yield Request(
        "PATCH", f"{path}/{name}?fieldManager=test&force=true", body=applied, headers=(("Content-Type", _APPLY),)
    )
    yield Request("DELETE", f"{path}/{name}", body={"gracePeriodSeconds": 0})
    yield Request("DELETE", f"{path}?labelSelector=none%3Dof-them")
    yield Request("GET", f"{path}/{name}")


_CONTAINER = {"name": "c", "image": "registry.k8s.io/pause:3.9"}
_TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [_CONTAINER]}}
_DEPLOYMENT = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": _TEMPLATE}
_RBAC = "rbac.authorization.k8s.io"
_RULE = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
_HOOK = {
    "name": "a.example.com", "clientConfig": {"url": "https://127.0.0.1:1/"}, "sideEffects": "None",
    "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
    "rules": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["nothings"]}],
}  # fmt: skip
_LIVES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    (collection("", "v1", "configmaps"), _object("v1", "ConfigMap", "rec", data={"a": "b"}), {"data": {"a": "c"}}),
    (collection("", "v1", "secrets"), _object("v1", "Secret", "rec", stringData={"a": "b"}), {"data": {"a": "Yw=="}}),
    (collection("", "v1", "serviceaccounts"), _object("v1", "ServiceAccount", "rec"), {"secrets": []}),
    (collection("", "v1", "services"), _object("v1", "Service", "rec", spec={"ports": [{"port": 80}]}), {"spec": {}}),
    (collection("", "v1", "namespaces", ""), _object("v1", "Namespace", "rec-ns"), {"metadata": {"labels": {"a": "b"}}}),
    (collection("apps", "v1", "deployments"), _object("apps/v1", "Deployment", "rec", spec=_DEPLOYMENT), {"spec": {"paused": True}}),
    (collection(_RBAC, "v1", "roles"), _object(f"{_RBAC}/v1", "Role", "rec", rules=[_RULE]), {"rules": []}),
    (collection(_RBAC, "v1", "clusterroles", ""), _object(f"{_RBAC}/v1", "ClusterRole", "rec", rules=[_RULE]), {"rules": []}),
    (collection("coordination.k8s.io", "v1", "leases"), _object("coordination.k8s.io/v1", "Lease", "rec", spec={}), {"spec": {"holderIdentity": "a"}}),
    (
        collection("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", ""),
        _object("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "rec", webhooks=[_HOOK]),
        {"metadata": {"labels": {"a": "b"}}},
    ),
)  # fmt: skip


def _reviews() -> Iterator[Request]:
    for group, kind, spec in (
        ("authentication.k8s.io", "TokenReview", {"token": "none"}),
        ("authorization.k8s.io", "SelfSubjectAccessReview", {"resourceAttributes": {"verb": "get", "resource": "pods"}}),
        ("authorization.k8s.io", "SubjectAccessReview", {"user": "a", "nonResourceAttributes": {"verb": "get", "path": "/"}}),
        ("authentication.k8s.io", "SelfSubjectReview", {}),
    ):  # fmt: skip
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        yield Request("POST", collection(group, "v1", kind.lower() + "s", ""), body=body)
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    yield Request("POST", collection("", "v1", "serviceaccounts") + "/none/token", body=token)


def _ways_in() -> Iterator[Request]:
    pod = collection("", "v1", "pods") + "/none"
    for method in ("GET", "POST"):
        yield Request(method, pod + "/exec?command=sh&stdout=1")
        yield Request(method, pod + "/attach?stdout=1")
        yield Request(method, pod + "/portforward?ports=80")
        yield Request(method, pod + "/proxy/a/b")
    yield Request("GET", pod + "/log")
    yield Request("GET", collection("", "v1", "services") + "/none:80/proxy/")
    yield Request("GET", "/api/v1/nodes/none/proxy/metrics")
    yield Request("PATCH", pod + "/ephemeralcontainers", body={"spec": {}}, headers=(("Content-Type", _STRATEGIC),))
    yield Request("POST", collection("", "v1", "pods"), body=_object("v1", "Pod", "rec", spec={"containers": []}))


def _strangers() -> Iterator[Request]:
    secrets, pods = collection("", "v1", "secrets"), collection("", "v1", "pods")
    for path in (
        "/healthz",
        "/livez",
        "/readyz?verbose",
        "/version",
        "/metrics",
        "/api",
        "/apis",
        "/openapi/v2?a",
        secrets,
    ):
        yield Request("GET", path, NOBODY)
    for path in (secrets, "/healthz", pods + "/none/exec?command=sh"):
        yield Request("GET", path, NOBODY, headers=(("Authorization", "Bearer none"),))  # 401
    for path in (pods + "?timeout=never", "/version?timeout=never"):
        yield Request("GET", path)  # 400, before anybody is asked who it is
    for who in ("bob", "system:kube-scheduler", "system:serviceaccount:kube-system:none"):
        for path in (secrets, pods, "/healthz"):
            yield Request("GET", path, headers=(("Impersonate-User", who), ("Impersonate-Group", "system:nodes")))
    for who in (MANAGER, SCHEDULER, KUBELET):
        for path in (pods, secrets, pods + "?watch=1&timeoutSeconds=1", "/healthz", "/api/v1/nodes/controlplane"):
            yield Request("GET", path, who)
        lease = _object("coordination.k8s.io/v1", "Lease", f"rec-{who}", spec={})
        yield Request("POST", collection("coordination.k8s.io", "v1", "leases", "kube-node-lease"), who, lease)
        event = {
            **_object("v1", "Event", "rec"),
            "involvedObject": {"kind": "Pod", "namespace": "default"},
            "reason": "a",
        }
        yield Request("POST", collection("", "v1", "events"), who, event)
        yield Request("DELETE", collection("", "v1", "events") + "/rec")
        yield Request("PATCH", "/api/v1/nodes/none/status", who, {}, (("Content-Type", _STRATEGIC),))


def _odd() -> Iterator[Request]:
    for path in (
        "/",
        "/apis/apps/v1",
        "/openapi/v3",
        "/nowhere",
        "/healthz/ping",
        "/api/v1/namespaces/default/",
        "/%61pis",
    ):
        yield Request("GET", path)
    yield Request("HEAD", "/version")
    yield Request("OPTIONS", collection("", "v1", "pods"))
    yield Request("GET", "/api/v1/watch/pods?timeoutSeconds=1")
    yield Request("GET", "/api/v1/pods/status/too/many/parts")
    yield Request("GET", collection("none.example.com", "v1", "nothings"))
    service = {"name": "none", "namespace": "default"}
    aggregated = {"group": "rec.example.com", "version": "v1", "groupPriorityMinimum": 10, "versionPriority": 10}
    apis = collection("apiregistration.k8s.io", "v1", "apiservices", "")
    spec = {**aggregated, "service": service, "insecureSkipTLSVerify": True}
    yield Request(
        "POST", apis, body=_object("apiregistration.k8s.io/v1", "APIService", "v1.rec.example.com", spec=spec)
    )
    yield Request("GET", collection("rec.example.com", "v1", "things"))
    yield Request("DELETE", apis + "/v1.rec.example.com")


def requests() -> list[Request]:
    """All of them, in their order."""
    lives = [request for each in _LIVES for request in _life(*each)]
    return [*lives, *_reviews(), *_ways_in(), *_strangers(), *_odd()]


def drive(name: str) -> dict[str, int]:
    """Send them all; the status code of each by its Audit-ID, ``NAME-NUMBER``."""
    client = Client()
    try:
        return {
            f"{name}-{number:03}": client.send(each, f"{name}-{number:03}") for number, each in enumerate(requests())
        }
    finally:
        client.close()
