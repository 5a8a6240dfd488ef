"""What every test may ask for: a node in a folder without a server, a policy of the user's own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from foldernode import PLAIN, POLICY, FakeClock

from auditctl.operations.controlplane import ControlPlane

# Started in a shell's background we ignore Ctrl-C, and so would every program that a test starts and ends with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# `pytest -m quick`: under a minute with one worker. The laws by hypothesis, the fuzzers and the costs take longer.
TESTS = Path(__file__).parent
QUICK_ROOMS = (TESTS / "manifest", TESTS / "policy", TESTS / "kubeadm")
QUICK_MODULES = ("test_architecture", "test_printable", "test_quality")
SLOW_MODULES = (
    "test_compiled",
    "test_configmap",
    "test_corpus",
    "test_cost",
    "test_coverage",
    "test_fuzz",
    "test_fast_request",
    "test_json_schema",
    "test_matrix",
    "test_plan_laws",
)


# What costs minutes and is seldom broken: run where AUDITCTL_THOROUGH is set, as the workflow does on one Python.
THOROUGH = (
    "test_ansible_test_sanity_has_no_complaint",
    *(
        f"test_the_next_steps_mend_the_node[{fault}]"
        for fault in (
            *("as-if-nothing-was-changed", "edited-but-not-in-force", "fine-until-the-next-start"),
            *("nothing-on-the-host", "the-policy-is-not-asked", "tidied-up-log"),
        )
    ),
)
LONG_ROOMS = (TESTS / "playbooks", TESTS / "scaffold", TESTS / "e2e")
WORKERS = 6  # of the README's command; `--dist worksteal` gives each of them one part of the list


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests, and put the modules whose single tests take long first in each worker's part of the list."""
    for item in items:
        room, module = item.path.parent, item.path.stem
        if module in QUICK_MODULES or (room in QUICK_ROOMS and module not in SLOW_MODULES):
            item.add_marker("quick")
        if item.name in THOROUGH and not os.environ.get("AUDITCTL_THOROUGH"):
            item.add_marker(pytest.mark.skip(reason="takes long: AUDITCTL_THOROUGH=1 runs it"))
    modules = list(dict.fromkeys(item.path for item in items if item.path.parent in LONG_ROOMS))
    if not modules or len(modules) == len({item.path for item in items}):
        return
    others = [item for item in items if item.path.parent not in LONG_ROOMS]
    share, ordered = -(-len(items) // WORKERS), list[pytest.Item]()
    for worker in range(WORKERS):
        mine = modules[worker::WORKERS]
        part = [item for item in items if item.path in mine]
        filling = max(share - len(part), 0) if worker < WORKERS - 1 else len(others)
        ordered += [*part, *others[:filling]]
        del others[:filling]
    items[:] = ordered


@pytest.fixture
def folder_node(tmp_path: Path) -> ControlPlane:
    """A node that is just files: kubeadm's own manifest under a root folder; nobody serves it."""
    manifests = tmp_path / "root/etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())
    (manifests / "kube-apiserver.yaml").chmod(0o600)
    return ControlPlane(rootfs=tmp_path / "root", clock=FakeClock())


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A policy of the user's own, somewhere."""
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    return path
