"""A few objects in memory, behind the verbs of the API. No etcd: a restart forgets what was written."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from auditctl.compatibility import UTC
from auditctl.lab.node.layout import NODE_NAME
from auditctl.policy.types import Attributes

Object = dict[str, Any]

KINDS: dict[tuple[str, str], tuple[str, bool]] = {  # (group, resource): kind, namespaced
    ("", "configmaps"): ("ConfigMap", True),
    ("", "events"): ("Event", True),
    ("", "namespaces"): ("Namespace", False),
    ("", "nodes"): ("Node", False),
    ("", "pods"): ("Pod", True),
    ("", "secrets"): ("Secret", True),
    ("", "serviceaccounts"): ("ServiceAccount", True),
    ("", "services"): ("Service", True),
    ("apps", "daemonsets"): ("DaemonSet", True),
    ("apps", "deployments"): ("Deployment", True),
    ("batch", "jobs"): ("Job", True),
    ("coordination.k8s.io", "leases"): ("Lease", True),
    ("rbac.authorization.k8s.io", "clusterroles"): ("ClusterRole", False),
    ("rbac.authorization.k8s.io", "roles"): ("Role", True),
}


class StatusError(Exception):
    """The API's way to say no: an HTTP code, a reason and a message for a Status object."""

    def __init__(self, code: int, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details


@dataclass(slots=True)
class Objects:
    """Objects by (group, resource, namespace, name)."""

    _kept: dict[tuple[str, str, str, str], Object] = field(default_factory=dict)
    _revision: int = 100
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self._put(_attributes("namespaces", "", name), {"metadata": {"name": name}, "status": {"phase": "Active"}})
        self._put(_attributes("nodes", "", NODE_NAME), {"metadata": {"name": NODE_NAME}})
        pod = f"kube-apiserver-{NODE_NAME}"
        self._put(_attributes("pods", "kube-system", pod), {"metadata": {"name": pod, "namespace": "kube-system"}})

    def perform(self, wanted: Attributes, body: Any, *, dry_run: bool) -> tuple[int, Object]:
        """Code and answer of one request. Raises StatusError."""
        if (wanted.api_group, wanted.resource) not in KINDS:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        with self._lock:
            match wanted.verb:
                case "list" | "watch":
                    return 200, self._list(wanted)
                case "get":
                    return 200, self._get(wanted)
                case "create":
                    return 201, self._create(wanted, body, dry_run=dry_run)
                case "update" | "patch":
                    return 200, self._change(wanted, body, dry_run=dry_run)
                case "delete" | "deletecollection":
                    return 200, self._delete(wanted, dry_run=dry_run)
                case _:
                    words = "the server does not allow this method on the requested resource"
                    raise StatusError(405, "MethodNotAllowed", words)

    def _list(self, wanted: Attributes) -> Object:
        kind, _ = KINDS[wanted.api_group, wanted.resource]
        items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in self._matching(wanted)]
        head = {"kind": f"{kind}List", "apiVersion": _group_version(wanted)}
        return {**head, "metadata": {"resourceVersion": str(self._revision)}, "items": items}

    def _matching(self, wanted: Attributes) -> Iterator[Object]:
        for (group, resource, namespace, name), kept in sorted(self._kept.items()):
            if (group, resource) != (wanted.api_group, wanted.resource) or wanted.name not in ("", name):
                continue
            if wanted.namespace in ("", namespace) or resource == "namespaces":
                yield kept

    def _get(self, wanted: Attributes) -> Object:
        kept = self._kept.get(_key(wanted, wanted.name))
        if kept is None:
            resource = f"{wanted.resource}.{wanted.api_group}" if wanted.api_group else wanted.resource
            words = f'{resource} "{wanted.name}" not found'
            raise StatusError(404, "NotFound", words, name=wanted.name, group=wanted.api_group, kind=wanted.resource)
        return kept

    def _create(self, wanted: Attributes, body: Any, *, dry_run: bool) -> Object:
        if wanted.subresource:
            return body if isinstance(body, dict) else {}
        if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
            raise StatusError(400, "BadRequest", "the object provided is unrecognized (must be of type object)")
        name = (
            body["metadata"].get("name") or f"{body['metadata'].get('generateName', 'object-')}{uuid.uuid4().hex[:5]}"
        )
        if _key(wanted, name) in self._kept:
            words = f'{wanted.resource} "{name}" already exists'
            raise StatusError(409, "AlreadyExists", words, name=name, group=wanted.api_group, kind=wanted.resource)
        if wanted.namespace and wanted.resource != "namespaces":
            self._get(_attributes("namespaces", "", wanted.namespace))
        body = {**body, "metadata": {**body["metadata"], "name": name}}
        return _complete(wanted, body, self._revision) if dry_run else self._put(wanted, body)

    def _change(self, wanted: Attributes, body: Any, *, dry_run: bool) -> Object:
        kept = self._get(wanted)
        if not isinstance(body, dict):  # an RFC 6902 patch is taken and changes nothing here
            return kept
        changed = _merge(kept, body) if wanted.verb == "patch" else body
        changed["metadata"] = {**kept["metadata"], **(changed.get("metadata") or {})}
        return _complete(wanted, changed, self._revision) if dry_run else self._put(wanted, changed)

    def _delete(self, wanted: Attributes, *, dry_run: bool) -> Object:
        if wanted.verb == "deletecollection":
            gone, answer = list(self._matching(wanted)), self._list(wanted)
        else:
            gone = [self._get(wanted)]
            details = {
                "name": wanted.name,
                "group": wanted.api_group,
                "kind": wanted.resource,
                "uid": gone[0]["metadata"]["uid"],
            }
            details = {name: value for name, value in details.items() if value}
            answer = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        for each in gone if not dry_run else []:
            self._kept.pop(_key(wanted, each["metadata"]["name"]), None)
        return answer

    def _put(self, wanted: Attributes, body: Object) -> Object:
        self._revision += 1
        made = _complete(wanted, body, self._revision)
        self._kept[_key(wanted, made["metadata"]["name"])] = made
        return made


def _complete(wanted: Attributes, body: Object, revision: int) -> Object:
    """What the server adds to an object: kind, uid, resourceVersion, creation time."""
    kind, namespaced = KINDS[wanted.api_group, wanted.resource]
    metadata = {name: value for name, value in body["metadata"].items() if name != "creationTimestamp"}
    if namespaced and wanted.namespace:
        metadata["namespace"] = wanted.namespace
    metadata.setdefault("uid", str(uuid.uuid4()))
    metadata["resourceVersion"] = str(revision)
    metadata["creationTimestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    rest = {name: value for name, value in body.items() if name not in ("kind", "apiVersion", "metadata")}
    return {"kind": kind, "apiVersion": _group_version(wanted), "metadata": metadata, **rest}


def _merge(old: Any, patch: Any) -> Any:
    """RFC 7396; a strategic merge patch is treated the same."""
    if not isinstance(patch, dict) or not isinstance(old, dict):
        return patch
    merged = {**old, **{name: _merge(old.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def _key(wanted: Attributes, name: str) -> tuple[str, str, str, str]:
    namespaced = KINDS[wanted.api_group, wanted.resource][1]
    return wanted.api_group, wanted.resource, wanted.namespace if namespaced else "", name


def _group_version(wanted: Attributes) -> str:
    return f"{wanted.api_group}/{wanted.api_version}" if wanted.api_group else wanted.api_version


def _attributes(resource: str, namespace: str, name: str) -> Attributes:
    return Attributes(None, True, "get", "", "v1", namespace, resource, "", name)  # noqa: FBT003 - positional for brevity
