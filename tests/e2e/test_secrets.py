"""A webhook's token, key and password stand in the installed file and nowhere else: every command, every error, `-v`.

Looked through: all bytes that the commands print, the state directory, the whole node, and (with strace) every write.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import METADATA, Node

from auditctl.lab.node import certificates
from auditctl.lab.tools.receiver import Receiver, open_receiver

pytestmark = pytest.mark.lab
TOKEN, PASSWORD = "Tk9-m4nt1s-shr1mp-0f-the-reef", "Pw7-v4mp1re-squ1d-0f-the-deep"
USERS = """\
users:
- name: apiserver
  user:
    token: {token}
    client-certificate-data: {certificate}
    client-key-data: {key}
- name: other
  user:
    username: auditor
    password: {password}
"""
QUICKLY = ("--set", "audit-webhook-batch-max-wait=200ms")
STRACE = shutil.which("strace")
_WRITE = re.compile(r"\b(?:p?write(?:v|64|v2)?|send(?:to|msg))\(\d+<(?P<path>[^>]*)>")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = open_receiver(tmp_path / "receiver")
    made.start()
    yield made
    made.stop()


class Secrets:
    """The kubeconfig with three secrets, and who looks for them."""

    def __init__(self, receiver: Receiver) -> None:
        bundle = certificates.issue()
        self.key = bundle.server.key.decode()
        certificate, key = (base64.b64encode(part).decode() for part in (bundle.server.certificate, bundle.server.key))
        users = USERS.format(token=TOKEN, certificate=certificate, key=key, password=PASSWORD)
        receiver.token = TOKEN
        self.config = receiver.config.read_text().partition("users:\n")[0] + users

    @property
    def forms(self) -> list[bytes]:
        """Each as it is, and as it looks inside base64, wherever it begins there."""
        body = self.key.splitlines()[1].encode()  # a line of the key that no other file has
        found = []
        for value in (TOKEN.encode(), PASSWORD.encode(), body):
            found.append(value)
            for before in range(3):
                text = base64.b64encode(b"." * before + value + b".." * 3)
                found.append(text[4 : 4 + len(value)])
        return [*found, base64.b64encode(self.key.encode())[60:120]]

    def in_bytes(self, content: bytes) -> bool:
        return any(form in content for form in self.forms)

    def files(self, root: Path) -> list[str]:
        """The files under it that hold any of them."""
        every = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
        return [str(path.relative_to(root)) for path in every if self.in_bytes(path.read_bytes())]


class Caller:
    """Runs commands on a node, under strace where it is there, and looks at all that they say and write."""

    def __init__(self, node: Node, secrets: Secrets, folder: Path) -> None:
        self.node, self.secrets, self.folder, self.ran = node, secrets, folder, 0

    def __call__(self, *words: str | Path, traced: bool = False) -> int:
        self.ran += 1
        trace = self.folder / f"{self.ran}.trace"
        command = [sys.executable, "-m", "auditctl", "--rootfs", str(self.node.root), *map(str, words)]
        if traced and STRACE is not None:
            what = "trace=write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg"
            command = [STRACE, "-f", "-y", "-q", "-s", "1000000", "-e", what, "-o", str(trace), *command]
        ran = subprocess.run(command, capture_output=True, timeout=300)
        assert not self.secrets.in_bytes(ran.stdout), words
        assert not self.secrets.in_bytes(ran.stderr), words
        assert b"Traceback" not in ran.stderr, ran.stderr.decode()
        assert self.secrets.files(self.node.root / "var/lib/auditctl") == [], words
        if trace.exists():
            self._look_at_writes(trace.read_bytes())
        return ran.returncode

    def _look_at_writes(self, text: bytes) -> None:
        written = {
            match["path"]
            for line in text.splitlines()
            if self.secrets.in_bytes(line) and (match := _WRITE.search(line.decode(errors="replace")))
        }
        installed = str(self.node.root / "etc/kubernetes/audit/.webhook.yaml.auditctl-new")
        kept_in_memory = {path for path in written if path.startswith("/memfd:")}
        assert written - kept_in_memory <= {installed}, written


@pytest.fixture
def secrets(receiver: Receiver) -> Secrets:
    return Secrets(receiver)


@pytest.fixture
def call(node: Node, secrets: Secrets, tmp_path: Path) -> Caller:
    return Caller(node, secrets, tmp_path)


def test_the_search_finds_what_it_is_to_find(secrets: Secrets) -> None:
    """Else the tests below could not fail."""
    for value in (TOKEN, PASSWORD, secrets.key):
        for before in ("", "x", "xy"):
            assert secrets.in_bytes(f"{before}{value}".encode())
            assert secrets.in_bytes(base64.b64encode(f"{before}{value} tail".encode()))
    assert not secrets.in_bytes(b"apiVersion: v1\nkind: Config\n")


def test_every_command_leaves_them_in_the_installed_file_alone(
    node: Node, call: Caller, secrets: Secrets, tmp_path: Path
) -> None:
    source, policy = tmp_path / "hook.yaml", tmp_path / "p.yaml"
    source.write_text(secrets.config)
    policy.write_text(METADATA)
    installed = ["etc/kubernetes/audit/webhook.yaml"]

    on = ("enable", "--policy", policy, "--webhook-config", source, *QUICKLY)
    assert call(*on, "--dry-run", "-v") == 0
    assert secrets.files(node.root) == []
    assert call(*on, "-v", traced=True) == 0
    assert secrets.files(node.root) == installed
    assert call(*on, "-v") == 0

    assert call("restart", "-v") == 0
    source.write_text(secrets.config + "preferences: {}\n")  # another text, the same secrets
    assert call("enable", "--webhook-config", source, "--dry-run") == 0
    assert call("enable", "--webhook-config", source, "-v", "-o", "json", traced=True) == 0
    kept = [name for name in secrets.files(node.root) if name not in installed]
    assert [re.sub(r"-\d{8}T.*", "-ID", name) for name in kept] == ["etc/kubernetes/audit/.webhook.yaml.before-ID"]

    for words in (("status",), ("verify",), ("history",), ("doctor",), ("flags",), ("recover",)):
        for form in ((), ("-v",), ("-o", "json"), ("-o", "yaml")):
            call(*words, *form)
    assert call("rollback", "-v", traced=True) == 0
    assert secrets.files(node.root) == installed
    assert call("disable", "--purge", "-v", traced=True) == 0
    assert secrets.files(node.root) == []
    assert call("rollback", "-v") == 3  # nothing keeps what a purge has removed


def broken(secrets: Secrets) -> Iterator[tuple[str, str]]:
    """Kubeconfigs that are wrong, each with all three secrets in it."""
    text = secrets.config
    yield "an open quote", text.replace(f"token: {TOKEN}", f'token: "{TOKEN}')
    yield "a list", text.replace(f"token: {TOKEN}", f"token: [{TOKEN}]")
    yield "an alias", text.replace(f"password: {PASSWORD}", f"password: *{PASSWORD}")
    yield "a tag with a handle", text.replace(f"token: {TOKEN}", f"token: !{TOKEN}!x y")
    yield "a map as a key", text.replace(f"token: {TOKEN}", f"{{a: {TOKEN}}}: x")
    yield "another type", text.replace(f"token: {TOKEN}", f"token: !!int {TOKEN}")
    yield "a word alone", text.replace(f"token: {TOKEN}", TOKEN)
    yield "a whole text", TOKEN
    yield "no base64", text.replace("client-key-data: ", "client-key-data: -*-")
    yield (
        "no PEM",
        re.sub(r"client-key-data: \S+", f"client-key-data: {base64.b64encode(TOKEN.encode()).decode()}", text),
    )
    yield "another context", text.replace("current-context: receiver", "current-context: reciever")
    yield "two methods", text.replace("token:", f"username: u\n    password: {PASSWORD}\n    token:")
    yield "a line break", text.replace(f"token: {TOKEN}", f'token: "{TOKEN}\\r\\nX: y"')
    for server in (f"https://u:{PASSWORD}@127.0.0.1:1/?key={TOKEN}", f"https://u:{PASSWORD}@[::1/{TOKEN}",
                   f"ftp://u:{PASSWORD}@h/{TOKEN}", f"https://u:{PASSWORD}@h:port/{TOKEN}", f"https://u {PASSWORD}@h",
                   f"https://u:{PASSWORD}@no.such.invalid/{TOKEN}"):  # fmt: skip
        yield server, re.sub(r"server: \S+", f"server: '{server}'", text)
    for proxy in (f"ftp://u:{PASSWORD}@h", f"http://u:{PASSWORD}@127.0.0.1:1", f"http://u:{PASSWORD}@[h"):
        yield proxy, text.replace("    server:", f"    proxy-url: '{proxy}'\n    server:")


def test_no_error_shows_them(node: Node, call: Caller, secrets: Secrets, tmp_path: Path) -> None:
    source, policy = tmp_path / "hook.yaml", tmp_path / "p.yaml"
    policy.write_text(METADATA)
    before = node.manifest.read_bytes()
    for what, text in broken(secrets):
        source.write_text(text)
        assert secrets.in_bytes(text.encode()), what
        for form in ((), ("-o", "json", "-v")):
            code = call("enable", "--policy", policy, "--webhook-config", source, *form)
            assert (what, code, node.manifest.read_bytes()) == (what, 3, before)
    assert secrets.files(node.root) == []


def test_a_file_that_was_broken_in_place_shows_nothing(
    node: Node, call: Caller, secrets: Secrets, tmp_path: Path
) -> None:
    source, policy = tmp_path / "hook.yaml", tmp_path / "p.yaml"
    source.write_text(secrets.config)
    policy.write_text(METADATA)
    assert call("enable", "--policy", policy, "--webhook-config", source, *QUICKLY) == 0
    installed = node.root / "etc/kubernetes/audit/webhook.yaml"
    installed.write_text(secrets.config.replace(f"token: {TOKEN}", f"token: *{TOKEN}"))
    for words in (
        ("status",),
        ("verify",),
        ("doctor",),
        ("restart", "--dry-run"),
        ("enable", "--log-maxage", "7", "--dry-run"),
    ):
        for form in ((), ("-o", "json", "-v")):
            call(*words, *form)
