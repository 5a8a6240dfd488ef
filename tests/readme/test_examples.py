"""Every command that README and docs show is run, page by page, in its order, on a practice node: it cannot rot."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from examples import ELSEWHERE, PAGES, README, TOP, installs, lines, name_of, named, runnable, session_output

from auditctl.lab import down, up
from auditctl.lab.node.layout import Timing

QUICK = Timing(grace=0.6, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=0.1, start=0.3)
TEMPLATES = Path(__file__).parents[2] / "templates/policies"
DEADLINE_SECONDS = 60.0
# What ends otherwise than with 0, and the words that say so.
OTHERWISE = {
    "kube-auditctl kubeadm check": (1, "would change the audit settings"),
    "kube-auditctl policy diff old.yaml new.yaml": (1, "rules[0]"),
    "kube-auditctl policy diff baseline mine.yaml": (0, "alike"),
    "kube-auditctl policy validate p.yaml --rehearse": (
        3,
        "was not done",
    ),  # a practice node has no server to start aside
    "kube-auditctl policy coverage p.yaml": (1, "can never fire"),
    "kube-auditctl policy coverage p.yaml --for falco": (1, "can never fire"),
    "kube-auditctl -v doctor": (1, "1 finding"),
    "kube-auditctl lab check": (1, "not yet"),
}
# Pages that share a node, in their order: it is in a state that each of them begins with, and no page needs that of another.
CHAPTERS = {
    "first steps": ("README.md",),
    "tutorial": ("docs/tutorial.md",),
    "policies": ("docs/how-to/lab-authors.md", "docs/how-to/policies.md"),
    "webhook": ("docs/how-to/webhook.md",),
    "a node that audits": (
        "docs/how-to/log-volume.md",
        "docs/how-to/replay.md",
        "docs/how-to/sql.md",
        "docs/how-to/kubeadm-upgrade.md",
    ),
    "no node": ("docs/how-to/detections.md", "docs/how-to/fleet.md", "docs/how-to/labs.md", "docs/reference/report.md"),
}
ENABLED, NO_NODE = "a node that audits", "no node"
# A page whose lines on a node are run, in that order, on another page.
SAME_LINES = {"docs/how-to/labs.md": ("docs/tutorial.md", "kube-auditctl lab list")}
NUMBER = re.compile(r"[0-9]+")
QUIET_SECONDS = 0.7  # no processor time for that long: it has begun to follow; before that, Ctrl-C is 130
GOES_ON = ("--watch", "tail -f")  # until Ctrl-C


class Room:
    """A folder with the files that the README's lines name, a node, and `auditctl` on PATH that means this node."""

    def __init__(self, folder: Path, node: Path) -> None:
        self.folder, self.node = folder, node
        self.started = 0
        self.worked, self.since = [""], 0.0
        self.receivers: list[subprocess.Popen[bytes]] = []
        program = folder / "bin/kube-auditctl"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m auditctl --rootfs {node} "$@"\n')
        program.chmod(0o755)
        (folder / "wants.yaml").write_text("- serving: true\n")
        for name, source in (
            ("p", "baseline"),
            ("old", "baseline"),
            ("new", "writes"),
            ("p.expect", "baseline.expect"),
        ):
            shutil.copy(TEMPLATES / f"{source}.yaml", folder / f"{name}.yaml")

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """As typed; /tmp is this folder."""
        typed = line.replace("/tmp", str(self.folder))
        typed = typed.replace("lab break", "lab break --seed 7")  # another fault each time would be another test
        self.started += 1  # what a receiver still says stays apart
        self.out, self.error = (self.folder / f"{name}-{self.started}" for name in ("out", "error"))
        with self.out.open("wb") as out, self.error.open("wb") as error:
            path = f"{self.folder / 'bin'}:/usr/bin:/bin"
            return subprocess.Popen(
                ["bash", "-c", f"exec {typed}" if line.startswith("kube-auditctl") else typed],
                stdout=out, stderr=error, cwd=self.folder, env={"PATH": path, "TERM": "dumb", "HOME": str(self.folder)},
            )  # fmt: skip

    def said(self) -> str:
        return self.out.read_text() + self.error.read_text()

    def follows(self, pid: int) -> bool:
        """Does it hold the audit log open, and wait? (Nothing may be in it that the line asks for.)"""
        with suppress(OSError):  # a descriptor that has just been closed
            holds = any(os.readlink(link).endswith("audit.log") for link in Path(f"/proc/{pid}/fd").iterdir())
            worked = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            if not holds or worked != self.worked:
                self.worked, self.since = worked, time.monotonic()
            return holds and time.monotonic() - self.since > QUIET_SECONDS
        return False

    def prepare(self, line: str) -> None:
        """Files that only an earlier line can give."""
        if "kubeadm.yaml" in line:
            self.start("kube-auditctl kubeadm render --as cluster-configuration > kubeadm.yaml").wait()
        if "hook.yaml" in line and "/tmp/hook" not in line:
            shutil.copy(self.folder / "hook/webhook.yaml", self.folder / "hook.yaml")
        if "/tmp/hook/webhook.yaml" in line:  # a batch is otherwise sent after 30 s
            words = "enable --set audit-webhook-batch-max-wait=1s --set audit-webhook-batch-max-size=1"
            assert self.start(f"kube-auditctl {words}").wait(DEADLINE_SECONDS) == 0, self.said()
        if "audit.log" in line:
            shutil.copy(self.node / "var/log/kubernetes/audit/audit.log", self.folder)

    def run(self, line: str) -> int | None:
        self.prepare(line)
        if line.endswith("&"):
            self.receivers.append(self.start(line.removesuffix("&")))
            until((self.folder / "hook/webhook.yaml").exists, line)
            return 0
        process = self.start(line)
        if any(word in line for word in GOES_ON):
            until(lambda: self.out.stat().st_size or self.follows(process.pid), line)
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"{line} goes on for {DEADLINE_SECONDS:g} s\n{self.said()}")


def until(is_so: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < end, what


@pytest.fixture
def node(tmp_path: Path, chapter: str) -> Iterator[Path]:
    """The node of a chapter, off unless the chapter says otherwise; a folder without a server where none is needed."""
    root = tmp_path / "node"
    if chapter == NO_NODE:
        root.mkdir()
    else:
        up(root, pace=QUICK)
    yield root
    down(root) if chapter != NO_NODE else shutil.rmtree(root)


@contextmanager
def room_of(folder: Path, node: Path) -> Iterator[Room]:
    """A room of one page's own at the chapter's node."""
    folder.mkdir()
    room = Room(folder, node)
    yield room
    for receiver in room.receivers:
        receiver.send_signal(signal.SIGINT)
        receiver.wait(DEADLINE_SECONDS)


def shown(text: str, node: Path) -> str:
    """Return ``text`` without what differs from run to run: numbers, and where the node is."""
    words = text.replace(f" --rootfs {node}", "").replace(str(node), "")
    return NUMBER.sub("0", " ".join(words.split()))


@pytest.mark.lab
@pytest.mark.timeout(600)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_line_of_the_shell_blocks_does_what_is_said(chapter: str, node: Path, tmp_path: Path) -> None:
    """With 0, or as `OTHERWISE` has it; never with a traceback."""
    for number, name in enumerate(CHAPTERS[chapter]):
        with room_of(tmp_path / f"page-{number}", node) as room:
            if chapter == ENABLED and number == 0:
                assert room.run("kube-auditctl enable") == 0, room.said()
            run_page(TOP / name, room)


def run_page(page: Path, room: Room) -> None:
    """Run the lines of a page that no other page has."""
    printed = ""
    for line in run_here(page):
        code = room.run(line)

        wanted, words = OTHERWISE.get(line, (0, ""))
        assert (code, words in room.said()) == (wanted, True), f"{line}\n{room.said()}"
        assert "Traceback" not in room.said(), line
        printed += room.said()
    if page == README:
        absent = [line for line in session_output() if shown(line, room.node) not in shown(printed, room.node)]
        assert absent == []


def run_here(page: Path) -> list[str]:
    """Return the lines of a page, without those that are run on the page which has the same ones."""
    _, *own = SAME_LINES.get(name_of(page), ("", *runnable(page)))
    return own


def test_no_line_is_left_out_unnoticed() -> None:
    """What is in `ELSEWHERE` or `OTHERWISE` is on a page, too; every other line is run in a chapter."""
    assert sorted(name for names in CHAPTERS.values() for name in names) == sorted(
        name_of(page) for page in PAGES if runnable(page)
    )
    for name, (other, *own) in SAME_LINES.items():
        assert set(runnable(TOP / name)) - set(own) <= set(runnable(TOP / other))
    text = [*(line for page in PAGES for line in lines(page)), *installs()]

    assert [start for start in ELSEWHERE if not any(line.startswith(start) for line in text)] == []
    assert [line for line in installs() if not line.startswith(tuple(ELSEWHERE))] == []
    assert set(OTHERWISE) <= set(text)
    assert sum(len(runnable(page)) for page in PAGES) > 60


@pytest.mark.parametrize("words", named())
def test_every_command_named_in_a_sentence_exists_with_its_options(words: str) -> None:
    """Followed through the application's own tree."""
    from typer.main import get_command

    from auditctl.cli.application import build

    command: Any = get_command(build([]))
    known = {name for one in command.params for name in one.opts}
    for word in words.split():
        if hasattr(command, "commands") and not word.startswith("-") and word.islower():
            assert word in command.commands, f"auditctl {words}"
            command = command.commands[word]
            known |= {name for one in command.params for name in one.opts}
    wanted = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", words))
    assert wanted <= known | {"--help"}, f"auditctl {words}"


@pytest.mark.parametrize("page", [page for page in PAGES if "contributing" not in page.parts], ids=name_of)
def test_commands_have_the_name_that_every_installation_has(page: Path) -> None:
    """`auditctl` alone is auditd's on many nodes; only a virtual environment has it (`.venv/bin/auditctl`)."""
    assert (
        re.findall(
            r"(?<![-/\w.])auditctl (?:status|log|enable|disable|policy|lab|doctor|verify|flags|help) .*",
            page.read_text(),
        )
        == []
    )


def headings(page: Path) -> set[str]:
    """Return the names by which the page's headings are linked."""
    return {
        re.sub(r"[^\w -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    }


def test_the_readme_says_what_the_policy_detect_costs() -> None:
    """Of the log in `tests/golden`: events and thousands of bytes, of all of it, of `detect` and of `baseline`."""
    log = Path(__file__).parents[1] / "golden/logs/request-response-1.36.jsonl"
    figures = []
    for policy in ("detect", "baseline"):
        words = ["policy", "replay", policy, "--log", str(log), "-o", "json"]
        ran = subprocess.run([sys.executable, "-m", "auditctl", *words], capture_output=True, check=True)
        answer = json.loads(ran.stdout)
        figures += [(answer[key]["events"], round(answer[key]["bytes"] / 1000)) for key in ("recorded", "predicted")]
    text = " ".join(README.read_text().split())

    (all_events, size), (detected, detected_size), _, (usual, usual_size) = figures
    assert f"log of {all_events} events ({size} kB)" in text
    assert f"it writes {detected} events ({detected_size} kB), `baseline` {usual} ({usual_size} kB)" in text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_lead_somewhere(page: Path) -> None:
    """To a heading, or to a file of this clone."""
    for target in re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    ):
        if not target.startswith(("http://", "https://")):
            file, _, heading = target.partition("#")
            linked = page.parent / file if file else page
            assert linked.exists(), target
            assert not heading or heading in headings(linked), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_is_too_long(page: Path) -> None:
    text = page.read_text()

    assert len(text.splitlines()) <= 300
    assert page != README or len(text) <= 7000
