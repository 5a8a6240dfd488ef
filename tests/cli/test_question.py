"""The question before a restart: asked on a terminal alone, and only a yes is a yes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from foldernode import PLAIN, POLICY

from auditctl.node.change.files import Root
from auditctl.node.kubelet import kubelet_log

ASKING = (
    "from auditctl.cli.output import PlanReviewer\nfrom auditctl.operations.controlplane import Silence\n"
    "print(PlanReviewer(Silence(), quiet={quiet}).accepts(['+the plan'], {question!r}))"
)


def at_a_terminal(words: list[str], typed: bytes) -> tuple[int, str, str]:
    """Exit code, stdout, and what the terminal showed; ``typed`` is what somebody types at once."""
    master, slave = pty.openpty()
    os.write(master, typed)
    environment = {**os.environ, "TERM": "dumb"}
    with subprocess.Popen(words, stdin=slave, stderr=slave, stdout=subprocess.PIPE, env=environment) as process:
        os.close(slave)
        out, _ = process.communicate(timeout=60)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    return process.returncode, out.decode().strip(), shown.decode()


def asked(typed: bytes, *, quiet: bool = False, question: str = "Proceed?") -> tuple[str, str]:
    code = ASKING.format(quiet=quiet, question=question)
    _, answer, shown = at_a_terminal([sys.executable, "-c", code], typed)
    return answer, shown


@pytest.mark.parametrize(
    ("typed", "answer"),
    [(b"y\n", "True"), (b"YES\n", "True"), (b"n\n", "False"), (b"\n", "False"), (b"yo\n", "False"), (b"\x04", "False")],
)
def test_only_a_yes_is_a_yes(typed: bytes, answer: str) -> None:
    """A bare Enter and the end of the input are a no."""
    found, shown = asked(typed)
    assert found == answer
    assert "+the plan" in shown
    assert "Proceed? [y/N]" in shown


def test_quiet_shows_the_plan_only_where_it_is_asked_about() -> None:
    assert "+the plan" in asked(b"y\n", quiet=True)[1]
    answer, shown = asked(b"", quiet=True, question="")
    assert (answer, "the plan" in shown) == ("True", False)


@pytest.mark.parametrize("stream", ["stdin", "stderr"])
def test_without_a_terminal_nobody_is_asked(stream: str) -> None:
    master, slave = pty.openpty()
    other = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}[stream]
    streams = {"stdin": slave, "stderr": slave, "stdout": subprocess.PIPE} | {stream: other}
    code = ASKING.format(quiet=False, question="Proceed?")
    ran = subprocess.run([sys.executable, "-c", code], **streams, timeout=60)
    os.close(slave)
    os.close(master)
    assert ran.stdout.decode().strip() == "True"


@pytest.mark.parametrize(
    ("typed", "options", "code", "changed"),
    [(b"n\n", [], 130, False), (b"y\n", [], 0, True), (b"n\n", ["--yes"], 0, True), (b"n\n", ["-y", "-q"], 0, True)],
    ids=["no", "yes", "--yes", "-y"],
)
def test_the_command_asks_before_it_touches_the_machines_own_manifest(
    tmp_path: Path, typed: bytes, options: list[str], code: int, changed: bool
) -> None:
    if kubelet_log.find(Root(Path("/"))) is not None:
        pytest.skip("a kubelet runs on this machine")
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    manifest.parent.mkdir()
    manifest.write_text(PLAIN.read_text().replace("6443", "29999").replace("192.0.2.10", "127.0.0.1"))
    (tmp_path / "p.yaml").write_text(POLICY)
    words = [sys.executable, "-m", "auditctl", "--manifest", str(manifest), "--state-dir", str(tmp_path / "state")]
    words += ["enable", "--policy", str(tmp_path / "p.yaml"), "--policy-path", str(tmp_path / "audit/policy.yaml")]
    words += ["--log-path", str(tmp_path / "log/audit.log"), "--no-wait", "--allow", "apiserver-ready", *options]

    returned, _, shown = at_a_terminal(words, typed)

    assert returned == code, shown
    assert ("audit-policy-file" in manifest.read_text()) is changed
    assert ("Proceed?" in shown) is not bool(options)
    assert (tmp_path / "audit/policy.yaml").exists() is changed
