"""A few objects in memory, behind the verbs of the API. No etcd: a restart forgets all but kubeadm's own record."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from auditctl.compatibility import UTC
from auditctl.lab.apiserver import json_patch
from auditctl.lab.apiserver.json_patch import PatchError
from auditctl.lab.apiserver.shared_objects import SharedObjects, mirror_pod
from auditctl.lab.node.layout import NODE_NAME
from auditctl.node.change import files
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
_RECORD = ("", "configmaps", "kube-system", "kubeadm-config")
_SESSIONS = frozenset({"attach", "exec", "portforward"})


class StatusError(Exception):
    """The API's way to say no: an HTTP code, a reason and a message for a Status object."""

    def __init__(self, code: int, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details


@dataclass(slots=True, kw_only=True)
class Objects:
    """Objects by (group, resource, namespace, name).

    ``record`` is the file that backs the ConfigMap kubeadm-config, so that it outlives the restarts of a change as it
    does in etcd, and `lab reset` gives it back with the other files. ``command`` is the command line of the mirror Pod,
    ``pod`` the static Pod that it mirrors.
    ``shared`` has what several labs of one cluster share: their Leases, Nodes and mirror Pods.
    """

    record: Path | None = None
    command: Sequence[str] = ()
    pod: Mapping[str, Any] = field(default_factory=dict)
    shared: SharedObjects | None = None
    _kept: dict[tuple[str, str, str, str], Object] = field(default_factory=dict)
    _revision: int = 100
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self._put(_attributes("namespaces", "", name), {"metadata": {"name": name}, "status": {"phase": "Active"}})
        self._put(_attributes("nodes", "", NODE_NAME), {"metadata": {"name": NODE_NAME}})
        pod = mirror_pod(self.pod, self.command, NODE_NAME)
        self._put(_attributes("pods", "kube-system", pod["metadata"]["name"]), pod)

    def perform(self, request: Attributes, body: Any, query: str = "") -> tuple[int, Object]:
        """Return code and answer of one request. Raises StatusError."""
        options = parse_qs(query)
        dry_run = options.get("dryRun") == ["All"]
        if (request.api_group, request.resource) not in KINDS:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        with self._lock, self._shared_with_others():
            self._read_record()
            match request.verb:
                case "list" | "watch":
                    return 200, self._list(request, options.get("labelSelector", [""])[0])
                case "get":
                    return 200, self._get(request)
                case "create":
                    return 201, self._create(request, body, dry_run=dry_run)
                case "update" | "patch":
                    return 200, self._change(request, body, dry_run=dry_run)
                case "delete" | "deletecollection":
                    return 200, self._delete(request, body, dry_run=dry_run)
                case _:
                    words = "the server does not allow this method on the requested resource"
                    raise StatusError(405, "MethodNotAllowed", words)

    @contextmanager
    def _shared_with_others(self) -> Iterator[None]:
        """Take in what the other servers of the cluster have written, and leave them what is written meanwhile."""
        if self.shared is None:
            yield
            return
        with self.shared.locked():
            before = self.shared.read_into(self._kept, self._revision)
            self._revision = before
            yield
            if self._revision != before:
                self.shared.write(self._kept, self._revision)

    def _list(self, request: Attributes, selector: str = "") -> Object:
        kind, _ = KINDS[request.api_group, request.resource]
        selected = [item for item in self._matching(request) if _is_selected(item, selector)]
        items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in selected]
        head = {"kind": f"{kind}List", "apiVersion": _group_version(request)}
        return {**head, "metadata": {"resourceVersion": str(self._revision)}, "items": items}

    def _matching(self, request: Attributes) -> Iterator[Object]:
        for (group, resource, namespace, name), kept in sorted(self._kept.items()):
            if (group, resource) != (request.api_group, request.resource) or request.name not in ("", name):
                continue
            if request.namespace in ("", namespace) or resource == "namespaces":
                yield kept

    def _get(self, request: Attributes) -> Object:
        kept = self._kept.get(_key(request, request.name))
        if kept is None:
            resource = f"{request.resource}.{request.api_group}" if request.api_group else request.resource
            words = f'{resource} "{request.name}" not found'
            raise StatusError(404, "NotFound", words, name=request.name, group=request.api_group, kind=request.resource)
        return kept

    def _create(self, request: Attributes, body: Any, *, dry_run: bool) -> Object:
        if request.subresource in _SESSIONS:
            raise StatusError(501, "NotImplemented", f"this stand-in runs no containers: no {request.subresource}")
        if request.subresource:
            return body if isinstance(body, dict) else {}
        if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
            raise StatusError(400, "BadRequest", "the object provided is unrecognized (must be of type object)")
        name = (
            body["metadata"].get("name") or f"{body['metadata'].get('generateName', 'object-')}{uuid.uuid4().hex[:5]}"
        )
        if _key(request, name) in self._kept:
            words = f'{request.resource} "{name}" already exists'
            raise StatusError(409, "AlreadyExists", words, name=name, group=request.api_group, kind=request.resource)
        if request.namespace and request.resource != "namespaces":
            self._get(_attributes("namespaces", "", request.namespace))
        body = {**body, "metadata": {**body["metadata"], "name": name}}
        return _complete(request, body, self._revision) if dry_run else self._put(request, body)

    def _change(self, request: Attributes, body: Any, *, dry_run: bool) -> Object:
        kept = self._get(request)
        if request.verb == "patch" and isinstance(body, list):
            changed = _patched(kept, body)
        elif not isinstance(body, dict):
            raise StatusError(400, "BadRequest", "the object provided is unrecognized (must be of type object)")
        else:
            changed = _merge(kept, body) if request.verb == "patch" else body
        _refuse_another_version(request, kept, (changed.get("metadata") or {}).get("resourceVersion"))
        fixed = {name: kept["metadata"][name] for name in ("name", "uid")}
        changed = {**changed, "metadata": {**(changed.get("metadata") or {}), **fixed}}
        return _complete(request, changed, self._revision) if dry_run else self._put(request, changed)

    def _delete(self, request: Attributes, body: Any = None, *, dry_run: bool) -> Object:
        if request.verb == "deletecollection":
            gone, answer = list(self._matching(request)), self._list(request)
        else:
            gone = [self._get(request)]
            condition = (body.get("preconditions") or {}) if isinstance(body, dict) else {}
            _refuse_another_version(request, gone[0], condition.get("resourceVersion"))
            details = {
                "name": request.name,
                "group": request.api_group,
                "kind": request.resource,
                "uid": gone[0]["metadata"]["uid"],
            }
            details = {name: value for name, value in details.items() if value}
            answer = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        for each in gone if not dry_run else []:
            key = _key(request, each["metadata"]["name"])
            self._kept.pop(key, None)
            self._revision += 1
            if key == _RECORD and self.record is not None:
                self.record.unlink(missing_ok=True)
        return answer

    def _put(self, request: Attributes, body: Object) -> Object:
        self._revision += 1
        made = _complete(request, body, self._revision)
        key = _key(request, made["metadata"]["name"])
        self._kept[key] = made
        if key == _RECORD and self.record is not None:
            files.replace_file(self.record, record_content(made.get("data") or {}), None)
        return made

    def _read_record(self) -> None:
        """Take what stands in the file, if that is not what is kept: `lab reset` may have given it back."""
        if self.record is None:
            return
        try:
            entries = json.loads(self.record.read_bytes())["data"]
        except (OSError, ValueError, KeyError, TypeError):
            self._kept.pop(_RECORD, None)
            return
        if _RECORD not in self._kept or self._kept[_RECORD].get("data") != entries:
            self._revision += 1
            request, body = _attributes("configmaps", *_RECORD[2:]), {"metadata": {"name": _RECORD[3]}, "data": entries}
            self._kept[_RECORD] = _complete(request, body, self._revision)


def _refuse_another_version(request: Attributes, kept: Object, version: object) -> None:
    """Raise StatusError where the object is not in the version that the caller has read (registry/generic/store.go)."""
    if version not in (None, "", kept["metadata"]["resourceVersion"]):
        text = "the object has been modified; please apply your changes to the latest version and try again"
        words = f'Operation cannot be fulfilled on {request.resource}.{request.api_group} "{request.name}": {text}'
        raise StatusError(409, "Conflict", words, name=request.name, group=request.api_group, kind=request.resource)


def record_content(entries: Mapping[str, str]) -> bytes:
    """Return the content of the file that backs the ConfigMap kubeadm-config."""
    return (json.dumps({"data": dict(entries)}, indent=2) + "\n").encode()


def _is_selected(item: Object, selector: str) -> bool:
    """Return whether the labels match; of a selector only `name=value` parts are compared."""
    labels = item["metadata"].get("labels") or {}
    pairs = [part.replace("==", "=").partition("=") for part in selector.split(",")]
    return all(labels.get(name) == value for name, sign, value in pairs if sign and not name.endswith("!"))


def _patched(kept: Object, operations: Any) -> Object:
    """Return the object after a JSON patch, or refuse it as the real server does (handlers/patch.go jsonPatcher)."""
    try:
        changed = json_patch.apply(kept, operations)
    except PatchError as error:
        if error.malformed:
            raise StatusError(400, "BadRequest", str(error)) from error
        text = "the server rejected our request due to an error in our request"
        raise StatusError(422, "Invalid", text) from error
    if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
        raise StatusError(422, "Invalid", "the patched object is no object with metadata")
    return changed


def _complete(request: Attributes, body: Object, revision: int) -> Object:
    """Add what the server adds to an object: kind, uid, resourceVersion, creation time."""
    kind, namespaced = KINDS[request.api_group, request.resource]
    metadata = {name: value for name, value in body["metadata"].items() if name != "creationTimestamp"}
    if namespaced and request.namespace:
        metadata["namespace"] = request.namespace
    metadata.setdefault("uid", str(uuid.uuid4()))
    metadata["resourceVersion"] = str(revision)
    metadata["creationTimestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    rest = {name: value for name, value in body.items() if name not in ("kind", "apiVersion", "metadata")}
    return {"kind": kind, "apiVersion": _group_version(request), "metadata": metadata, **rest}


def _merge(kept: Any, patch: Any) -> Any:
    """Merge as RFC 7396 says; a strategic merge patch is treated the same."""
    if not isinstance(patch, dict) or not isinstance(kept, dict):
        return patch
    merged = {**kept, **{name: _merge(kept.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def _key(request: Attributes, name: str) -> tuple[str, str, str, str]:
    namespaced = KINDS[request.api_group, request.resource][1]
    return request.api_group, request.resource, request.namespace if namespaced else "", name


def _group_version(request: Attributes) -> str:
    return f"{request.api_group}/{request.api_version}" if request.api_group else request.api_version


def _attributes(resource: str, namespace: str, name: str) -> Attributes:
    return Attributes(
        user=None,
        is_resource_request=True,
        verb="get",
        api_group="",
        api_version="v1",
        namespace=namespace,
        resource=resource,
        subresource="",
        name=name,
    )
