"""The lab's own certificate authority, made on the spot: by `cryptography` (extra `lab`), else by `openssl`.

Names as kubeadm gives them (cmd/kubeadm/app/util/pkiutil/pki_helpers.go GetAPIServerAltNames), plus 127.0.0.1.
"""

from __future__ import annotations

import importlib.util

from auditctl.errors import RefusedError
from auditctl.lab.node.certificate_names import Bundle
from auditctl.node.programs import program


def issue() -> Bundle:
    """Raises RefusedError where neither `cryptography` nor `openssl` is there."""
    if importlib.util.find_spec("cryptography"):
        from auditctl.lab.node import certificates_cryptography

        return certificates_cryptography.issue()
    if program("openssl"):
        from auditctl.lab.node import certificates_openssl

        return certificates_openssl.issue()
    raise RefusedError(
        "the lab needs certificates, and neither the Python package `cryptography` nor the command `openssl` is here",
        check="lab-certificates",
        fix="pip install 'auditctl[lab]', or install openssl",
    )
