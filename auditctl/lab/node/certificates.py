"""The lab's own certificate authority, made on the spot: by `cryptography` (extra `lab`), else by `openssl`.

Names as kubeadm gives them (cmd/kubeadm/app/util/pkiutil/pki_helpers.go GetAPIServerAltNames), plus 127.0.0.1.
"""

from __future__ import annotations

import importlib.util
import subprocess
import tempfile
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.lab.node.certificate_names import ADDRESSES, AUTHORITY, DAYS, DNS_NAMES, GROUP, USER, Bundle, KeyPair
from auditctl.node.programs import program


def issue() -> Bundle:
    """Return a new authority and what it signed.

    Raises:
        RefusedError: neither `cryptography` nor `openssl` is there, or it fails.
    """
    if importlib.util.find_spec("cryptography"):
        from auditctl.lab.node import certificates_cryptography

        return certificates_cryptography.issue()
    if program("openssl"):
        return issue_by_openssl()
    raise RefusedError(
        "the lab needs certificates, and neither the Python package `cryptography` nor the command `openssl` is here",
        check="lab-certificates",
        fix="pip install 'auditctl[lab]', or install openssl",
    )


_IDENTIFIERS = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
_NAMES = ",".join([*(f"DNS:{name}" for name in DNS_NAMES), *(f"IP:{address}" for address in ADDRESSES)])


def issue_by_openssl() -> Bundle:
    """Return the same, made by the `openssl` command (1.1.1 or later); raise RefusedError with its words if it fails."""
    with tempfile.TemporaryDirectory(prefix="auditctl-lab-") as name:
        room = Path(name)
        return Bundle(
            authority=_authority(room),
            server=_signed(
                room, "server", "/CN=kube-apiserver", f"extendedKeyUsage=serverAuth\nsubjectAltName={_NAMES}\n"
            ),
            client=_signed(room, "client", f"/O={GROUP}/CN={USER}", "extendedKeyUsage=clientAuth\n"),
            signing=_signing(room),
        )


def _authority(room: Path) -> KeyPair:
    (room / "ca.cnf").write_text(
        "[req]\ndistinguished_name=name\nx509_extensions=ca\n[name]\n[ca]\nbasicConstraints=critical,CA:true\n"
        "keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign\nsubjectKeyIdentifier=hash\n"
    )
    _key(room, "ca")
    _openssl(
        room,
        "req",
        "-new",
        "-x509",
        "-config ca.cnf",
        "-key ca.key",
        f"-subj /CN={AUTHORITY}",
        f"-days {DAYS}",
        "-out ca.crt",
    )
    return _pair(room, "ca")


def _signed(room: Path, name: str, subject: str, extensions: str) -> KeyPair:
    (room / f"{name}.ext").write_text(extensions + _IDENTIFIERS)
    (room / "request.cnf").write_text("[req]\ndistinguished_name=name\n[name]\n")
    _key(room, name)
    _openssl(room, "req", "-new", "-config request.cnf", f"-key {name}.key", f"-subj {subject}", f"-out {name}.csr")
    _openssl(
        room, "x509", "-req", f"-in {name}.csr", "-CA ca.crt", "-CAkey ca.key", "-CAcreateserial",
        f"-days {DAYS}", f"-extfile {name}.ext", f"-out {name}.crt",
    )  # fmt: skip
    return _pair(room, name)


def _signing(room: Path) -> KeyPair:
    _key(room, "sa")
    _openssl(room, "pkey", "-in sa.key", "-pubout", "-out sa.crt")
    return _pair(room, "sa")


def _key(room: Path, name: str) -> None:
    _openssl(room, "genpkey", "-algorithm EC", "-pkeyopt ec_paramgen_curve:P-256", f"-out {name}.key")


def _pair(room: Path, name: str) -> KeyPair:
    return KeyPair((room / f"{name}.crt").read_bytes(), (room / f"{name}.key").read_bytes())


def _openssl(room: Path, *arguments: str) -> None:
    words = [word for argument in arguments for word in argument.split(" ", 1)]
    result = subprocess.run(
        [program("openssl") or "/usr/bin/openssl", *words],
        cwd=room,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if result.returncode:
        raise RefusedError(f"openssl {arguments[0]} failed: {result.stderr.strip()[-300:]}", check="lab-certificates")
