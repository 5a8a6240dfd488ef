"""A lab node, and auditctl as a person would call it: words in; exit code, report and stderr out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft7Validator

from auditctl.lab import status
from auditctl.lab.node.layout import Timing

QUICK = Timing(grace=0.3, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=1.0, start=0.1)
METADATA = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
NOTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n"
BROKEN = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metada\n"


REPORT_SCHEMA = Draft7Validator(
    json.loads((Path(__file__).parents[2] / "templates/schemas/report.schema.json").read_text())
)


class Ran(NamedTuple):
    """What one call gave."""

    code: int
    report: dict[str, Any]
    stderr: str


class Node:
    """A lab and the paths a test looks at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
        self.policy = root / "etc/kubernetes/audit/policy.yaml"
        self.log = root / "var/log/kubernetes/audit/audit.log"

    def start(self, *words: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start `auditctl` and return at once."""
        command = [sys.executable, "-m", "auditctl", "--rootfs", str(self.root), *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def run(self, *words: str | Path) -> Ran:
        """Run `auditctl ... -o json`."""
        process = self.start(*words, "-o", "json")
        stdout, stderr = process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        document = json.loads(stdout) if stdout.strip() else {}
        if document.get("kind") == "Report":
            REPORT_SCHEMA.validate(document)
        return Ran(process.returncode, document, stderr)

    def enable(self, text: str, *words: str | Path) -> Ran:
        """`enable --policy` with a policy of this text."""
        path = self.root / "p.yaml"
        path.write_text(text)
        return self.run("enable", "--policy", path, *words)

    def is_ready(self) -> bool:
        """Does `/readyz` answer 200? (A server listens, and answers `/version`, before it is ready.)"""
        lab = status(self.root)
        return lab is not None and lab.serving

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def names_seen_by_the_kubelet(self) -> list[str]:
        return [name for name in os.listdir(self.manifest.parent) if not name.startswith(".")]
