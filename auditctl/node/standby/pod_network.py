"""Tell whether Pods of this node reach Services by a way that a redirect in the kernel's nat may not see: eBPF.

Cilium and Calico can take the place of kube-proxy. They translate a Service's address in a socket or on a network device,
before any nat rule. Where kube-proxy's own rules are there, in any of its modes, Services go through nat.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from auditctl.node.programs import program

_INTERFACES = Path("/sys/class/net")
_BPF_OF = {"cilium_host": "Cilium", "bpfin.cali": "Calico"}
_IPVS = "kube-ipvs0"  # pkg/proxy/ipvs/proxier.go, defaultDummyDevice
_RUN_SECONDS = 5.0
# pkg/proxy/iptables/proxier.go, kubeServicesChain; pkg/proxy/nftables/proxier.go, kubeProxyTable
_RULES = (("iptables", "-w", "2", "-t", "nat", "-S", "KUBE-SERVICES"), ("nft", "list", "table", "ip", "kube-proxy"))


def bypass(interfaces: Path = _INTERFACES, has_rules: Callable[[], bool] | None = None) -> str:
    """Return a sentence about Pods that a redirect may not reach; empty where nothing speaks for it."""
    rules = [owner for name, owner in _BPF_OF.items() if (interfaces / name).exists()]
    if not rules or (interfaces / _IPVS).exists() or (has_rules or _has_rules)():
        return ""
    return (
        f"Pods of this node reach Services through eBPF of {rules[0]} (there are no rules of kube-proxy), which a redirect"
        " may not see: their requests may fail while the API server restarts"
    )


def _has_rules() -> bool:
    return any(_succeeds(words) for words in _RULES)


def _succeeds(words: Sequence[str]) -> bool:
    path = program(words[0])
    if path is None:
        return False
    with suppress(OSError, subprocess.SubprocessError):
        ran = subprocess.run([path, *words[1:]], capture_output=True, timeout=_RUN_SECONDS, check=False)
        return ran.returncode == 0
    return False
