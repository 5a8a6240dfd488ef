"""hostPath types, as the kubelet checks and makes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from labroom import with_auditing

from auditctl.lab.node import volumes
from auditctl.lab.node.kubeadm_manifest import manifest
from auditctl.lab.node.static_pod import StaticPod, decode
from auditctl.lab.node.volumes import VolumeError

POLICY = "/etc/kubernetes/audit/policy.yaml"
AUDITED = with_auditing(manifest("1.36.2", "127.0.0.1", 6443))


def pod(kind: str) -> StaticPod:
    """A Pod whose policy volume is of that type; \"\" leaves the type out."""
    line = f"      type: {kind}\n" if kind else ""
    return decode(AUDITED.replace("      type: File\n", line).encode(), "/m/kube-apiserver.yaml")


@pytest.mark.parametrize(
    ("kind", "before", "outcome"),
    [
        ("File", None, "hostPath type check failed: /etc/kubernetes/audit/policy.yaml is not a file"),
        ("File", "directory", "hostPath type check failed: /etc/kubernetes/audit/policy.yaml is not a file"),
        ("File", "file", "file"),
        ("FileOrCreate", None, "file"),
        ("Directory", "file", "hostPath type check failed: /etc/kubernetes/audit/policy.yaml is not a directory"),
        ("DirectoryOrCreate", None, "directory"),
        ("", None, "directory"),  # the runtime makes one, whatever it should have been
        ("", "file", "file"),
    ],
)
def test_a_volume_is_checked_and_made_by_its_type(kind: str, before: str | None, outcome: str, tmp_path: Path) -> None:
    place = tmp_path / POLICY.lstrip("/")
    place.parent.mkdir(parents=True)
    match before:
        case "file":
            place.touch()
        case "directory":
            place.mkdir()
    assert made(pod(kind), tmp_path) == outcome


def made(wanted: StaticPod, root: Path) -> str:
    """What stands at the policy's place afterwards, or why the volume was refused."""
    try:
        volumes.set_up(wanted, lambda path: root / path.lstrip("/"))
    except VolumeError as error:
        return error.message
    return "directory" if (root / POLICY.lstrip("/")).is_dir() else "file"


def test_file_or_create_does_not_make_the_directory(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="is not a file"):
        volumes.set_up(pod("FileOrCreate"), lambda path: tmp_path / path.lstrip("/"))


def test_a_directory_that_the_kubelet_makes_is_open_to_read(tmp_path: Path) -> None:
    (tmp_path / "etc/kubernetes/audit").mkdir(parents=True)
    (tmp_path / POLICY.lstrip("/")).touch()
    volumes.set_up(pod("File"), lambda path: tmp_path / path.lstrip("/"))
    assert (tmp_path / "var/log/kubernetes/audit").stat().st_mode & 0o777 == 0o755
