"""Read a webhook kubeconfig as the API server would, find its files, and try the receiver."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from auditctl.errors import ManifestError, Place, RefusedError
from auditctl.findings import Finding
from auditctl.manifest.document import Document
from auditctl.manifest.edits import PlanDraft
from auditctl.manifest.fields import mapping, sequence, value_at
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.node.preflight.webhook_config import (
    FILES,
    FileReference,
    WebhookConfig,
    WebhookConfigError,
    parse,
    resolved,
)
from auditctl.node.preflight.webhook_trial import (
    ContainerEnvironment,
    WebhookTrialVerdict,
    attempt,
    is_cluster_internal,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import WEBHOOK_FLAG, WEBHOOK_PATH

_EGRESS_FLAG = "egress-selector-config-file"


class PreparedWebhook(NamedTuple):
    """The bytes to install, and what the API server reads from them."""

    content: bytes
    config: WebhookConfig

    def trial(self, after: Manifest) -> Iterator[Finding]:
        """Yield whether the receiver answers, as the API server of the Pod ``after`` will reach it."""
        yield from reachable(self.config, after)


def prepare(plane: ControlPlane, source: Path, after: Manifest, *, embed: bool) -> PreparedWebhook:
    """Return the kubeconfig ``source`` for the Pod of ``after``; ``embed`` makes its files part of it.

    Raises:
        RefusedError: the API server would not start with it, or a file that it names is not to be had; nothing secret
            is in the words.
    """
    raw = files.read_following(source, "webhook configuration")
    if embed:
        raw = _embedded(raw, source)
    try:
        config = parse(raw, after.flag(WEBHOOK_FLAG) or WEBHOOK_PATH)
    except WebhookConfigError as error:
        error.place = _place(raw, str(source))
        raise
    config = resolved(config, lambda reference: in_container(plane, after, reference))
    return PreparedWebhook(raw, config)


def _place(raw: bytes, source: str) -> Place:
    """Return where the kubeconfig's current context names its cluster, else its current-context, else its first line."""
    with suppress(ManifestError):
        document = Document.parse(raw, source)
        for index in range(len(sequence(document, ("contexts",)))):
            path = ("contexts", index, "context", "cluster")
            named = value_at(document, ("contexts", index, "name")) == value_at(document, ("current-context",))
            if named and value_at(document, path):
                return document.place(path)
        return document.place(("current-context",)) if value_at(document, ("current-context",)) else Place(source, 1, 1)
    return Place(source)


def reachable(config: WebhookConfig, after: Manifest) -> Iterator[Finding]:
    """Yield whether the receiver answers, tried from the host's own network as the API server does."""
    if after.flag(_EGRESS_FLAG):
        text = f"whether {_host(config)} answers is not known: the API server goes there through --{_EGRESS_FLAG}"
        yield Finding.note("webhook-reachable", text)
        return
    if _resolves_cluster_names(after) and is_cluster_internal(_host(config)):
        text = (
            f"whether {_host(config)} answers is not known: this Pod resolves names through the DNS of the cluster "
            "(dnsPolicy), and this node does not"
        )
        yield Finding.warning("webhook-reachable", text, "prove it afterwards: the receiver's own log")
        return
    tried = attempt(config, _surroundings(after))
    match tried.verdict:
        case WebhookTrialVerdict.REACHED:
            yield Finding.note("webhook-reachable", f"the receiver {_host(config)} answers: {tried.words}")
        case WebhookTrialVerdict.UNKNOWN:
            yield Finding.note("webhook-reachable", f"{_host(config)} was not tried: {tried.words}")
        case WebhookTrialVerdict.FAILED:
            yield Finding.error(
                "webhook-reachable",
                f"the webhook receiver {_host(config)} does not take events: {tried.words}",
                "repair it or the kubeconfig, or use --allow webhook-reachable",
            )


def _resolves_cluster_names(manifest: Manifest) -> bool:
    """Tell whether the Pod asks the DNS of the cluster (pkg/kubelet/network/dns/dns.go getPodDNSType)."""
    pod = mapping(manifest.document, ("spec",))
    policy = pod.get("dnsPolicy") or "ClusterFirst"
    return policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and pod.get("hostNetwork") is not True)


def _host(config: WebhookConfig) -> str:
    """Return the server's URL without path and query, which may hold a secret."""
    parts = urlsplit(config.server if "://" in config.server else f"http://{config.server}")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def in_container(plane: ControlPlane, after: Manifest, reference: FileReference) -> bytes:
    """Return the bytes of the file that the container would find at that path.

    Raises:
        RefusedError: no mount covers the path, or the file cannot be read.
    """
    place = after.host_path(reference.path)
    if place is None:
        raise RefusedError(
            f"the webhook configuration names {reference.path} ({reference.field}), and no mount brings it into the container",
            check="webhook-files",
            fix="use --embed-certs to make it part of the configuration",
        )
    host = plane.root.followed(place.path)
    try:
        return files.read_regular(host, reference.field)
    except RefusedError as error:
        raise RefusedError(
            f"the webhook configuration names {reference.path} ({reference.field}), which is {host} on the host: {error.message}",
            check="webhook-files",
            fix="put the file there, or use --embed-certs to make it part of the configuration",
        ) from error


def _embedded(raw: bytes, source: Path) -> bytes:
    """Return the kubeconfig with its files embedded; every other byte is kept.

    Raises:
        RefusedError: a file is not to be had, or its line cannot be replaced exactly.
    """
    document = _document(raw, source)
    draft = PlanDraft(document)
    for list_name, key in (("clusters", "cluster"), ("users", "user")):
        for index in range(len(sequence(document, (list_name,)))):
            path = (list_name, index, key)
            part = mapping(document, path)
            for field, content_field in FILES.items():
                if part.get(field):
                    content = files.read_regular(source.parent / str(part[field]), field)
                    draft.drop_key((*path, field), "its content is embedded")
                    if not part.get(content_field):
                        text = _as_text(content_field, content)
                        draft.add_key((*path, content_field), text, [f"{content_field}: {text}"], "embedded")
    return draft.text().encode()


def _document(raw: bytes, source: Path) -> Document:
    """Return the kubeconfig for an exact edit. What does not parse may be a secret, so it is not quoted."""
    parse(raw, str(source))  # what the API server would refuse is refused in its words
    try:
        return Document.parse(raw, str(source))
    except RefusedError as error:
        raise RefusedError(
            f"{source}: its YAML cannot be edited exactly, so its files cannot be embedded",
            check="webhook-config",
            fix="write certificate-authority-data, client-certificate-data and client-key-data yourself",
        ) from error


def _as_text(field: str, content: bytes) -> str:
    if field == "token":
        return content.decode(errors="replace").strip()
    return base64.b64encode(content).decode()


def _surroundings(manifest: Manifest) -> ContainerEnvironment:
    """Return the Pod's variables and host names; one from a field or a ConfigMap has no value here."""
    document = manifest.document
    container: Any = mapping(document, manifest.container_path)
    environment = {
        str(one.get("name")): str(one["value"])
        for one in container.get("env") or ()
        if isinstance(one, dict) and one.get("value") is not None
    }
    aliases = {
        str(name): str(one.get("ip"))
        for one in sequence(document, ("spec", "hostAliases"))
        if isinstance(one, dict)
        for name in one.get("hostnames") or ()
    }
    spec = mapping(document, ("spec",))
    return ContainerEnvironment(environment, aliases, spec.get("dnsPolicy") == "ClusterFirstWithHostNet")
