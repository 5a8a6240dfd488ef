"""A node in a folder that faults are let loose on: made once, copied for each fault, judged afterwards."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from calls import lay, noted
from foldernode import OTHER_POLICY, PLAIN, POLICY

# All that a command imports when it is asked: a forked child must not spend its time on that.
from auditctl.cli import application, enable_options, node_commands  # noqa: F401
from auditctl.cli.app import run
from auditctl.manifest import document, three_way_merge  # noqa: F401
from auditctl.operations.change import run as change_run  # noqa: F401
from auditctl.operations.controlplane import ControlPlane

WEBHOOK = (
    "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {server: 'https://127.0.0.1:1/'}\n"
    "contexts:\n- name: c\n  context: {cluster: k, user: u}\nusers:\n- name: u\n  user: {}\n"
)
OTHER_WEBHOOK = WEBHOOK.replace("/'}", "/other'}")
EVERYTHING = bool(os.environ.get("AUDITCTL_FAULTS"))  # "all": the complete walks, some thousand runs

_CHANGE_ID = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{4}")
TALLY: Counter[str] = Counter()  # what was tried, for the summary of the run

# What a person types; {root} is the node's folder. The files that it names lie in that folder.
FIRST = ("enable", "--policy", "{root}/p.yaml", "--no-wait")
SECOND = ("enable", "--policy", "{root}/q.yaml", "--log-maxage", "7", "--no-wait")
WEBHOOKED = ("enable", "--webhook-config", "{root}/w.yaml", "--no-wait")
REHOOKED = ("enable", "--webhook-config", "{root}/v.yaml", "--no-wait")
OUT = ("disable", "--no-wait")
PURGED = ("disable", "--purge", "--no-wait")
BACK = ("rollback", "--no-wait")
RECOVER = ("recover",)

# From which state each command starts: the commands that lead there.
JOURNEYS = {
    "enable-first": ((), FIRST),
    "enable-other-policy-and-flag": ((FIRST,), SECOND),
    "enable-webhook": ((FIRST,), WEBHOOKED),
    "enable-other-webhook": ((FIRST, WEBHOOKED), REHOOKED),
    "disable": ((FIRST,), OUT),
    "disable-purge": ((FIRST, WEBHOOKED), PURGED),
    "disable-purge-of-two-webhooks": ((FIRST, WEBHOOKED, REHOOKED), PURGED),
    "rollback-to-the-first-policy": ((FIRST, SECOND), BACK),
    "rollback-to-nothing": ((FIRST,), BACK),
    "rollback-to-the-first-webhook": ((FIRST, WEBHOOKED, REHOOKED), BACK),
}


class Ran(NamedTuple):
    """How one call ended; ``code`` is negative where a signal ended it."""

    code: int
    said: str


class FaultNode:
    """A folder that plays a node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
        self.policy = root / "etc/kubernetes/audit/policy.yaml"
        self.state_dir = root / "var/lib/auditctl"

    @classmethod
    def new(cls, root: Path, *steps: tuple[str, ...]) -> FaultNode:
        """kubeadm's own manifest, then these commands."""
        node = cls(root)
        node.manifest.parent.mkdir(parents=True)
        node.manifest.write_bytes(PLAIN.read_bytes())
        node.manifest.chmod(0o640)
        for name, text in (
            ("p.yaml", POLICY),
            ("q.yaml", OTHER_POLICY),
            ("w.yaml", WEBHOOK),
            ("v.yaml", OTHER_WEBHOOK),
        ):
            (root / name).write_text(text)
        for step in steps:
            ran = node.run(*step)
            assert ran.code == 0, ran.said
        return node

    def copy(self, to: Path) -> FaultNode:
        """The same node elsewhere. The journal knows node paths alone, so a copy is as good as the original."""
        return FaultNode(Path(shutil.copytree(self.root, to, symlinks=True)))

    def gone(self) -> None:
        shutil.rmtree(self.root)

    def words(self, *words: str) -> list[str]:
        """The command line as `run` takes it."""
        return ["auditctl", "--rootfs", str(self.root), *(word.format(root=self.root) for word in words)]

    def run(self, *words: str, inside: Callable[[], Any] | None = None) -> Ran:
        """Run the command line in a forked child (everything is imported already: a few milliseconds).

        ``inside`` is called first in the child: that is where a fault is laid.
        """
        told = self.root / ".told"
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                with told.open("w") as sys.stderr:
                    sys.stdout = sys.stderr
                    if inside is not None:
                        inside()
                    code = run(self.words(*words))
            except BaseException:  # noqa: BLE001 (a child must not return into pytest)
                told.write_text(traceback.format_exc())
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said = told.read_text()
        told.unlink()
        assert "Traceback" not in said, said
        return Ran(code, said)

    def plane(self) -> ControlPlane:
        return ControlPlane(rootfs=self.root)

    def tree(self) -> dict[str, tuple[str, bytes]]:
        """Everything that a change may touch, but our own records: names, kinds and modes, bytes."""
        found = {}
        opened = {journal.id for journal in self.plane().state.open_changes()}
        for top in ("etc/kubernetes/manifests", "etc/kubernetes/audit", "var/log"):
            for path in (self.root / top, *sorted((self.root / top).rglob("*"))):
                if path.exists():
                    content = path.read_bytes() if path.is_file() else b""
                    name = _CHANGE_ID.sub(
                        lambda found: "OPEN" if found[0] in opened else "ID", str(path.relative_to(self.root))
                    )
                    found[name] = (stat.filemode(path.stat().st_mode), content)
        return found

    def files(self) -> dict[str, bytes]:
        """Of the tree: the files alone, by their bytes."""
        return {name: content for name, (mode, content) in self.tree().items() if mode.startswith("-")}

    def hidden(self) -> list[str]:
        """Of the files: temporary ones, which neither the kubelet nor the API server ever reads."""
        return [name for name in self.files() if name.endswith((".auditctl-new", ".filling", ".before-OPEN"))]

    def strays(self) -> list[str]:
        """Temporary files and empty folders of changes, wherever they lie."""
        left = [str(path.relative_to(self.root)) for path in self.root.rglob(".*.auditctl-new")]
        folders = (self.state_dir / "changes").glob("*")
        return left + [
            str(folder.relative_to(self.root)) for folder in folders if not (folder / "journal.jsonl").exists()
        ]

    def seen_by_the_kubelet(self) -> list[str]:
        return sorted(name for name in os.listdir(self.manifest.parent) if not name.startswith("."))

    def names_an_absent_file(self) -> str:
        """A policy or webhook file that the manifest names and that is not there: the server would die of it."""
        text = self.manifest.read_text()
        for path in re.findall(r"--audit-(?:policy-file|webhook-config-file)=(\S+)", text):
            if not (self.root / path.lstrip("/")).is_file():
                return str(path)
        return ""

    def open_changes(self) -> list[str]:
        return [journal.step.value for journal in self.plane().state.open_changes()]


Journey = tuple[FaultNode, FaultNode, tuple[str, ...]]


def travelled(name: str, ground: Path) -> Journey:
    """The node before and after one of the journeys; made once in that folder."""
    before, command = JOURNEYS[name]
    old, new = FaultNode(ground / f"{name}-old"), FaultNode(ground / f"{name}-new")
    if not old.root.exists():
        FaultNode.new(old.root, *before)
        FaultNode.new(new.root, *before, command)
        assert old.tree() != new.tree()
    return old, new, command


@cache
def _calls_of(root: Path, words: tuple[str, ...]) -> list[str]:
    copy, notes = FaultNode(root).copy(root.with_name("counted")), root.with_name("notes")
    into = os.open(notes, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    ran = copy.run(*words, inside=lambda: lay(noted(into)))
    os.close(into)
    assert ran.code == 0, ran
    copy.gone()
    return notes.read_text().splitlines()


def calls_of(node: FaultNode, words: tuple[str, ...]) -> list[str]:
    """Every changing call of a run on a copy of this node where nothing goes wrong: its name and its path."""
    return _calls_of(node.root, words)


def assert_old_or_new(node: FaultNode, old: FaultNode, new: FaultNode) -> None:
    """Whatever happened: whole, alone, and pointing at nothing that is absent."""
    assert node.manifest.read_bytes() in (old.manifest.read_bytes(), new.manifest.read_bytes())
    assert node.seen_by_the_kubelet() == ["kube-apiserver.yaml"]
    assert not node.names_an_absent_file()


def assert_settled(node: FaultNode, *allowed: FaultNode) -> None:
    """After the next command: one of these nodes, file by file; nothing open, nothing left over."""
    assert not node.open_changes()
    assert not node.strays()
    tree = node.tree()
    assert tree in [other.tree() for other in allowed], sorted(tree)


def sample(points: int, *, about: int, salt: int = 0) -> list[int]:
    """Which of the points 1 to ``points`` to try: all of them where everything is asked for, else some ``about`` evenly."""
    if EVERYTHING or points <= about:
        return list(range(1, points + 1))
    step = points // about
    return list(range(1 + salt % step, points + 1, step))
