"""The client credentials that a kubeconfig holds. Client keys are never copied to disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditctl.errors import RefusedError
from auditctl.manifest.document import load
from auditctl.node.change import files
from auditctl.policy.types import User

if TYPE_CHECKING:  # only a connection needs it, and it is slow to import
    import ssl

ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
_DEFAULTS = ("/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf")
# the two attribute types of a client certificate that the API server reads: x509 request authenticator, CommonNameUserConversion
_COMMON_NAME, _ORGANIZATION = bytes.fromhex("0603550403"), bytes.fromhex("060355040a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request is made with. ``user`` is None where we cannot know whom the server will see."""

    source: str
    user: User | None
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    authority: bytes = b""

    def __repr__(self) -> str:
        """Return a text without anything secret."""
        return f"Credentials({self.source!r}, {self.user!r})"

    @property
    def anonymous(self) -> bool:
        return not (self.certificate or self.token)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give the TLS context the client certificate, through memory alone (a memfd)."""
        if self.certificate:
            with in_memory(self.certificate) as certificate, in_memory(self.key) as key:
                context.load_cert_chain(certificate, key)


NOBODY = Credentials(source="anonymous", user=ANONYMOUS)


@lru_cache(maxsize=4)  # once a run: a pipe can be read only once
def find(root: files.Root, named: Path | None) -> Credentials:
    """Return the credentials of ``--kubeconfig``, else of admin.conf, else of super-admin.conf, else none.

    Raises:
        RefusedError: the named file is missing or is not a kubeconfig. A default that cannot be read is passed over.
    """
    if named is not None:
        return read(named)
    for path in _DEFAULTS:
        try:
            return read(root.followed(path))
        except RefusedError:
            continue
    return NOBODY


def read(path: Path, context_name: str = "") -> Credentials:
    """Read a context of a kubeconfig (the current one where none is named); its server is not used here.

    Raises:
        RefusedError: not readable, not a kubeconfig, or a credential that would have to be run (``exec``).
    """
    raw = files.read_following(path, "kubeconfig")
    try:
        value = load(raw.decode())
        config: Mapping[str, Any] = value if isinstance(value, dict) else {}
        name = context_name or config.get("current-context")
        if not name or not isinstance(config.get("users"), list):
            raise RefusedError(f"{path}: not a kubeconfig with a current context and users", check="kubeconfig")
        context = _named(config, "contexts", name, "context")
        entry = _named(config, "users", context.get("user"), "user")
        cluster = _named(config, "clusters", context.get("cluster"), "cluster")
        certificate = _bytes(entry, "client-certificate", path)
        token = (_bytes(entry, "token", path).decode() or str(entry.get("token", ""))).strip()
        if not token.isascii() or not token.isprintable():
            raise RefusedError(f"{path}: the token is not one line of ASCII", check="kubeconfig")
        return Credentials(
            source=str(path),
            user=_user(certificate) if certificate else None,
            certificate=certificate,
            key=_bytes(entry, "client-key", path),
            token=token,
            authority=_bytes(cluster, "certificate-authority", path),
        )
    except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise RefusedError(f"{path}: not a usable kubeconfig", check="kubeconfig") from error


def _named(config: Mapping[str, Any], section: str, name: object, key: str) -> Mapping[str, Any]:
    for entry in config.get(section) or []:
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    return {}


def _bytes(entry: Mapping[str, Any], name: str, kubeconfig: Path) -> bytes:
    """Return ``NAME-data`` (base64), else the file ``NAME`` (relative to the kubeconfig), as client-go does."""
    if name == "token":
        return _file(kubeconfig, entry["tokenFile"], "tokenFile").strip() if entry.get("tokenFile") else b""
    if entry.get(f"{name}-data"):
        import base64

        encoded = entry[f"{name}-data"].replace("\r", "").replace("\n", "")  # all that Go's encoding/base64 passes over
        return base64.b64decode(encoded, validate=True)
    if entry.get(name):
        return _file(kubeconfig, entry[name], name)
    return b""


def _file(kubeconfig: Path, name: object, field: str) -> bytes:
    """Return what a file holds that a kubeconfig names: a regular one of a few megabytes at most, links are followed.

    A device, or a pipe that nobody writes to, would be read for ever. Raises RefusedError.
    """
    try:
        place = (kubeconfig.parent / str(name)).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise RefusedError(f"{kubeconfig}: {field} names no file that can be read", check="kubeconfig") from error
    return files.read(place, field).content


def _user(pem: bytes) -> User | None:
    """Return the user that the API server sees: the subject's common name; its organizations are the groups.

    Reads just the last subject-like attributes of the DER text: issuer comes before subject (RFC 5280, 4.1), and the
    client certificates of kubeadm have one common name in each.
    """
    body = pem.partition(b"-----BEGIN CERTIFICATE-----")[2].partition(b"-----END CERTIFICATE-----")[0]
    import base64

    der = base64.b64decode(body)
    names = list(_attributes(der, _COMMON_NAME))
    if len(names) < 2:
        return None
    subject_starts = names[-2][0]  # after the issuer's common name
    groups = tuple(text for at, text in _attributes(der, _ORGANIZATION) if at > subject_starts)
    return User(names[-1][1], (*groups, "system:authenticated"))


def _attributes(der: bytes, kind: bytes) -> Iterator[tuple[int, str]]:
    at = der.find(kind)
    while at >= 0:
        start = at + len(kind)
        length = der[start + 1]  # short form: a name of the subject is at most 64 characters (RFC 5280, ub-common-name)
        yield at, der[start + 2 : start + 2 + length].decode(errors="replace")
        at = der.find(kind, start)


@contextmanager
def in_memory(content: bytes) -> Iterator[str]:
    """Yield a path under which ``content`` can be read while the context lasts; nothing is written to a disk."""
    descriptor = os.memfd_create("auditctl", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
