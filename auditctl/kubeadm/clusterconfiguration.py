"""A ClusterConfiguration as text: the extra arguments and volumes of the API server, read and located, never dumped.

Dialects (``cmd/kubeadm/app/apis/kubeadm``): ``extraArgs`` is a map up to v1beta3 and a list of name and value from
v1beta4 on; ``extraVolumes`` is the same list in all of them. kubeadm decodes every value as a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from auditctl.errors import ManifestError, Place
from auditctl.findings import Severity
from auditctl.manifest import fields
from auditctl.manifest.document import Document
from auditctl.manifest.flag_values import complaints
from auditctl.manifest.flags import AUDIT, normalised
from auditctl.manifest.paths import normalised_path

KIND = "ClusterConfiguration"
API_GROUP = "kubeadm.k8s.io/"
MAP_DIALECTS = frozenset({"v1beta1", "v1beta2", "v1beta3"})
LIST_DIALECTS = frozenset({"v1beta4"})
REMOVED_IN = {"v1beta1": (1, 22), "v1beta2": (1, 27), "v1beta3": (1, 37)}
"""The first kubeadm that no longer reads a dialect (`cmd/kubeadm/app/apis/kubeadm/scheme`, kubernetes/kubernetes#136016)."""
API_SERVER = ("apiServer",)
EXTRA_ARGS = ("apiServer", "extraArgs")
EXTRA_VOLUMES = ("apiServer", "extraVolumes")
AUDIT_PREFIX = "audit-"

_NO_KEY = f"no key {KIND} under data"
_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)


class Argument(NamedTuple):
    """One extra argument: a flag's name without dashes, its value, and its place in the text (index, or key)."""

    name: str
    value: str
    step: int | str = 0

    @property
    def is_audit(self) -> bool:
        return self.name.startswith(AUDIT_PREFIX)


class ExtraVolume(NamedTuple):
    """One extra volume (kubeadm's HostPathMount): paths on the host and in the container; ``path_type`` may be empty."""

    name: str
    host_path: str
    mount_path: str
    read_only: bool = False
    path_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfiguration:
    """The document, its dialect (``v1beta4``), and what it adds to the API server, in the order of the text.

    ``before`` and ``behind`` are the texts of a file around this document (an InitConfiguration, say).
    """

    document: Document
    dialect: str
    arguments: tuple[Argument, ...]
    volumes: tuple[ExtraVolume, ...]
    before: str = ""
    behind: str = ""

    @classmethod
    def parse(cls, text: str, name: str) -> ClusterConfiguration:
        """Read the text of a file or of the ConfigMap's key; ``name`` is what messages call it.

        Raises ManifestError, with its place, for what kubeadm would not read, or reads in another way than it is meant.
        """
        before, own, behind = _own_document(text, name)
        document = Document.of_text(own, name)
        dialect = str(document.value.get("apiVersion", ""))
        known = MAP_DIALECTS | LIST_DIALECTS
        fields.require(
            dialect.startswith(API_GROUP) and dialect.removeprefix(API_GROUP) in known,
            f"the apiVersion {dialect!r} is none of kubeadm's that auditctl knows ({', '.join(sorted(known))})",
            document,
            ("apiVersion",),
        )
        dialect = dialect.removeprefix(API_GROUP)
        arguments = _mapped(document) if dialect in MAP_DIALECTS else _listed(document)
        return cls(
            document=document,
            dialect=dialect,
            arguments=arguments,
            volumes=_volumes(document),
            before=before,
            behind=behind,
        )

    @property
    def audit_arguments(self) -> dict[str, str]:
        """Return every extra argument ``audit-*`` by its name."""
        return {argument.name: argument.value for argument in self.arguments if argument.is_audit}

    def whole(self, own: str) -> str:
        """Return the text of the whole file with ``own`` in the place of this document."""
        return self.before + own + self.behind


def carried_by_configmap(text: str, name: str) -> str | None:
    """Return the ClusterConfiguration inside a ConfigMap (``kubectl get cm kubeadm-config -o yaml``, or ``-o json``).

    None where the text is no ConfigMap. Raises ManifestError for a ConfigMap without that key, or text that is no YAML.
    """
    if not re.search(r"""(?m)^[ \t]*["']?kind["']?:[ \t]*["']?ConfigMap\b""", text) or _has_own_document(text):
        return None
    if text.lstrip().startswith("{"):
        return _carried_by_json(text, name)
    document = Document.of_text(text, name)
    if document.value.get("kind") != "ConfigMap":
        return None
    carried = fields.value_at(document, ("data", KIND))
    fields.require(isinstance(carried, str), f"the ConfigMap has {_NO_KEY}", document, ("data",))
    return str(carried)


def _carried_by_json(text: str, name: str) -> str:
    try:
        carried = json.loads(text)["data"][KIND]
    except (ValueError, KeyError, TypeError) as error:
        problem = _NO_KEY if not isinstance(error, ValueError) else f"a fault of JSON: {error}"
        raise ManifestError(f"the ConfigMap has {problem}", place=Place(name)) from error
    return str(carried)


def _has_own_document(text: str) -> bool:
    return re.search(rf"(?m)^kind:[ \t]*[\"']?{KIND}\b", text) is not None


def _own_document(text: str, name: str) -> tuple[str, str, str]:
    """Find the ClusterConfiguration among the documents of a text: what is before it, itself, what is behind.

    Raises ManifestError where there is none.
    """
    cuts = [0, *(separator.end() for separator in _SEPARATOR.finditer(text)), len(text)]
    parts = list(zip(cuts, [*(separator.start() for separator in _SEPARATOR.finditer(text)), len(text)], strict=False))
    for start, end in parts:
        own = text[start:end]
        if re.search(rf"^kind:[ \t]*[\"']?{KIND}[\"']?[ \t]*(?:#.*)?\r?$", own, re.MULTILINE):
            lead = re.match(r"(?:\r?\n)?", own)
            skipped = lead.end() if lead and start else 0
            return text[: start + skipped], own[skipped:], text[end:]
    document = Document.of_text(text, name)
    raise ManifestError(f"no {KIND} is in it", place=document.place(("kind",)))


def _mapped(document: Document) -> tuple[Argument, ...]:
    names = fields.mapping(document, EXTRA_ARGS)
    return tuple(Argument(name, _text(document, (*EXTRA_ARGS, name)), name) for name in names)


def _listed(document: Document) -> tuple[Argument, ...]:
    arguments: list[Argument] = []
    for index in range(len(fields.sequence(document, EXTRA_ARGS))):
        here = (*EXTRA_ARGS, index)
        name = _text(document, (*here, "name"))
        fields.require(bool(name), f"{fields.written(here)} has no name", document, here)
        is_repeated = name in {argument.name for argument in arguments}
        fields.require(
            not (is_repeated and name.startswith(AUDIT_PREFIX)),
            f"the extra argument {name} is there twice",
            document,
            here,
        )
        arguments.append(Argument(name, _text(document, (*here, "value")), index))
    return tuple(arguments)


def _volumes(document: Document) -> tuple[ExtraVolume, ...]:
    volumes = []
    for index in range(len(fields.sequence(document, EXTRA_VOLUMES))):
        here = (*EXTRA_VOLUMES, index)
        entry = fields.mapping(document, here)
        texts = {key: _text(document, (*here, key)) for key in ("name", "hostPath", "mountPath", "pathType")}
        volumes.append(
            ExtraVolume(
                texts["name"],
                normalised_path(texts["hostPath"]),
                normalised_path(texts["mountPath"]),
                entry.get("readOnly") is True,
                texts["pathType"],
            )
        )
    return tuple(volumes)


def _text(document: Document, path: tuple[Any, ...]) -> str:
    """Return a string; refuse a number or a bool without quotes, as kubeadm does."""
    value = fields.value_at(document, path)
    fields.require(
        value is None or isinstance(value, str),
        f"{fields.written(path)} is not a string (kubeadm would refuse it): quote it",
        document,
        path,
    )
    return value if isinstance(value, str) else ""


class RecordFault(NamedTuple):
    """One fault: ``name`` is the flag or volume as differences call it (``--audit-log-maxage``)."""

    name: str
    message: str
    fix: str
    place: Place


def faults(configuration: ClusterConfiguration, version: tuple[int, int]) -> Iterator[RecordFault]:
    """Yield each audit argument that a server of ``version`` refuses, and each volume that a Pod cannot have."""
    yield from _argument_faults(configuration, version)
    yield from _volume_faults(configuration)


def _argument_faults(configuration: ClusterConfiguration, version: tuple[int, int]) -> Iterator[RecordFault]:
    given: dict[str, str] = {}
    for argument in configuration.arguments:
        place = configuration.document.place((*EXTRA_ARGS, argument.step))
        plain = normalised(argument.name)
        if argument.name.startswith("-") and plain.startswith(AUDIT):
            message = f"the extra argument {argument.name!r} has dashes of its own, so kubeadm writes --{argument.name}={argument.value}"
            yield RecordFault(f"--{argument.name}", message, f"write {plain!r}", place)
        elif argument.is_audit:
            given[plain] = argument.value
    steps = {normalised(argument.name): argument for argument in configuration.arguments if argument.is_audit}
    for finding in complaints(given, version, given):
        if finding.severity is Severity.ERROR:
            argument = steps[finding.path.removeprefix("--")]
            place = configuration.document.place((*EXTRA_ARGS, argument.step))
            yield RecordFault(f"--{argument.name}", finding.message, finding.fix, place)


def _volume_faults(configuration: ClusterConfiguration) -> Iterator[RecordFault]:
    """Yield a name or a mountPath that is there twice (pkg/apis/core/validation/validation.go refuses both)."""
    names: dict[str, str] = {}
    paths: dict[str, str] = {}
    for index, volume in enumerate(configuration.volumes):
        place = configuration.document.place((*EXTRA_VOLUMES, index))
        label = f"volume {volume.name}"
        if volume.name in names:
            yield RecordFault(
                label, f"{fields.written((*EXTRA_VOLUMES, index))}: a volume {volume.name} is there already", "", place
            )
        if volume.mount_path in paths:
            message = f"volume {volume.name} is mounted at {volume.mount_path}, as volume {paths[volume.mount_path]} is"
            yield RecordFault(label, message, "", place)
        names.setdefault(volume.name, volume.mount_path)
        paths.setdefault(volume.mount_path, volume.name)
