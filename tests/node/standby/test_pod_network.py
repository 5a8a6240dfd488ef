"""Which nodes are said to have Pods whose connections a redirect may not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.node.standby.pod_network import bypass


@pytest.mark.parametrize(
    ("names", "has_rules", "owner"),
    [
        (("eth0",), False, ""),
        (("eth0", "cilium_host"), False, "Cilium"),
        (("eth0", "cilium_host"), True, ""),
        (("eth0", "bpfin.cali"), False, "Calico"),
        (("eth0", "cilium_host", "kube-ipvs0"), False, ""),
    ],
)
def test_only_ebpf_in_the_place_of_kube_proxy_is_named(
    names: tuple[str, ...], has_rules: bool, owner: str, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    text = bypass(tmp_path, lambda: has_rules)

    assert bool(text) == bool(owner)
    assert f"eBPF of {owner}" in text or not owner
