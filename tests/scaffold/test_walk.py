"""The scenario walked through on a lab, step by step, as a learner would: wrong first, then by the page's own commands.

By default some steps by hand and some with auditctl, those that call it least; with AUDITCTL_LABS=all the whole way by hand, and
the whole way with auditctl.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from learner import SCENARIO, Learner, ways
from walk import BY_HAND, WITH_AUDITCTL, attempt_in_vain, solve

from auditctl.lab import down, up
from auditctl.lab.node.layout import ADDRESS, Timing
from auditctl.lab.node.process import until
from auditctl.lab.tools.scaffold import scaffold
from auditctl.operations.controlplane import ControlPlane

pytestmark = [
    pytest.mark.lab,
    # ssl leaves a socket unclosed where the other side goes away within the handshake: servers are asked while they end here
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not shutil.which("curl"), reason="the pages use curl, which is not installed"),
]
ALL = os.environ.get("AUDITCTL_LABS") == "all"
QUICK = Timing(grace=0.6, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=0.1, start=0.3)
SECONDS = 30.0
HAND_STEPS = frozenset([1, 3, 5, 8, 9])


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    """A lab, the scenario in a folder, and its background script done."""
    lab = up(tmp_path / "node", pace=QUICK)
    scaffold(ControlPlane(), tmp_path / "scenario", None)
    learner = Learner(tmp_path / "scenario" / SCENARIO, lab.root, tmp_path / "tools", ADDRESS, lab.port)
    yield learner
    receiver = learner.at("/opt/auditctl-lab/receiver.pid")
    if receiver.exists():
        os.kill(int(receiver.read_text()), signal.SIGTERM)
    shutil.rmtree(learner.at("/opt"))
    down(lab.root)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["by turns", *([BY_HAND, WITH_AUDITCTL] if ALL else [])])
def test_every_step_refuses_a_wrong_attempt_and_takes_what_its_page_says(learner: Learner, way: str) -> None:
    started = learner.script("background.sh")
    assert started.code == 0, started.text
    assert "Ready: auditctl" in learner.script("foreground.sh").text
    assert learner.at("/etc/auditctl-lab-node").exists()
    for number, step in enumerate(learner.steps, 1):
        pages = ways(step / "text.md")
        chosen = (BY_HAND if number in HAND_STEPS else WITH_AUDITCTL) if way == "by turns" else way
        if (step / "background.sh").exists():
            assert learner.script(f"{step.name}/background.sh").code == 0
            assert until(lambda: learner.at("/opt/auditctl-lab/receiver/webhook.yaml").exists(), SECONDS)

        attempt_in_vain(learner, step, SECONDS)

        solve(learner, step, pages[chosen], SECONDS)
