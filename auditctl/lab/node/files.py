"""The files of a lab's node: as kubeadm would leave them, made and removed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path

import auditctl
from auditctl.lab.node import certificate_names, certificates, kubeadm_manifest
from auditctl.lab.node.layout import ADDRESS, STAND_IN, Layout, Marker
from auditctl.node.change.files import make_directories

_FOLDER_MODE = 0o755  # whatever the caller's umask is: programs in these folders are run
_PROGRAM = """\
#!{python}
# {stand_in}, for practice: not Kubernetes
import sys
from pathlib import Path

if {package!r} not in sys.path:
    sys.path.insert(0, {package!r})
sys.exit(__import__({module!r}, fromlist=["main"]).main({argument}))
"""


def build(layout: Layout, marker: Marker) -> None:
    """Write the node's tree: the marker first, so that `down` knows it, the kubelet last, so that `built` does."""
    _write(layout.marker, marker.to_json().encode(), 0o644)
    for path in _folders(layout):
        make_directories(path, _FOLDER_MODE)
    layout.manifest_directory.chmod(0o700)
    bundle = certificates.issue()
    for name, pair, suffix in (
        ("ca", bundle.authority, "crt"),
        ("apiserver", bundle.server, "crt"),
        ("sa", bundle.signing, "pub"),
    ):
        _write(layout.pki / f"{name}.{suffix}", pair.certificate, 0o644)
        _write(layout.pki / f"{name}.key", pair.key, 0o600)
    _write(layout.admin_conf, _kubeconfig(bundle, marker.port).encode(), 0o600)
    _write(layout.kubelet_config, kubeadm_manifest.KUBELET_CONFIG.format(listing=marker.pace.listing).encode(), 0o644)
    _program(layout.apiserver_program, "auditctl.lab.apiserver.main", "sys.argv[1:]")
    _write(layout.manifest, kubeadm_manifest.manifest(marker.kubernetes, ADDRESS, marker.port).encode(), 0o600)
    configuration = {"data": {"ClusterConfiguration": kubeadm_manifest.cluster_configuration(marker.kubernetes)}}
    _write(layout.kubeadm_record, json.dumps(configuration, indent=2).encode(), 0o600)
    _program(layout.kubelet_program, "auditctl.lab.node.kubelet", "Path(__file__).parents[2]")


def _folders(layout: Layout) -> tuple[Path, ...]:
    of_state = (layout.pod_logs, layout.processes, layout.containers)
    return layout.manifest_directory, layout.pki, layout.root / "etc/ssl/certs", *of_state


def built(layout: Layout) -> bool:
    """Tell whether `build` came to its end."""
    return layout.kubelet_program.exists()


def _write(path: Path, content: bytes, mode: int) -> None:
    make_directories(path.parent, _FOLDER_MODE)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, mode), "wb") as file:  # noqa: PTH123 - the mode
        file.write(content)
    path.chmod(mode)


def _program(path: Path, module: str, argument: str) -> None:
    """Write a script named for the component; the interpreter starts it, so that its path may be long."""
    package = str(Path(auditctl.__file__).parents[1])
    text = _PROGRAM.format(python=sys.executable, stand_in=STAND_IN, package=package, module=module, argument=argument)
    _write(path, text.encode(), 0o755)


def _kubeconfig(bundle: certificate_names.Bundle, port: int) -> str:
    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {encoded(bundle.authority.certificate)}
    server: https://{ADDRESS}:{port}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: {certificate_names.USER}
  name: {certificate_names.USER}@kubernetes
current-context: {certificate_names.USER}@kubernetes
kind: Config
preferences: {{}}
users:
- name: {certificate_names.USER}
  user:
    client-certificate-data: {encoded(bundle.client.certificate)}
    client-key-data: {encoded(bundle.client.key)}
"""


def remove(path: Path) -> None:
    """Remove a tree of ours, directories without write permission included; a symlink is not followed."""
    if path.is_symlink():
        path.unlink()
        return
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            _open_up(folder)
    shutil.rmtree(path, ignore_errors=True)


def _open_up(folder: str) -> None:
    """Let us list and empty a directory; a link that somebody has put in its place meanwhile is not followed."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)  # noqa: PTH101 - of the descriptor itself
    finally:
        os.close(descriptor)
