"""The wait between the two renames is part of --timeout: a kubelet that does not act is not waited for beyond it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator

from nodes import METADATA, Node


@contextlib.contextmanager
def stopped_kubelet(node: Node) -> Iterator[None]:
    """The kubelet looks away."""
    record = node.root / "var/lib/auditctl-lab/processes/kubelet.json"
    pid = json.loads(record.read_text())["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_kubelet_that_does_not_act_is_waited_for_as_long_as_was_specified(node: Node) -> None:
    """One rename was made, the second never; the server that serves all along is the old configuration's."""
    before = node.manifest.read_bytes()
    with stopped_kubelet(node):
        ran = node.enable(METADATA, "--timeout", "2s", "--allow", "kubelet-not-running")

    assert ran.code == 4, ran.stderr
    assert "the API server was not ready within 2 s: the kubelet has not acted on the manifest" in ran.report["summary"]
    assert node.manifest.read_bytes() == before
    steps = [step["step"] for step in _last_steps(node)]
    assert "ending" in steps
    assert "replacing" not in steps


def _last_steps(node: Node) -> list[dict[str, str]]:
    folder = max((node.root / "var/lib/auditctl/changes").iterdir())
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()[1:]]
