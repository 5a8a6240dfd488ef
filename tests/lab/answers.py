"""Answers to the lab's tasks as data (tests/lab/tasks): written onto a node, graded as if its server ran with them, or live."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.findings import Check
from auditctl.lab.grading import grade, requirements
from auditctl.lab.grading.server_and_log import ReceiptRequirement, Serving
from auditctl.manifest.document import load as load_yaml
from auditctl.manifest.flag_values import complaints
from auditctl.node.apiserver.process import Process
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import ActivePolicy, Running
from auditctl.policy.load import load
from auditctl.settings import POLICY_FLAG, POLICY_PATH

TASKS = Path(__file__).parents[2] / "templates/lab/tasks"
ANSWERS = Path(__file__).parent / "tasks"
BASE: Mapping[str, Any] = {
    "at": POLICY_PATH,
    "policy": "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n",
    "flags": {"audit-policy-file": POLICY_PATH, "audit-log-path": "/var/log/kubernetes/audit/audit.log"},
    "words": [],
    "mounts": "- {mountPath: /etc/kubernetes/audit/policy.yaml, name: audit-policy, readOnly: true}\n"
    "- {mountPath: /var/log/kubernetes/audit, name: audit-log}\n",
    "volumes": "- {name: audit-policy, hostPath: {path: /etc/kubernetes/audit/policy.yaml, type: File}}\n"
    "- {name: audit-log, hostPath: {path: /var/log/kubernetes/audit, type: DirectoryOrCreate}}\n",
    "files": {},
    "also": {},
}


class Answer(NamedTuple):
    """One answer to a task, whole."""

    task: str
    name: str
    parts: Mapping[str, Any]
    grep: str

    def __str__(self) -> str:
        return f"{self.task}: {self.name}"

    @property
    def is_right(self) -> bool:
        return self.name.startswith("right")

    def manifest(self, plain: str) -> str:
        """The manifest of this answer, made of one without auditing."""
        flags = [f"--{name}={value}" for name, value in self.parts["flags"].items() if value is not None]
        words = "".join(f"    - {word}\n" for word in [*flags, *self.parts["words"]])
        text = plain.replace("    image:", f"{words}    image:", 1)
        text = text.replace("    volumeMounts:\n", f"    volumeMounts:\n{indented(self.parts['mounts'], 4)}", 1)
        text = text.replace("  volumes:\n", f"  volumes:\n{indented(self.parts['volumes'], 2)}", 1)
        for old, new in self.parts["also"].items():
            assert old in text, old
            text = text.replace(old, new, 1)
        return text

    def files(self) -> dict[str, str]:
        """What it writes beside the manifest, by path."""
        return {self.parts["at"]: self.parts["policy"], **self.parts["files"]}


def indented(text: str, blanks: int) -> str:
    return "".join(f"{' ' * blanks}{line}\n" for line in text.splitlines())


def answers(task: str) -> list[Answer]:
    """All of a task."""
    given: Any = load_yaml((ANSWERS / f"{task}.yaml").read_text())
    base = merged(BASE, given["base"] or {})
    return [Answer(task, name, merged(base, parts or {}), given["grep"]) for name, parts in given["answers"].items()]


def merged(base: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    unknown = parts.keys() - BASE.keys()
    assert not unknown, unknown
    deep = {name: {**base[name], **parts.get(name, {})} for name in ("flags", "files", "also")}
    return {**base, **parts, **deep}


def tasks() -> list[str]:
    return sorted(path.stem for path in TASKS.glob("*.yaml"))


def wants_of(task: str) -> list[Mapping[str, object]]:
    return list(requirements.read_text((TASKS / f"{task}.yaml").read_text(), task))


def write(answer: Answer, root: Path, plain: str) -> None:
    """Files first, then the manifest by one rename, as a careful hand does."""
    for path, text in answer.files().items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    draft = manifest.with_name(".draft")
    draft.write_text(answer.manifest(plain))
    draft.chmod(0o600)
    draft.rename(manifest)


def as_if_running(plane: ControlPlane) -> Running:
    """The node that would be if the server ran with what stands on disk; it does not run with what it would refuse."""
    manifest = plane.read_manifest()[1]
    policy, starts = (
        None,
        not [one for one in complaints(manifest.audit_flags, (1, 36)) if one.severity.value == "error"],
    )
    if manifest.flag(POLICY_FLAG):
        place = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
        policy = load(place.read_bytes()).policy if place and place.is_file() else None
        starts = starts and policy is not None
    process = Process(os.getpid(), plane.clock.boot(), manifest.command) if starts else None
    return Running(plane, manifest, process, ActivePolicy(policy, known=True, edited=False))


def graded_as_if_running(answer: Answer, plane: ControlPlane) -> tuple[Check, ...]:
    """All that needs no live server; the rest is `test_tasks_live`'s."""
    wanted = [
        want for want in requirements.read(wants_of(answer.task)) if not isinstance(want, Serving | ReceiptRequirement)
    ]
    return grade.judged(as_if_running(plane), wanted)


def grep_accepts(answer: Answer, root: Path) -> bool:
    """Does the hurried author's check let it pass?"""
    places = {
        "MANIFEST": root / "etc/kubernetes/manifests/kube-apiserver.yaml",
        "POLICY": root / answer.parts["at"].lstrip("/"),
    }
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}}
    return subprocess.run(["sh", "-c", answer.grep], env=environment, capture_output=True, check=False).returncode == 0


def every_answer() -> Iterator[Answer]:
    for task in tasks():
        yield from answers(task)
