"""Decode request bodies: JSON, and the protobuf of the few kinds that `kubectl create` sends.

kubectl's typed clients send `application/vnd.kubernetes.protobuf`: four magic bytes and a `runtime.Unknown` around the
object (apimachinery/pkg/runtime/serializer/protobuf/protobuf.go, pkg/runtime/generated.proto). Only the fields that these
commands fill are decoded (api/core/v1/generated.proto); a kind or field that is not here is answered with 415, so that
nothing is dropped without a word.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

PROTOBUF = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"


class MediaTypeError(ValueError):
    """A body that the stand-in does not read; the message says which media types it takes."""


def decode(body: bytes, content_type: str) -> Any:
    """Return the value of a body, None for one that is empty or not well formed.

    Raises:
        MediaTypeError: a media type, or a kind or field in protobuf, that the stand-in does not read.
    """
    media = content_type.partition(";")[0].strip().lower()
    if not body:
        return None
    if media == PROTOBUF:
        try:
            return _decode_object(body)
        except (IndexError, UnicodeDecodeError):
            return None
    if media and "json" not in media and media != "application/x-www-form-urlencoded":
        raise MediaTypeError(f"the body of the request was in an unknown format ({media}): this stand-in takes JSON")
    try:
        return json.loads(body)
    except ValueError:
        return None


# number: (name, form) of each field; a form is a type below, or the fields of a nested message
_Fields = Mapping[int, tuple[str, Any]]
_METADATA: _Fields = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    4: ("selfLink", "text"),
    5: ("uid", "text"),
    6: ("resourceVersion", "text"),
    7: ("generation", "ignored"),
    8: ("creationTimestamp", "ignored"),
    11: ("labels", "texts"),
    12: ("annotations", "texts"),
}
_KINDS: Mapping[tuple[str, str], _Fields] = {
    ("v1", "Namespace"): {1: ("metadata", _METADATA), 2: ("spec", "ignored"), 3: ("status", "ignored")},
    ("v1", "ConfigMap"): {1: ("metadata", _METADATA), 2: ("data", "texts"), 3: ("binaryData", "bytes")},
    ("v1", "Secret"): {
        1: ("metadata", _METADATA),
        2: ("data", "bytes"),
        3: ("type", "text"),
        4: ("stringData", "texts"),
    },
    ("v1", "ServiceAccount"): {1: ("metadata", _METADATA)},
    ("v1", "DeleteOptions"): {
        1: ("gracePeriodSeconds", "ignored"),
        2: ("preconditions", "ignored"),
        4: ("propagationPolicy", "text"),
    },
}


def _decode_object(body: bytes) -> Any:
    if not body.startswith(_MAGIC):
        return None
    unknown = dict(_fields(body[len(_MAGIC) :]))
    head = {number: value.decode() for number, value in _fields(unknown.get(1, b""))}
    version, kind = head.get(1, ""), head.get(2, "")
    if (version, kind) not in _KINDS:
        raise MediaTypeError(f"{kind or 'the body'} in protobuf is not taken by this stand-in: send JSON")
    return {"apiVersion": version, "kind": kind, **_message(unknown.get(2, b""), _KINDS[version, kind], kind)}


def _message(raw: bytes, known: _Fields, path: str) -> dict[str, Any]:
    decoded: dict[str, Any] = {}
    for number, value in _fields(raw):
        if number not in known:
            raise MediaTypeError(f"field {number} of {path} in protobuf is not taken by this stand-in: send JSON")
        name, form = known[number]
        match form:
            case "ignored":
                continue
            case "text":
                if value:  # the generated code writes empty texts too
                    decoded[name] = value.decode()
            case "texts" | "bytes":
                pair = dict(_fields(value))
                item = pair.get(2, b"")
                text = item.decode() if form == "texts" else base64.b64encode(item).decode()
                decoded.setdefault(name, {})[pair.get(1, b"").decode()] = text
            case _:
                decoded[name] = _message(value, form, f"{path}.{name}")
    return decoded


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each field of a message. Raises IndexError for one that is cut off."""
    place = 0
    while place < len(raw):
        key, place = _varint(raw, place)
        start = place
        match key & 7:
            case 0:
                _, place = _varint(raw, place)
            case 1:
                place += 8
            case 5:
                place += 4
            case 2:
                length, start = _varint(raw, place)
                place = start + length
            case _:
                raise IndexError("a wire type that proto2 of Kubernetes does not use")
        if place > len(raw):
            raise IndexError("a field is cut off")
        yield key >> 3, raw[start:place]


def _varint(raw: bytes, place: int) -> tuple[int, int]:
    """Return a base-128 number and the place after it."""
    number = shift = 0
    while True:
        byte = raw[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80 or shift > 63:
            return number, place
