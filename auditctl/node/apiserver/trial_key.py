"""A throw-away key for the service accounts of a trial start, which must have one and must not have the cluster's."""

from __future__ import annotations

import base64
import secrets

_BEFORE = bytes.fromhex("30310201010420")  # SEQUENCE, version 1, 32 octets: RFC 5915 ECPrivateKey
_AFTER = bytes.fromhex("a00a06082a8648ce3d030107")  # the curve: prime256v1
_KIND = "EC PRIVATE KEY"


def pem() -> bytes:
    """Return a new private key on P-256; its top bit is clear, so that it is below the order of the curve."""
    number = bytearray(secrets.token_bytes(32))
    number[0] &= 0x7F
    text = base64.encodebytes(_BEFORE + number + _AFTER).decode()
    return f"-----BEGIN {_KIND}-----\n{text}-----END {_KIND}-----\n".encode()
