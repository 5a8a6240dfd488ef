"""A local user takes the API server's port while the server restarts: nothing of that process is believed or executed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import strangers
from foldernode import PLAIN, POLICY

from auditctl.manifest.document import Document
from auditctl.manifest.plan import plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.settings import Settings

pytestmark = pytest.mark.skipif(bool(strangers.WHY_NOT), reason=strangers.WHY_NOT)

Run = Callable[..., subprocess.CompletedProcess[str]]
IN_NAMESPACES = {
    "our namespaces": (),
    "its own user namespace": ("unshare", "--user", "--map-root-user"),
    "a container on the host's network": ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
                                          "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
}  # fmt: skip


@pytest.fixture
def where() -> Iterator[Path]:
    with strangers.folder() as path:
        yield path


@pytest.fixture(params=IN_NAMESPACES.values(), ids=IN_NAMESPACES)
def squatted(request: pytest.FixtureRequest, where: Path, tmp_path: Path) -> Iterator[Run]:
    """This machine as a control plane with auditing on, whose port a stranger's process holds, with the server's own words."""
    port = strangers.free_port()
    text = PLAIN.read_text().replace("192.0.2.10", "127.0.0.1").replace("6443", str(port))
    before = Manifest.of(Document.parse(text.encode(), "kube-apiserver.yaml"))
    target = plan_enable(before, Settings(policy_path=f"{tmp_path}/audit/policy.yaml", log_path="-")).target
    assert target is not None
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    for path, content in ((manifest, target.document.text), (tmp_path / "audit/policy.yaml", POLICY)):
        path.parent.mkdir()
        path.write_text(content)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        places = ("--manifest", str(manifest), "--state-dir", str(tmp_path / "state"))
        command = [sys.executable, "-m", "auditctl", *places, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    with strangers.listening(strangers.build(where), port, target.command[1:], request.param):
        yield run


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("doctor",), 1),
        (("status",), 1),
        (("restart", "--allow", "apiserver-ready", "--timeout", "2s"), 3),
        (("enable", "--log-maxage", "9", "--allow", "apiserver-ready", "--timeout", "2s"), 3),
        (("disable", "--allow", "apiserver-ready", "--timeout", "2s"), 3),
        (("verify",), 1),
        (("cis",), 1),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_the_process_that_holds_the_port_is_the_finding(
    squatted: Run, where: Path, words: tuple[str, ...], code: int
) -> None:
    ran = squatted(*words)
    assert not (where / "marker").exists()
    said = ran.stdout + ran.stderr
    assert "is not trusted to be this node's API server: it runs as user 65534, not as user 0" in said
    assert ran.returncode == code, said


def test_its_program_is_not_started_to_try_a_policy(squatted: Run, where: Path, policy_file: Path) -> None:
    ran = squatted("policy", "validate", "--rehearse", str(policy_file))
    assert not (where / "marker").exists()
    assert ran.returncode == 3, ran.stderr
    assert "no trial start: process" in ran.stdout + ran.stderr
    assert "is not trusted to be this node's API server" in ran.stdout + ran.stderr
