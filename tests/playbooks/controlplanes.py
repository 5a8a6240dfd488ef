"""Three lab nodes as the control planes of one inventory, and ansible-playbook as an operator would call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.lab import down, status, up
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout, Timing
from auditctl.node.apiserver.process import listener
from auditctl.operations.controlplane import ControlPlane

HERE = Path(__file__).parent
PLAYBOOKS = HERE.parents[1] / "playbooks"
COLLECTIONS = PLAYBOOKS / "collections"
COLLECTION = COLLECTIONS / "ansible_collections/auditctl/kubeadm"
SCRIPTS = Path(sysconfig.get_path("scripts"))
QUICK = Timing(grace=0.6, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=0.1, start=0.3)
NAMES = ("a", "b", "c")
CHANGES = ("present.yml", "absent.yml", "restarted.yml")
METADATA = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
BROKEN = METADATA.replace("Metadata", "Metada")


class Play(NamedTuple):
    """What one call of ansible-playbook gave: exit code, text, and each task's result."""

    code: int
    text: str
    rows: list[dict[str, Any]]

    def results(self, host: str, task: str) -> list[dict[str, Any]]:
        """Results of a task whose name holds that text, on a host."""
        return [row["result"] for row in self.rows if row["host"] == host and task in row["task"]]

    def change(self, host: str) -> dict[str, Any] | None:
        """What the module apiserver_audit returned there last; None where it did not run."""
        found = [row["result"] for row in self.rows if row["host"] == host and "exit_code" in row["result"]]
        return found[-1] if found else None

    @property
    def touched(self) -> list[str]:
        """The hosts where the module ran, in order."""
        return list(dict.fromkeys(row["host"] for row in self.rows if "exit_code" in row["result"]))

    @property
    def last_words(self) -> str:
        """The message of the last failed task."""
        failed = [row["result"].get("msg", "") for row in self.rows if row["how"] != "ok"]
        return str(failed[-1]) if failed else ""


class Node(NamedTuple):
    """A lab and what a test looks at."""

    root: Path

    @property
    def manifest(self) -> Path:
        return self.root / "etc/kubernetes/manifests/kube-apiserver.yaml"

    @property
    def policy(self) -> Path:
        return self.root / "etc/kubernetes/audit/policy.yaml"

    @property
    def process(self) -> tuple[int, float]:
        """(pid, start) of the API server that listens."""
        found = listener(ControlPlane(rootfs=self.root).read_manifest()[1].secure_port)
        assert found is not None
        return found.identity

    @property
    def serves(self) -> bool:
        lab = status(self.root)
        return lab is not None and lab.serving

    def auditctl(self, *words: str) -> None:
        """Run auditctl there as a person does, without Ansible; it has to end well."""
        command = [sys.executable, "-m", "auditctl", "--rootfs", str(self.root), *words]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr

    def never_ready_with(self, flag: str) -> None:
        """From now on a server with that flag does not get ready."""
        Faults(only_with=flag, never_ready=True).save(Layout(self.root))

    def heal(self) -> None:
        clear(Layout(self.root))

    def tree(self, but: str = "-") -> dict[str, tuple[int, int, bytes]]:
        """Every file but the logs that a kubelet and a server write all the time: mtime, inode, bytes."""
        skipped = ("var/log/kubelet.log", "var/log/pods", "var/lib/auditctl-lab", "var/log/kubernetes", but)
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if not name.startswith(skipped):
                seen = path.lstat()
                found[name] = (seen.st_mtime_ns, seen.st_ino, path.read_bytes() if path.is_file() else b"")
        return found


class ControlPlanes:
    """The cluster: nodes by name, an inventory, a home of Ansible's own."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        self.nodes = {name: Node(folder / name) for name in names}
        self.inventory = folder / "inventory.ini"
        self.write_inventory()

    def write_inventory(self, python: str | None = sys.executable, **hosts: str) -> None:
        """Local connections, no root; ``python`` is where auditctl is, ``hosts`` adds words to a host's line."""
        lines = [
            f"{name} apiserver_audit_rootfs={node.root} {hosts.get(name, '')}" for name, node in self.nodes.items()
        ]
        self.inventory.write_text(
            "[control_plane]\n"
            + "\n".join(lines)
            + "\n[control_plane:vars]\nansible_connection=local\nansible_become=false\napiserver_audit_persist=false\n"
            + f"ansible_python_interpreter={interpreter()}\napiserver_audit_ready_timeout=1\n"
            + (f"apiserver_audit_python={python}\n" if python else "")
        )

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "noted",
            "AUDITCTL_NOTED": str(self.folder / "noted.jsonl"),
            "PYTHONUNBUFFERED": "1",  # a line is read when it is said
            "LC_ALL": "C.UTF-8",
        }

    def start(self, playbook: str, *words: str) -> subprocess.Popen[str]:
        """Start ansible-playbook and return at once."""
        (self.folder / "noted.jsonl").write_text("")
        command = [SCRIPTS / "ansible-playbook", "-i", self.inventory, PLAYBOOKS / playbook, *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *words: str, **options: Any) -> Play:
        """Run it; ``options`` are variables ``apiserver_audit_NAME``."""
        if options:
            named = {f"apiserver_audit_{name}": value for name, value in options.items()}
            words = (*words, "--extra-vars", json.dumps(named))
        process = self.start(playbook, *words)
        text, _ = process.communicate(timeout=280)
        rows = [json.loads(line) for line in (self.folder / "noted.jsonl").read_text().splitlines()]
        assert "Traceback" not in text, text
        return Play(process.returncode, text, rows)

    def processes(self) -> dict[str, tuple[int, float]]:
        return {name: node.process for name, node in self.nodes.items()}

    def trees(self, but: str = "-") -> dict[str, dict[str, tuple[int, int, bytes]]]:
        return {name: node.tree(but) for name, node in self.nodes.items()}

    def manifests(self) -> dict[str, bytes]:
        return {name: node.manifest.read_bytes() for name, node in self.nodes.items()}


def interpreter() -> str:
    """A Python for the modules that has no auditctl, so that they have to find it: the system's; else our own."""
    system = "/usr/bin/python3"
    code = "import sys, importlib.util as u; sys.exit(u.find_spec('auditctl') is not None or sys.version_info < (3, 8))"
    ran = subprocess.run([system, "-I", "-c", code], check=False) if os.path.exists(system) else None
    return system if ran is not None and ran.returncode == 0 else sys.executable


@contextmanager
def brought_up(folder: Path, names: Iterable[str] = NAMES) -> Iterator[ControlPlanes]:
    """The labs, up at once and down at the end."""
    planes = ControlPlanes(folder, names)
    roots = [node.root for node in planes.nodes.values()]
    with ThreadPoolExecutor() as pool:
        try:
            list(pool.map(lambda root: up(root, pace=QUICK), roots))
            yield planes
        finally:
            list(pool.map(down, roots))
