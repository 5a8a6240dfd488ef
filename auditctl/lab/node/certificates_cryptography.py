"""Certificates by the `cryptography` package. Imported only where it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from auditctl.compatibility import UTC
from auditctl.lab.node.certificate_names import ADDRESSES, AUTHORITY, DAYS, DNS_NAMES, GROUP, USER, Bundle, KeyPair

Extension = tuple[x509.ExtensionType, bool]


def issue() -> Bundle:
    """Return a new authority and what it signed; elliptic curves, because RSA keys take seconds."""
    authority = _Authority()
    return Bundle(
        authority=authority.sign(_name(AUTHORITY), authority.key, _authority_extensions()),
        server=authority.sign(_name("kube-apiserver"), _new_key(), [_usage(ExtendedKeyUsageOID.SERVER_AUTH), _names()]),
        client=authority.sign(_name(USER, GROUP), _new_key(), [_usage(ExtendedKeyUsageOID.CLIENT_AUTH)]),
        signing=_signing(),
    )


@dataclass(frozen=True, slots=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extensions: Sequence[Extension]) -> KeyPair:
        now, public = datetime.now(UTC), key.public_key()
        # Python 3.13 verifies strictly: both key identifiers must be there
        identifiers: list[Extension] = [
            (x509.SubjectKeyIdentifier.from_public_key(public), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False),
        ]
        builder = x509.CertificateBuilder(_name(AUTHORITY), subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=DAYS))
        for extension, critical in [*extensions, *identifiers]:
            builder = builder.add_extension(extension, critical)
        return KeyPair(builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM), _private(key))


def _signing() -> KeyPair:
    key = _new_key()
    return KeyPair(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), _private(key))


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(subject_name: str, *organizations: str) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, subject_name)])


def _usage(purpose: ObjectIdentifier) -> Extension:
    return x509.ExtendedKeyUsage([purpose]), False


def _names() -> Extension:
    names = [x509.DNSName(name) for name in DNS_NAMES]
    return x509.SubjectAlternativeName([*names, *(x509.IPAddress(ip_address(each)) for each in ADDRESSES)]), False


def _authority_extensions() -> list[Extension]:
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)]
