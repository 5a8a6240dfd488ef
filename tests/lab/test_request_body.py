"""Request bodies: JSON as it is, protobuf as kubectl sends it, and a word about anything else."""

from __future__ import annotations

import pytest

from auditctl.lab.apiserver.request_body import PROTOBUF, MediaTypeError, decode


def field(number: int, value: bytes) -> bytes:
    """One field of bytes, shorter than 128."""
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def wrapped(kind: bytes, raw: bytes) -> bytes:
    """An object as client-go wraps it."""
    head = field(1, b"v1") + field(2, kind)
    return b"k8s\x00" + field(1, head) + field(2, raw) + field(3, b"") + field(4, b"")


NAMED = field(1, field(1, b"db") + field(2, b"") + field(3, b"prod"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            wrapped(b"Namespace", NAMED + field(2, b"") + field(3, b"")),
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "db", "namespace": "prod"}},
        ),
        (
            wrapped(b"Secret", NAMED + field(2, field(1, b"key") + field(2, b"\x01\x02")) + field(3, b"Opaque")),
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "db", "namespace": "prod"},
                "data": {"key": "AQI="},
                "type": "Opaque",
            },
        ),
        (
            wrapped(b"ConfigMap", NAMED + field(2, field(1, b"key") + field(2, b"text"))),
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "db", "namespace": "prod"},
                "data": {"key": "text"},
            },
        ),
    ],
)
def test_the_objects_of_kubectl_create_are_decoded(body: bytes, expected: object) -> None:
    assert decode(body, PROTOBUF) == expected


@pytest.mark.parametrize(
    ("body", "content_type", "says"),
    [
        (wrapped(b"Deployment", NAMED), PROTOBUF, "Deployment in protobuf is not taken by this stand-in: send JSON"),
        (wrapped(b"Secret", NAMED + field(9, b"x")), PROTOBUF, "field 9 of Secret"),
        (b"a: 1", "application/apply-patch+yaml", "unknown format (application/apply-patch+yaml)"),
    ],
)
def test_what_is_not_read_is_refused_in_words(body: bytes, content_type: str, says: str) -> None:
    with pytest.raises(MediaTypeError) as caught:
        decode(body, content_type)
    assert says in str(caught.value)


@pytest.mark.parametrize("length", range(1, len(wrapped(b"Secret", NAMED))))
def test_a_body_that_is_cut_off_is_no_object(length: int) -> None:
    decoded = None
    try:
        decoded = decode(wrapped(b"Secret", NAMED)[:length], PROTOBUF)
    except MediaTypeError:
        return
    assert decoded is None or decoded.get("kind") == "Secret"


def test_json_is_read_whatever_its_media_type_is_called() -> None:
    assert decode(b'[{"op": "test"}]', "application/json-patch+json") == [{"op": "test"}]
    assert decode(b"{", "application/json") is None
    assert decode(b"", PROTOBUF) is None
