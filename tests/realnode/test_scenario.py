"""The killercoda scenario walked through on a real node: a wrong attempt at each step, then the page's own commands.

AUDITCTL_SINGLE_FILE may name the single-file build: then the node gets it as a learner's does, at /usr/local/bin.
AUDITCTL_KUBECTL may name a kubectl; without it a script sends what the pages ask for.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from learner import SCENARIO, Learner, ways
from walk import BY_HAND, WITH_AUDITCTL, attempt_in_vain, solve

from auditctl.lab.node.process import until
from auditctl.lab.tools.scaffold import scaffold
from auditctl.node.apiserver.process import listener
from auditctl.operations.controlplane import ControlPlane

SINGLE_FILE = os.environ.get("AUDITCTL_SINGLE_FILE", "")
NAMES = [Path("/usr/local/bin", name) for name in ("auditctl", "kube-auditctl", "auditctl.pyz")]
LEAVINGS = [Path("/opt/auditctl-lab"), Path("/etc/auditctl-lab-node")]
SECONDS = 120.0


def drained(ended: threading.Event) -> None:
    """End each old server once it no longer listens: a learner would wait the half minute that the kubelet gives it."""
    last = None
    while not ended.wait(0.5):
        now = listener(6443)
        if last is not None and (now is None or now.identity != last.identity):
            time.sleep(1)
            with suppress(ProcessLookupError):
                os.kill(last.pid, signal.SIGKILL)
        last = now


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    """The scenario in a folder; all that it leaves on this machine goes again."""
    if any(os.path.lexists(path) for path in (*NAMES, *LEAVINGS)):
        pytest.skip("there is a lab's auditctl on this machine already")
    scaffold(ControlPlane(), tmp_path / "scenario", Path(SINGLE_FILE) if SINGLE_FILE else None)
    if SINGLE_FILE:
        shutil.copy(SINGLE_FILE, NAMES[2])
    where = tmp_path / "scenario" / SCENARIO
    kubectl = os.environ.get("AUDITCTL_KUBECTL", "")
    learner = Learner(
        where, Path("/"), tmp_path / "tools", "127.0.0.1", 6443, installed=bool(SINGLE_FILE), kubectl=kubectl
    )
    given = learner.answers
    ended = threading.Event()
    drain = threading.Thread(target=drained, args=(ended,))
    drain.start()
    yield learner
    ended.set()
    drain.join()
    receiver = Path("/opt/auditctl-lab/receiver.pid")
    if receiver.exists():
        os.kill(int(receiver.read_text()), signal.SIGTERM)
    for path in (*NAMES, *given):
        path.unlink(missing_ok=True)
    shutil.rmtree(LEAVINGS[0], ignore_errors=True)
    LEAVINGS[1].unlink(missing_ok=True)


# ssl leaves a socket unclosed where the other side goes away within the handshake: servers are asked while they end here
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_step_refuses_a_wrong_attempt_and_takes_what_its_page_says(learner: Learner) -> None:
    """Odd steps by hand, even ones with auditctl."""
    assert learner.script("background.sh").code == 0
    print(learner.script("foreground.sh").text)
    for number, step in enumerate(learner.steps, 1):
        began = time.monotonic()
        if (step / "background.sh").exists():
            assert learner.script(f"{step.name}/background.sh").code == 0
            assert until(Path("/opt/auditctl-lab/receiver/webhook.yaml").exists, 30)

        attempt_in_vain(learner, step, SECONDS)
        solve(learner, step, ways(step / "text.md")[BY_HAND if number % 2 else WITH_AUDITCTL], SECONDS)
        print(f"{step.name}: {time.monotonic() - began:.0f} s")
