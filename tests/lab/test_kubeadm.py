"""The lab's manifest is kubeadm's own, byte for byte."""

from __future__ import annotations

import pytest
from labroom import golden_text

from auditctl.errors import RefusedError
from auditctl.lab import up
from auditctl.lab.node import kubeadm_manifest


@pytest.mark.parametrize("version", ["1.31.14", "1.33.13", "1.35.6", "1.36.2"])
def test_the_manifest_is_what_that_kubeadm_writes(version: str) -> None:
    assert kubeadm_manifest.manifest(version, "192.0.2.10", 6443) == golden_text(f"kubeadm/v{version}/plain.yaml")


@pytest.mark.parametrize("version", ["1.20.0", "2.0.0", "newest", "1.36.2.1"])
def test_a_version_that_the_lab_does_not_know_is_refused(
    version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(RefusedError, match="the lab plays Kubernetes"):
        up(tmp_path_factory.getbasetemp() / "never-made", kubernetes=version)
    assert not (tmp_path_factory.getbasetemp() / "never-made").exists()
