"""What is inside, as CycloneDX 1.6 (JSON): each package with version, licence and digest, from its own metadata."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterable
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from zipfile import ZipFile

_CLASSIFIERS = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
}


def of_wheel(wheel: Path) -> dict[str, Any]:
    """Return the component that a wheel is."""
    with ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    return {
        **_named(metadata["Name"].lower(), metadata["Version"], f"pypi/{metadata['Name'].lower()}"),
        "licenses": [_licence(metadata)],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
    }


def of_source(name: str, version: str, licence: str) -> dict[str, Any]:
    """Return the component that was built from its source."""
    return {**_named(name, version, f"generic/{name}"), "licenses": [{"expression": licence}]}


def document(subject: Path, of: dict[str, Any], components: Iterable[dict[str, Any]], epoch: int) -> str:
    """Return the document on the file ``subject``. The same bytes for the same content."""
    inside = sorted(components, key=lambda each: str(each["bom-ref"]))
    digest = hashlib.sha256(subject.read_bytes()).hexdigest()
    about = {**of, "type": "application", "name": subject.name, "bom-ref": subject.name}
    about["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return (
        json.dumps(
            {
                "bomFormat": "CycloneDX",
                "specVersion": "1.6",
                "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
                "version": 1,
                "metadata": {
                    "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
                    "component": about,
                },
                "components": inside,
                "dependencies": [
                    {"ref": subject.name, "dependsOn": [each["bom-ref"] for each in inside]},
                    *({"ref": each["bom-ref"]} for each in inside),
                ],
            },
            indent=1,
        )
        + "\n"
    )


def _named(name: str, version: str, place: str) -> dict[str, Any]:
    url = f"pkg:{place}@{version}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _licence(metadata: Message) -> dict[str, Any]:
    """Return the expression (PEP 639), else what the classifiers or the old field say."""
    if metadata["License-Expression"]:
        return {"expression": metadata["License-Expression"]}
    known = [_CLASSIFIERS[each] for each in metadata.get_all("Classifier") or () if each in _CLASSIFIERS]
    if known:
        return {"expression": " OR ".join(known)}
    return {"license": {"name": (metadata["License"] or "unknown").splitlines()[0]}}
