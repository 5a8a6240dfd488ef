"""How ``client-go`` reads a kubeconfig, and what it refuses, in its words. No file is opened here.

Sources: ``tools/clientcmd`` loader.go (strict in types, lenient in unknown fields), ``validation.go``; compared with the
words of real 1.31 and 1.36 servers.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.values import JsonKind, Value

NO_CLUSTER = "cluster has no server defined"
_SCHEME = 'scheme "k8s.io/client-go/tools/clientcmd/api/latest/latest.go:50"'
_STRUCT = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_BASE64 = frozenset({"certificate-authority-data", "client-certificate-data", "client-key-data"})
_BOOLS = frozenset({"insecure-skip-tls-verify", "disable-compression"})
_LISTS = {"clusters": ("NamedCluster", "cluster", "Cluster"), "users": ("NamedAuthInfo", "user", "AuthInfo")}
_LISTS["contexts"] = ("NamedContext", "context", "Context")
_OPEN = frozenset({"exec", "auth-provider", "extensions", "as-groups", "as-user-extra"})  # not plain texts
# what the reader's faults quote of the text itself, which may be a secret (`password: *x` is an alias)
_QUOTED = re.compile(
    r"(?<=anchor ').*(?=')|(?<=map key: ).*|(?<=`).*(?=`)|(?<=, key: ).*|(?<=, value: ).*|(?<=: key ).*(?= already set)"
)
_REDACTED = "<redacted>"
_METHODS = (("token", ("token",)), ("basicAuth", ("username", "password")))
_PROXY_SCHEMES = frozenset({"http", "https", "socks5"})


class KubeconfigFault(Exception):  # noqa: N818 - it never leaves the room; the caller turns it into a refusal
    """The text is no kubeconfig; the message is the library's own."""


def read_kubeconfig(raw: bytes) -> Mapping[str, Any]:
    """Return the text as plain Python, once its types are those that ``client-go`` decodes.

    Raises:
        KubeconfigFault: they are not, or the text does not parse.
    """
    try:
        value = read_yaml(raw).value
    except SyntaxFault as fault:
        raise KubeconfigFault(_QUOTED.sub(_REDACTED, fault.text)) from fault
    if value.kind is JsonKind.NULL:
        return {}
    if value.kind is not JsonKind.OBJECT:
        problem = f"json: cannot unmarshal {value.kind.value} into Go value of type {_STRUCT}"
        raise KubeconfigFault(f"couldn't get version/kind; json parse error: {problem}")
    config: Mapping[str, Any] = _plain(value)
    kind, version = str(config.get("kind") or "Config"), str(config.get("apiVersion") or "v1")
    if (kind, version) != ("Config", "v1"):
        raise KubeconfigFault(f'no kind "{kind}" is registered for version "{version}" in {_SCHEME}')
    for pair in value.pairs:
        if pair.key in _LISTS and pair.value.kind is JsonKind.ARRAY:
            for entry in pair.value.items:
                _check_entry(pair.key, entry)
    return config


def without_secrets(url: str) -> str:
    """Return scheme, host and port of an address: user, path and query may be secret."""
    scheme, separator, rest = url.rpartition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{_REDACTED + at if user else ''}{re.split('[/?#]', place, maxsplit=1)[0]}"


def _check_entry(list_name: str, entry: Value) -> None:
    named, part, inner = _LISTS[list_name]
    for pair in entry.pairs:
        if pair.key == "name":
            _check_type(f"{named}.{list_name}.name", pair.value, JsonKind.STRING)
        elif pair.key == part:
            for field in pair.value.pairs:
                expected = JsonKind.BOOL if field.key in _BOOLS else JsonKind.STRING
                if field.key not in _OPEN:
                    _check_type(f"{inner}.{list_name}.{part}.{field.key}", field.value, expected)
                if field.key in _BASE64:
                    content_of({field.key: field.value.text}, field.key)


def _check_type(path: str, value: Value, expected: JsonKind) -> None:
    if value.kind not in (expected, JsonKind.NULL):
        name = "bool" if expected is JsonKind.BOOL else "string"
        raise KubeconfigFault(f"json: cannot unmarshal {value.kind.value} into Go struct field {path} of type {name}")


def _plain(value: Value) -> Any:
    """Return a value of the reader as plain Python; numbers stay texts, for no field here is one."""
    match value.kind:
        case JsonKind.OBJECT:
            return {pair.key: _plain(pair.value) for pair in value.pairs}
        case JsonKind.ARRAY:
            return [_plain(item) for item in value.items]
        case JsonKind.BOOL:
            return value.text == "true"
        case JsonKind.NULL:
            return None
        case _:
            return value.text


def content_of(part: Mapping[str, Any], field: str) -> bytes:
    """Return the decoded content of a ``*-data`` field; empty where it is not set.

    Raises:
        KubeconfigFault: it is no base64.
    """
    text = str(part.get(field) or "").replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        letters = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        wrong = next((at for at, letter in enumerate(text) if letter not in letters), len(text) // 4 * 4)
        raise KubeconfigFault(f"illegal base64 data at input byte {wrong}") from None


def user_problems(name: str, user: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``validateAuthInfo`` says, but for files that cannot be read."""
    methods = [word for word, fields in _METHODS if any(user.get(field) for field in fields)]
    if len(methods) > 1:
        named = " ".join(methods)
        yield f"more than one authentication method found for {name}; found [{named}], only one is allowed"
    certificate = user.get("client-certificate") or user.get("client-certificate-data")
    if certificate and not (user.get("client-key") or user.get("client-key-data")):
        yield f"client-key-data or client-key must be specified for {name} to use the clientCert authentication method."
    runs = user.get("exec")
    if isinstance(runs, dict):
        for field, word in (
            ("command", "command"),
            ("apiVersion", "apiVersion"),
            ("interactiveMode", "interactiveMode"),
        ):
            if not runs.get(field):
                yield f"{word} must be specified for {name} to use exec authentication plugin"
    if any(user.get(field) for field in ("as-uid", "as-groups", "as-user-extra")) and not user.get("as"):
        yield f"requesting uid, groups or user-extra for {name} without impersonating a user"


def cluster_problems(name: str, cluster: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what ``validateClusterInfo`` says, but for files that cannot be read; None: there is no such cluster."""
    if cluster is None:
        yield NO_CLUSTER
        return
    if not cluster.get("server"):
        yield f'no server found for cluster "{name}"'
    proxy = str(cluster.get("proxy-url") or "")
    scheme = proxy.partition("://")[0] if "://" in proxy else ""
    if proxy and scheme not in _PROXY_SCHEMES:
        reason = f'unsupported scheme "{scheme}", must be http, https, or socks5'
        yield f'invalid \'proxy-url\' "{without_secrets(proxy)}" for cluster "{name}": {reason}'
