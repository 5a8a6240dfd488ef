"""The ConfigMap ``kube-system/kubeadm-config``, read and replaced through the Kubernetes client; its only owner here.

The client is imported when it is used: it is slow and has native parts. Where it is not installed (the single file, the
package), `plainclient` answers in its place.
"""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from auditctl.errors import RefusedError
from auditctl.kubeadm.plainclient import AnswerError, PlainClient
from auditctl.manifest.flags import normalised

NAMESPACE, NAME, KEY = "kube-system", "kubeadm-config", "ClusterConfiguration"
_SECONDS = (5.0, 20.0)  # to connect, to answer
_SERVER_NAME = "kubernetes"  # in every serving certificate that kubeadm makes


class Access(NamedTuple):
    """How the API is reached: ``https://host:port``, PEM texts and paths, a token. Nothing of it is printed."""

    server: str
    authority: str
    certificate_path: str = ""
    key_path: str = ""
    token: str = ""

    def __repr__(self) -> str:
        """Return a text without anything secret."""
        return f"Access({self.server!r})"


class Stored(NamedTuple):
    """The text under the key, and the version of the object that it was read from (opaque)."""

    text: str
    resource_version: str


class MirrorPod(NamedTuple):
    """A kube-apiserver as the API shows it: its node, its advertised address, its audit flags without dashes."""

    node: str
    address: str
    audit_flags: Mapping[str, str]


class ConflictError(RefusedError):
    """Somebody else has written the ConfigMap since it was read."""


def read(access: Access, *, plainly: bool = False) -> Stored:
    """Read the ConfigMap; ``plainly`` without the Kubernetes client, whose import takes half a second.

    Raises:
        RefusedError: it cannot be had (no such object, forbidden, unreachable).
    """
    with _plain_api(access, "be read") if plainly else _api(access, "be read") as api:
        config_map = api.read_namespaced_config_map(NAME, NAMESPACE, _request_timeout=_SECONDS)
    text = (config_map.data or {}).get(KEY)
    if not text:
        raise RefusedError(
            f"the ConfigMap {NAMESPACE}/{NAME} has no key {KEY}",
            check="kubeadm-config",
            fix="was this cluster made by kubeadm? then: kubeadm init phase upload-config kubeadm --config FILE",
        )
    return Stored(text, config_map.metadata.resource_version)


def write(access: Access, stored: Stored, text: str) -> None:
    """Replace the text, if nobody has written the object since ``stored`` was read.

    Raises:
        ConflictError: somebody has; nothing was written. RefusedError: forbidden, unreachable.
    """
    body = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": stored.resource_version},
        {"op": "test", "path": f"/data/{KEY}", "value": stored.text},
        {"op": "replace", "path": f"/data/{KEY}", "value": text},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": stored.resource_version},
    ]
    with _api(access, "be written") as api:
        api.patch_namespaced_config_map(NAME, NAMESPACE, body, _request_timeout=_SECONDS)


def apiservers(access: Access) -> tuple[MirrorPod, ...]:
    """Return every kube-apiserver of the cluster, by its mirror Pod.

    Raises:
        RefusedError: they cannot be listed.
    """
    with _api(access, "be compared with the other control planes") as api:
        pods = api.list_namespaced_pod(NAMESPACE, label_selector="component=kube-apiserver", _request_timeout=_SECONDS)
    return tuple(_mirror(pod) for pod in pods.items)


def _mirror(pod: Any) -> MirrorPod:
    words = [word for one in pod.spec.containers for word in (*(one.command or ()), *(one.args or ()))]
    pairs = (word.lstrip("-").partition("=") for word in words if word.startswith("-"))
    flags = {normalised(name): value for name, _, value in pairs}
    audit = {name: value for name, value in flags.items() if name.startswith("audit-")}
    return MirrorPod(pod.spec.node_name or pod.metadata.name, flags.get("advertise-address", ""), audit)


@contextmanager
def _api(access: Access, purpose: str) -> Iterator[Any]:
    """Yield the client for one call; its exceptions stop here, as one sentence each."""
    with _library_api(access, purpose) if _library_will_do() else _plain_api(access, purpose) as api:
        yield api


def _library_will_do() -> bool:
    """Tell whether the library is there and can reach a server by another address than its name's."""
    try:
        from kubernetes import client
    except ImportError:
        return False
    return hasattr(client.Configuration(), "tls_server_name")


@contextmanager
def _plain_api(access: Access, purpose: str) -> Iterator[PlainClient]:
    pair = (access.certificate_path, access.key_path) if access.certificate_path else None
    try:
        yield PlainClient(access.server, access.authority, _SERVER_NAME, pair, access.token)
    except AnswerError as error:
        raise _refusal(access, purpose, error.status, error.reason) from error
    except ssl.SSLError as error:
        raise _refusal(access, purpose, 0, "SSLError") from error
    except (http.client.HTTPException, OSError, KeyError, ValueError) as error:
        raise _no_answer(access, purpose, error) from error


@contextmanager
def _library_api(access: Access, purpose: str) -> Iterator[Any]:
    import urllib3
    from kubernetes import client

    configuration = client.Configuration(host=access.server)
    authority = os.memfd_create("authority")  # a path is what every version of the client takes, a text only the newest
    os.write(authority, access.authority.encode())
    configuration.ssl_ca_cert = f"/proc/self/fd/{authority}" if access.authority else None
    configuration.cert_file = access.certificate_path or None
    configuration.key_file = access.key_path or None
    configuration.tls_server_name = _SERVER_NAME
    configuration.retries = False
    configuration.proxy = None  # this node's own address: a proxy of the shell has no business here
    if access.token:
        configuration.api_key["authorization"] = f"Bearer {access.token}"
    try:
        with client.ApiClient(configuration) as connection:
            try:
                yield client.CoreV1Api(connection)
            finally:
                connection.rest_client.pool_manager.clear()  # close() leaves its kept connections to the collector
    except client.ApiException as error:
        raise _refusal(access, purpose, int(error.status or 0), str(error.reason or "")) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _no_answer(access, purpose, error) from error
    except ValueError as error:  # the library checks each field of an answer by its own copy of the API
        text = f"the ConfigMap {NAMESPACE}/{NAME} cannot {purpose}: the answer of {access.server} is no object that the package kubernetes takes"
        raise RefusedError(text, check="kubeadm-config", fix="upgrade that package, or remove it") from error
    finally:
        os.close(authority)


def _no_answer(access: Access, purpose: str, error: Exception) -> RefusedError:
    return RefusedError(
        f"{NAMESPACE}/{NAME} cannot {purpose}: no answer from {access.server} ({type(error).__name__})",
        check="kubeadm-config",
        fix="auditctl doctor",
    )


def _refusal(access: Access, purpose: str, status: int, reason: str) -> RefusedError:
    where = f"the ConfigMap {NAMESPACE}/{NAME} cannot {purpose}"
    match status:
        case 0:  # the client wraps a TLS error so; its second line is the library's own
            return RefusedError(
                f"{where}: {reason.splitlines()[0] if reason else 'no answer'} from {access.server}",
                check="kubeadm-config",
                fix="does --kubeconfig name this cluster's authority?",
            )
        case 404:
            return RefusedError(
                f"{where}: there is none; this cluster was not made by kubeadm, or its record was removed",
                check="kubeadm-config",
                fix="kubeadm init phase upload-config kubeadm --config FILE",
            )
        case 401 | 403:
            return RefusedError(
                f"{where}: {access.server} says {status} {reason}",
                check="kubeadm-config",
                fix="name credentials that may, with --kubeconfig",
            )
        case 409 | 422:  # 422: a test of the patch failed
            return ConflictError(
                f"{where}: somebody else has written it in the meantime",
                check="kubeadm-config-conflict",
                fix="run the command again",
            )
        case _:
            return RefusedError(
                f"{where}: {access.server} says {status} {reason}", check="kubeadm-config", fix="auditctl doctor"
            )
