"""A standby server on the practice node: no new connection fails, whatever becomes of the change, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nodes import METADATA, QUICK, Node
from standby_relay import Relay

from auditctl.lab import down, up
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
DEADLINE_SECONDS = 60.0
STANDBY = "kube-apiserver-standby.yaml"


class Clients:
    """Somebody who asks through the relay all the time, each time by a new connection."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self._url, self._stopped = f"https://127.0.0.1:{port}/version", threading.Event()
        self._context = ssl._create_unverified_context()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._stopped.wait(0.02):
            try:
                with urllib.request.urlopen(self._url, timeout=10, context=self._context) as answer:
                    self.answers[str(answer.status)] += 1
            except OSError as error:
                self.answers[repr(error)] += 1

    def stop(self) -> Counter[str]:
        self._stopped.set()
        self._thread.join()
        return self.answers


class Served(Node):
    """A lab node whose clients come through a relay."""

    relay: Relay

    def steps(self) -> list[str]:
        folder = max((self.root / "var/lib/auditctl/changes").iterdir())
        lines = (folder / "journal.jsonl").read_text().splitlines()
        return [json.loads(line)["step"] for line in lines[1:]]

    def standbys(self) -> list[str]:
        """What is left of a standby: its manifest, its process, its redirect, its open log."""
        processes = [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if (words := _read(path)) and str(self.root).encode() in words and b"reconciler-type=none" in words
        ]
        places = [self.root / name for name in ("etc/kubernetes", "var/log/kubernetes", "run")]
        names = [str(path) for place in places for path in place.rglob("*standby*") if path.is_file()]
        return processes + names


def _read(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def until(holds: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A fresh lab and its relay."""
    lab = up(tmp_path / "node", pace=QUICK)
    node = Served(lab.root)
    node.relay = Relay(lab.root, lab.port)
    yield node
    node.relay.close()
    down(tmp_path / "node")


def test_a_change_with_a_standby_fails_no_new_connection(served: Served) -> None:
    """The new configuration leaves its receipt on the standby before the manifest is touched."""
    clients = Clients(served.relay.port)

    ran = served.enable(METADATA, "--no-downtime", "-v")

    answers = clients.stop()
    assert ran.code == 0, ran
    assert set(answers) == {"200"}, answers
    assert served.relay.counted > 0
    assert served.steps()[:4] == ["backed-up", "installing", "standby", "replacing"]
    asked = [line for line in ran.stderr.splitlines() if "under Audit-ID" in line]
    assert len(asked) == 2
    assert ran.report["timings"]["outage"] == 0.0
    assert ran.report["standby"]["port"] > 0
    rotated = Path(ran.report["standby"]["logFile"])
    nonce = asked[0].split("Audit-ID ")[1].split()[0]
    assert nonce in rotated.read_text()
    assert rotated.name.startswith("audit-")
    assert not served.standbys()


def test_a_standby_that_records_nothing_changes_nothing(served: Served) -> None:
    """Exit 3: the manifest was never touched, and the policy is away again."""
    before = served.manifest.read_bytes()
    Faults(only_with="--endpoint-reconciler-type", disk_full=True).save(Layout(served.root))
    clients = Clients(served.relay.port)

    ran = served.enable(METADATA, "--no-downtime")

    assert set(clients.stop()) == {"200"}
    assert ran.code == 3, ran
    assert "the standby server records nothing" in ran.report["summary"]
    assert served.manifest.read_bytes() == before
    assert not served.policy.exists()
    assert served.steps()[-1] == "undone"
    assert not served.standbys()


def test_a_change_that_fails_is_undone_while_the_standby_serves(served: Served) -> None:
    """The server with the new settings never gets ready, the standby does: exit 4 without an outage."""
    before = served.manifest.read_bytes()
    process = served.start("enable", "--policy", _policy(served), "--no-downtime", "--timeout", "4s", "-v")
    assert until(lambda: "standby" in (served.steps() if _begun(served) else ()))
    assert until((served.root / "run/auditctl/standby-redirect.json").exists)
    Faults(only_with="--audit-", never_ready=True).save(Layout(served.root))
    clients = Clients(served.relay.port)
    _, stderr = process.communicate(timeout=120)

    assert process.returncode == 4, stderr
    assert set(clients.stop()) == {"200"}, stderr
    assert served.manifest.read_bytes() == before
    assert not served.standbys()


@pytest.mark.parametrize("killed", ["the-run", "the-run-and-its-watchdog"])
def test_killed_while_the_standby_serves(killed: str, served: Served) -> None:
    """The watchdog goes on; where it is dead, too, the redirect ends by itself, and the next run takes the standby away."""
    Faults(kubelet_idle=False).save(Layout(served.root))
    process = served.start("enable", "--policy", _policy(served), "--no-downtime", "-v")
    assert process.stderr is not None
    watchdog = next(int(line.split()[2]) for line in process.stderr if " takes over" in line)
    assert until((served.root / "run/auditctl/standby-redirect.json").exists)
    os.kill(process.pid, signal.SIGKILL)
    if killed == "the-run-and-its-watchdog":
        os.kill(watchdog, signal.SIGKILL)
    process.communicate()
    clear(Layout(served.root))

    if killed == "the-run":
        assert until(lambda: served.steps()[-1] in ("done", "undone"))
        assert until(lambda: not served.standbys())
    else:
        status = served.run("status").report
        assert "standby" in [finding["check"] for finding in status["findings"]]
    recovered = served.run("recover")
    assert recovered.code == 0, recovered
    assert not served.standbys()
    assert until(served.is_ready)
    assert served.names_seen_by_the_kubelet() == ["kube-apiserver.yaml"]


def test_what_cannot_be_done_is_refused_and_auto_goes_on_without(served: Served) -> None:
    """A Pod that may pull its image: exit 3 with the reason, or the change as it always was."""
    text = served.manifest.read_text()
    served.manifest.with_name(".new").write_text(text.replace("IfNotPresent", "Always"))
    served.manifest.with_name(".new").rename(served.manifest)
    kubelet = served.root / "var/log/kubelet.log"
    assert until(lambda: kubelet.read_text().count("Started container") == 2)
    assert until(served.is_ready)

    refused = served.enable(METADATA, "--no-downtime")
    went_on = served.enable(METADATA, "--no-downtime=auto")

    assert refused.code == 3, refused
    assert "imagePullPolicy Always" in refused.report["summary"]
    assert went_on.code == 0, went_on
    assert went_on.report["standby"] is None
    assert [each["check"] for each in went_on.report["findings"]].count("no-downtime") == 1


def _policy(node: Node) -> Path:
    path = node.root / "p.yaml"
    path.write_text(METADATA)
    return path


def _begun(node: Node) -> bool:
    folder = node.root / "var/lib/auditctl/changes"
    return folder.is_dir() and any((each / "journal.jsonl").exists() for each in folder.iterdir())
