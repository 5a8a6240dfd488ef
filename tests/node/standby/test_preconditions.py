"""What a standby needs: each thing that is missing is said in a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from foldernode import PLAIN, FakeClock

from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.change.files import Root
from auditctl.node.standby import pod
from auditctl.node.standby.preconditions import missing

RUNNING = Process(os.getpid(), 1.0, ("kube-apiserver",))


def lacking(root: Path, text: str, process: Process | None = RUNNING, before: str | None = None) -> list[str]:
    manifests = [Manifest.of(Document.of_text(each, "m.yaml")) for each in (before or text, text)]
    path = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    return list(missing(Root(root), path, *manifests, process, FakeClock()))


def test_kubeadms_own_manifest_lacks_nothing(tmp_path: Path) -> None:
    """On a machine with memory."""
    assert lacking(tmp_path, PLAIN.read_text()) == []


@pytest.mark.parametrize(
    ("line", "instead", "sentence"),
    [
        ("imagePullPolicy: IfNotPresent", "imagePullPolicy: Always", "may have to pull the image"),
        ("    - --secure-port=6443\n", "    - --secure-port=6443\n    - --bind-address=192.0.2.7\n", "--bind-address"),
        ("  hostNetwork: true\n", "", "not in the host's network"),
        ("    - --secure-port=6443\n", "    - --secure-port=6443\n    - --audit-log-path=/a/l\n", "log is not mounted"),
    ],
)
def test_a_manifest_that_allows_none(line: str, instead: str, sentence: str, tmp_path: Path) -> None:
    """One sentence with the reason."""
    (reason,) = lacking(tmp_path, PLAIN.read_text().replace(line, instead))

    assert sentence in reason


def test_another_image_may_not_be_there_yet(tmp_path: Path) -> None:
    """The running one is."""
    text = PLAIN.read_text()

    (reason,) = lacking(tmp_path, text.replace("kube-apiserver:v1.36.2", "kube-apiserver:v1.36.3"), before=text)

    assert "v1.36.3 is another one" in reason


def test_nothing_runs(tmp_path: Path) -> None:
    """There is nothing to stand in for."""
    assert lacking(tmp_path, PLAIN.read_text(), None) == ["no API server runs that a standby could stand in for"]


def test_a_file_of_somebody_elses_is_in_the_way(tmp_path: Path) -> None:
    """It is neither used nor removed."""
    path = pod.path_of(tmp_path / "etc/kubernetes/manifests/kube-apiserver.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("kind: Pod\n")

    (reason,) = lacking(tmp_path, PLAIN.read_text())
    pod.remove(path)

    assert reason == f"{path} is not of auditctl"
    assert path.exists()
