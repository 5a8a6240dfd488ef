"""``lab demo``: the whole job on a practice node: up, the real ``enable``, the receipt and the log, and all gone again."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from auditctl.lab.node import updown
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.report import Report
from auditctl.settings import Settings

_SHOWN_EVENTS = 3


def demo(plane: ControlPlane, say: Callable[[str], None]) -> Report:
    """Run it in a fresh temporary folder that is removed at the end, whatever happens.

    Raises:
        AuditctlError: what `up` or `enable` raise.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the folder goes in any case
    with tempfile.TemporaryDirectory(prefix="auditctl-lab-") as folder:
        root = Path(folder) / "node"
        say(f"a practice node in {root}: no root, no cluster; its API server is a stand-in")
        try:
            lab = updown.up(root)
            say(f"the stand-in kube-apiserver {lab.kubernetes} serves at {lab.url}")
            say(f"$ auditctl --rootfs {root} enable --policy baseline")
            report = enable(replace(plane, rootfs=root), EnableRequest(Settings(), "baseline"), ChangeOptions())
            steps = ("auditctl lab up DIR, then: auditctl --rootfs DIR enable",)
            return replace(report, lines=(*report.lines, *_receipt_lines(report)), next_steps=steps)
        finally:
            updown.down(root)
            say("the practice node is gone again")


def _receipt_lines(report: Report) -> list[str]:
    """Return the events of the receipt as they are in the log."""
    if report.receipt is None:
        return []
    lines = Path(report.receipt.file).read_text().splitlines()
    own = [line for line in lines if report.receipt.audit_id in line]
    return [f"the log, {report.receipt.file}:", *(_short(line) for line in own[-_SHOWN_EVENTS:])]


def _short(line: str) -> str:
    event = json.loads(line)
    status = event.get("responseStatus", {}).get("code", "")
    return (
        f"  {event['stageTimestamp']}  {event['user'].get('username', '-')}  {event['verb']} {event['requestURI']}  "
        f"{event['level']}  {event['stage']}  {status}  {event['auditID']}"
    )
