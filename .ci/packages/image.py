"""The container image, an OCI archive (image-spec 1.1) written without a daemon: the executable, and the C library that it needs."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
# Of the C library: the loader and what the launcher is linked with. Everything else is in the executable.
_LIBRARIES = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libutil.so.1", "librt.so.1", "libgcc_s.so.1")


def write(folder: Path, executable: Path, glibc: Path, version: str, url: str, epoch: int) -> Path:
    """Write ``auditctl-VERSION-ARCHITECTURE.oci.tar``. ``glibc`` is a folder with the loader and the C library."""
    machine = platform.machine()
    layer = _layer(executable, glibc, epoch)
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, packed, mtime=0) as file:
        file.write(layer)
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    labels = {
        "org.opencontainers.image.title": "auditctl",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.source": url,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    config = _bytes(
        {
            "created": when,
            "architecture": _MACHINES[machine],
            "os": "linux",
            "config": {"Entrypoint": ["/auditctl"], "WorkingDir": "/", "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created": when, "comment": "the executable and glibc"}],
        }
    )
    blobs = {_digest(packed.getvalue()): packed.getvalue(), _digest(config): config}
    manifest = _bytes(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed.getvalue())],
            "annotations": labels,
        }
    )
    blobs[_digest(manifest)] = manifest
    named = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    named["annotations"] = {"org.opencontainers.image.ref.name": version}
    files = {
        "oci-layout": _bytes({"imageLayoutVersion": "1.0.0"}),
        "index.json": _bytes({"schemaVersion": 2, "manifests": [named]}),
        **{f"blobs/{digest.replace(':', '/')}": blob for digest, blob in blobs.items()},
    }
    path = folder / f"auditctl-{version}-{_MACHINES[machine]}.oci.tar"
    path.write_bytes(_tar({name: (content, 0o644) for name, content in files.items()}, epoch))
    return path


def digest_of(archive: Path) -> str:
    """Return the digest by which the image of an archive is pinned."""
    with tarfile.open(archive) as file:
        index = file.extractfile("index.json")
        assert index is not None  # noqa: S101 - we wrote it
        return str(json.load(index)["manifests"][0]["digest"])


def _layer(executable: Path, glibc: Path, epoch: int) -> bytes:
    """Return the root: two files and the C library. Where its loader looks differs by distribution: lib or lib64."""
    loader = next(path.name for path in sorted(glibc.iterdir()) if path.name.startswith("ld-linux"))
    place, other = ("lib64", "lib") if platform.machine() == "x86_64" else ("lib", "lib64")
    files = {"auditctl": (executable.read_bytes(), 0o755)}
    for name in (loader, *_LIBRARIES):
        if (glibc / name).exists():
            files[f"{place}/{name}"] = ((glibc / name).read_bytes(), 0o755)
    return _tar(files, epoch, {other: place})


def _tar(files: Mapping[str, tuple[bytes, int]], epoch: int, links: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """Return an archive with every folder, sorted, all of root's and of one time."""
    archive = io.BytesIO()
    folders = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as file:
        for name in sorted({*folders, *files, *links}):
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.mode = epoch, 0o755
            if name in folders:
                entry.type = tarfile.DIRTYPE
                file.addfile(entry)
            elif name in links:
                entry.type, entry.linkname = tarfile.SYMTYPE, links[name]
                file.addfile(entry)
            else:
                content, entry.mode = files[name]
                entry.size = len(content)
                file.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
