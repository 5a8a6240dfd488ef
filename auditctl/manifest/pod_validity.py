"""Would the kubelet take this Pod from a file? What an edit by hand, or one of ours, can break.

Sources: ``pkg/kubelet/config/common.go tryDecodeSinglePod`` (decode, default, ValidatePodCreate, no references to API
objects from 1.34 on) and ``pkg/apis/core/validation/validation.go``. An error is what the kubelet really refuses: the
listing then removes the running Pod. What it accepts and ignores, like a misspelt field, is a warning.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.fields import Path, written

PodFault = tuple[Path, Severity, str]
Fields = dict[str, Any]

REFERENCES_REFUSED_SINCE = (1, 34)  # feature gate PreventStaticPodAPIReferences, on
RELAXED_ENVIRONMENT_SINCE = (1, 32)  # feature gate RelaxedEnvironmentVariableValidation, on
HOST_PATH_TYPES = ("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
PROPAGATIONS = ("None", "HostToContainer", "Bidirectional")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
RESTART_POLICIES = ("Always", "OnFailure", "Never")
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_ENVIRONMENT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
# volume sources that name objects of the API (pkg/api/pod/util.go HasAPIObjectReference), and what they name
_API_VOLUMES = {
    "secret": "a Secret",
    "configMap": "a ConfigMap",
    "csi": "a CSI driver",
    "glusterfs": "an Endpoints object",
    **dict.fromkeys(("persistentVolumeClaim", "ephemeral"), "a PersistentVolumeClaim"),
    "azureFile": "a Secret",
}
_API_FIELDS = {
    **dict.fromkeys(("serviceAccountName", "serviceAccount"), "a ServiceAccount"),
    "resourceClaims": "a ResourceClaim",
    "imagePullSecrets": "a Secret",
}
_API_VARIABLES = {
    **dict.fromkeys(("secretKeyRef", "secretRef"), "a Secret"),
    **dict.fromkeys(("configMapKeyRef", "configMapRef"), "a ConfigMap"),
}
_API_SOURCES = {
    "configMap": "a ConfigMap",
    "secret": "a Secret",
    "serviceAccountToken": "a ServiceAccount",
    "clusterTrustBundle": "a ClusterTrustBundle",
    "podCertificate": "a certificate of the API",
}
_MOUNT_FIELDS = {"mountPath", "mountPropagation", "name", "readOnly", "recursiveReadOnly", "subPath", "subPathExpr"}
_CONTAINER_LISTS = ("containers", "initContainers")
_TYPES: dict[str, tuple[type, str]] = {
    "name": (str, "a string"),
    "image": (str, "a string"),
    "mountPath": (str, "a string"),
    "subPath": (str, "a string"),
    "value": (str, "a string: quote it"),
    "readOnly": (bool, "true or false"),
    "containerPort": (int, "a number"),
    "hostPort": (int, "a number"),
    "runAsUser": (int, "a number"),
}


def findings(document: Document, version: tuple[int, ...] | None) -> Iterator[Finding]:
    """Yield all that the kubelet of ``version`` (None: the newest) would refuse or silently ignore."""
    value = document.value
    for path, severity, message in _pod(value, version) if isinstance(value, dict) else ():
        check, fix = ("pod-field", "correct its spelling, or take it out")
        if severity is Severity.ERROR:
            check, fix = ("pod-invalid", "correct that place of the manifest")
        place = document.place(path)._asdict()
        yield Finding(check=check, severity=severity, message=message, fix=fix, path=written(path), **place)


def _pod(pod: Fields, version: tuple[int, ...] | None) -> Iterator[PodFault]:
    if pod.get("apiVersion") != "v1":
        yield _refused(
            ("apiVersion",), f"{pod.get('apiVersion')!r} is not v1, so that the kubelet takes this for no Pod"
        )
    yield from _metadata(_mapping(pod.get("metadata")))
    spec = _mapping(pod.get("spec"))
    if spec.get("restartPolicy", "Always") not in RESTART_POLICIES:
        yield _refused(("spec", "restartPolicy"), f"must be one of {', '.join(RESTART_POLICIES)}")
    yield from _volumes(spec)
    yield from _references(spec, version)
    yield from _containers(spec, version)


def _metadata(metadata: Fields) -> Iterator[PodFault]:
    name = metadata.get("name")
    if isinstance(name, str) and not (name and all(is_label(part, longest=253) for part in name.split("."))):
        yield _refused(("metadata", "name"), f"{name!r} is not a name of a Pod (lower-case letters, digits, - and .)")
    namespace = metadata.get("namespace")
    if isinstance(namespace, str) and namespace and not is_label(namespace):
        yield _refused(("metadata", "namespace"), f"{namespace!r} is not a name of a namespace")
    for kind in ("labels", "annotations"):
        for key, value in _mapping(metadata.get(kind)).items():
            if value is not None and not isinstance(value, str):
                yield _refused(("metadata", kind, key), "must be a string: quote it")


def _volumes(spec: Fields) -> Iterator[PodFault]:
    taken: set[str] = set()
    for index, volume in _items(spec, "volumes"):
        here: Path = ("spec", "volumes", index)
        name = volume.get("name") or ""
        if not (isinstance(name, str) and is_label(name)):
            yield _refused((*here, "name"), f"{name!r} is not a name of a volume (lower-case letters, digits and -)")
        elif name in taken:
            yield _refused((*here, "name"), f"there are two volumes named {name}")
        taken.add(str(name))
        sources = [key for key, source in volume.items() if key != "name" and source is not None]
        if len(sources) > 1:
            yield _refused(here, f"volume {name} has more than one source: {', '.join(sources)}")
        if not sources:
            yield here, Severity.WARNING, f"volume {name} has no source, so that it is an empty directory"
        elif sources[0].lower() == "hostpath" and sources[0] != "hostPath":
            text = f"volume {name}: the kubelet ignores {sources[0]!r} and takes an empty directory (hostPath is meant)"
            yield (*here, sources[0]), Severity.WARNING, text
        yield from _host_path(_mapping(volume.get("hostPath")), (*here, "hostPath"))


def _host_path(source: Fields, here: Path) -> Iterator[PodFault]:
    path, kind = source.get("path"), source.get("type") or ""
    if isinstance(path, str) and ".." in path.split("/"):
        yield _refused((*here, "path"), f"{path}: '..' is not allowed")
    elif isinstance(path, str) and path and not path.startswith("/"):
        yield (
            (*here, "path"),
            Severity.WARNING,
            f"{path} is not an absolute path: where it leads depends on the kubelet",
        )
    if kind not in HOST_PATH_TYPES:
        yield _refused(
            (*here, "type"), f"{kind!r} is not a type of a hostPath; the types are {', '.join(HOST_PATH_TYPES[1:])}"
        )
    for key in source.keys() - {"path", "type"}:
        yield (*here, key), Severity.WARNING, f"the kubelet ignores {key!r}, which is not a field of a hostPath"


def _references(spec: Fields, version: tuple[int, ...] | None) -> Iterator[PodFault]:
    """Yield references to API objects: refused since 1.34; before, the server would need itself to start."""
    for path, kind in _named_objects(spec):
        if version is None or version[:2] >= REFERENCES_REFUSED_SINCE:
            yield _refused(path, f"a static Pod may not refer to {kind}")
        else:
            yield path, Severity.WARNING, f"a static Pod should not refer to {kind}; kubelets from 1.34 on refuse it"


def _named_objects(spec: Fields) -> Iterator[tuple[Path, str]]:
    for name, named in _API_FIELDS.items():
        if spec.get(name):
            yield ("spec", name), named
    for index, volume in _items(spec, "volumes"):
        here: Path = ("spec", "volumes", index)
        for kind in _API_VOLUMES.keys() & volume.keys():
            yield (*here, kind), _API_VOLUMES[kind]
        for number, source in _items(_mapping(volume.get("projected")), "sources"):
            for kind in _API_SOURCES.keys() & source.keys():
                yield (*here, "projected", "sources", number, kind), _API_SOURCES[kind]
    for where, container in _every_container(spec):
        for index, variable in _items(container, "env"):
            for key in _API_VARIABLES.keys() & _mapping(variable.get("valueFrom")).keys():
                yield (*where, "env", index, "valueFrom", key), _API_VARIABLES[key]
        for index, source in _items(container, "envFrom"):
            for key in _API_VARIABLES.keys() & source.keys():
                yield (*where, "envFrom", index, key), _API_VARIABLES[key]


def _every_container(spec: Fields) -> Iterator[tuple[Path, Fields]]:
    for kind in _CONTAINER_LISTS:
        for index, container in _items(spec, kind):
            yield ("spec", kind, index), container


def _containers(spec: Fields, version: tuple[int, ...] | None) -> Iterator[PodFault]:
    volumes = {str(volume.get("name")) for _, volume in _items(spec, "volumes")}
    names: set[str] = set()
    ports: set[tuple[object, ...]] = set()
    for here, container in _every_container(spec):
        name = container.get("name") or ""
        if not (isinstance(name, str) and is_label(name)):
            yield _refused((*here, "name"), f"{name!r} is not a name of a container (lower-case letters, digits and -)")
        elif name in names:
            yield _refused((*here, "name"), f"there are two containers named {name}")
        names.add(str(name))
        if not container.get("image"):
            yield _refused((*here, "image"), "an image is needed")
        if container.get("imagePullPolicy", "Always") not in PULL_POLICIES:
            yield _refused((*here, "imagePullPolicy"), f"must be one of {', '.join(PULL_POLICIES)}")
        yield from _typed(container, here)
        yield from _typed(_mapping(container.get("securityContext")), (*here, "securityContext"))
        yield from _mounts(container, volumes, here)
        yield from _environment(container, here, version)
        yield from _ports(container, here, ports, host_network=spec.get("hostNetwork") is True)


def _mounts(container: Fields, volumes: set[str], here: Path) -> Iterator[PodFault]:
    paths: set[str] = set()
    cleaned: set[str] = set()
    privileged = _mapping(container.get("securityContext")).get("privileged") is True
    for index, mount in _items(container, "volumeMounts"):
        there: Path = (*here, "volumeMounts", index)
        name, path = str(mount.get("name")), str(mount.get("mountPath") or "")
        if name not in volumes:
            yield _refused((*there, "name"), f"there is no volume named {name}")
        if path in paths:
            yield _refused((*there, "mountPath"), f"{path} is mounted twice in this container: it must be unique")
        elif path.rstrip("/") in cleaned:
            yield (*there, "mountPath"), Severity.WARNING, f"{path} is mounted twice; the later mount hides the earlier"
        elif ":" in path:
            yield (
                (*there, "mountPath"),
                Severity.WARNING,
                f"{path}: the API forbids ':' here, and not every runtime takes it",
            )
        paths.add(path)
        cleaned.add(path.rstrip("/"))
        propagation = mount.get("mountPropagation", "None")
        if propagation not in PROPAGATIONS or (propagation == "Bidirectional" and not privileged):
            yield _refused((*there, "mountPropagation"), f"{propagation!r} is not possible here")
        for key in ("subPath", "subPathExpr"):
            below = str(mount.get(key) or "")
            if below.startswith("/") or ".." in below.split("/"):
                yield _refused((*there, key), f"{below} must be a path below the volume, without '..'")
        if mount.get("subPath") and mount.get("subPathExpr"):
            yield _refused((*there, "subPathExpr"), "subPath and subPathExpr exclude each other")
        yield from _typed(mount, there)
        for key in mount.keys() - _MOUNT_FIELDS:
            yield (*there, key), Severity.WARNING, f"the kubelet ignores {key!r}, which is not a field of a mount"


def _environment(container: Fields, here: Path, version: tuple[int, ...] | None) -> Iterator[PodFault]:
    relaxed = version is None or version[:2] >= RELAXED_ENVIRONMENT_SINCE
    for index, variable in _items(container, "env"):
        there: Path = (*here, "env", index)
        name = variable.get("name") or ""
        text = str(name)
        legal = text.isascii() and text.isprintable() and "=" not in text
        if not relaxed:
            legal = set(text) <= _ENVIRONMENT and not text[:1].isdigit() and text != "." and not text.startswith("..")
        if not text or not legal:
            yield _refused((*there, "name"), f"{name!r} is not a name of an environment variable")
        if variable.get("value") and variable.get("valueFrom"):
            yield _refused((*there, "valueFrom"), "value and valueFrom exclude each other")
        yield from _typed(variable, there)


def _ports(container: Fields, here: Path, taken: set[tuple[object, ...]], *, host_network: bool) -> Iterator[PodFault]:
    names: set[str] = set()
    for index, port in _items(container, "ports"):
        there: Path = (*here, "ports", index)
        number = port.get("containerPort")
        yield from _typed(port, there)
        if not isinstance(number, int) or not 0 < number < 65536:
            yield _refused((*there, "containerPort"), f"{number!r} is not a port")
            continue
        on_host = port.get("hostPort") or (number if host_network else 0)
        if host_network and on_host != number:
            yield _refused((*there, "hostPort"), "must be the containerPort, since the Pod is on the host's network")
        key = (str(port.get("protocol", "TCP")), str(port.get("hostIP", "")), on_host)
        if on_host and key in taken:
            yield _refused((*there, "hostPort"), f"port {on_host} of the host is taken twice")
        taken.add(key)
        name = str(port.get("name") or "")
        if name and name in names:
            yield _refused((*there, "name"), f"there are two ports named {name}")
        names.add(name)


def _typed(entry: Fields, here: Path) -> Iterator[PodFault]:
    for key, (kind, words) in _TYPES.items():
        value = entry.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            yield _refused((*here, key), f"must be {words}")


def is_label(text: str, longest: int = 63) -> bool:
    """Tell whether it is an RFC 1123 label of at most ``longest`` characters."""
    return 0 < len(text) <= longest and set(text) <= _LABEL and text[0] != "-" and text[-1] != "-"


def _items(fields: Fields, key: str) -> Iterator[tuple[int, Fields]]:
    """Yield the entries of a list that are mappings; others are refused elsewhere."""
    entries = fields.get(key)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _mapping(value: object) -> Fields:
    return value if isinstance(value, dict) else {}


def _refused(path: Path, message: str) -> PodFault:
    return path, Severity.ERROR, message
