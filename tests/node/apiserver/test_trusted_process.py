"""Who is believed: by user, namespace and Pod, never by name alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import strangers
from foldernode import PLAIN

from auditctl.errors import RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node import trusted_process
from auditctl.node.apiserver import process, trial_binary
from auditctl.node.apiserver.process import Process
from auditctl.node.trusted_process import ROOT, Owner, Untrusted

as_root = pytest.mark.skipif(bool(strangers.WHY_NOT), reason=strangers.WHY_NOT)
ROOTLESS = PLAIN.read_text().replace("  securityContext:\n", "  securityContext:\n    runAsUser: 65534\n", 1)


@pytest.fixture
def program() -> Iterator[Path]:
    with strangers.folder() as where:
        yield strangers.build(where)


def manifest(text: str) -> Manifest:
    return Manifest.of(Document.parse(text.encode(), "kube-apiserver.yaml"))


def test_the_user_is_the_manifests_and_root_where_it_names_none() -> None:
    assert trusted_process.owner_of(manifest(PLAIN.read_text())) == Owner(0, "kube-system_kube-apiserver-")
    assert trusted_process.owner_of(manifest(ROOTLESS)).uid == 65534
    assert trusted_process.owner_of(None) == ROOT


@as_root
def test_a_server_of_another_user_is_believed_only_where_the_manifest_says_so(program: Path) -> None:
    port = strangers.free_port()
    with strangers.listening(program, port, ("--a=1",)) as pid:
        assert process.listener(port) is None
        assert process.listener(port, manifest(PLAIN.read_text())) is None
        found = process.listener(port, manifest(ROOTLESS))
        assert found is not None
        assert (found.pid, found.argv) == (pid, ("kube-apiserver", "--a=1"))
        stranger = process.untrusted_listener(port)
        assert stranger == Untrusted(pid, 65534, str(program), "it runs as user 65534, not as user 0")
        assert process.untrusted_listener(port, manifest(ROOTLESS)) is None


@as_root
def test_a_users_own_namespace_makes_nobody_root(program: Path) -> None:
    port = strangers.free_port()
    with strangers.listening(program, port, (), ("unshare", "--user", "--map-root-user")):
        assert process.listener(port, manifest(ROOTLESS)) is None
        stranger = process.untrusted_listener(port, manifest(ROOTLESS))
        assert stranger is not None
        assert stranger.reason == "it is in another user namespace (a container's)"


@as_root
def test_mixed_users_are_not_believed() -> None:
    """A set-user-ID program of root's, started by a user, is not root's process."""
    text = "import os, sys; os.setresuid(65534, 0, 0); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        doubt = trusted_process.user_doubt(child.pid, ROOT)
        child.communicate()
    assert doubt == "its real, effective and saved user are 65534, 0, 0, not all user 0"


def test_what_the_stranger_chose_cannot_steer_a_terminal() -> None:
    text = Untrusted(7, 1000, trusted_process.printable("/tmp/\x1b[2J\x9bx\n"), "it is not a kube-apiserver").on(6443)
    assert text.isprintable()
    assert text.startswith("process 7 (/tmp/\\x1b[2J\\x9bx\\x0a, user 1000) listens on port 6443")


@pytest.mark.parametrize(
    ("cgroup", "uids", "doubt"),
    [
        ("0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/x", (), ""),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice/c.scope",
         ("0123456789abcdef0123456789abcdef",), ""),
        ("4:memory:/kubepods/podaaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee/x", ("0123456789abcdef0123456789abcdef",),
         "its cgroup is of Pod aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee, which is not the API server's static Pod"),
        ("0::/kubepods.slice/kubepods-podaaaaaaaa_bbbb_cccc_dddd_eeeeeeeeeeee.slice/x",
         ("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",), ""),
        ("0::/user.slice", ("0123456789abcdef0123456789abcdef",), "it runs outside of the kubelet's Pods (by its cgroup)"),
    ],
)  # fmt: skip
def test_the_cgroup_is_the_static_pods(
    cgroup: str, uids: tuple[str, ...], doubt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, logs, groups = tmp_path / "proc", tmp_path / "pods", tmp_path / "cgroup"
    for path, text in (("5/cgroup", cgroup), ("self/cgroup", "0::/init.scope")):
        (proc / path).parent.mkdir(parents=True)
        (proc / path).write_text(f"{text}\n")
    (proc / "5/status").write_text("Uid:\t1001\t1001\t1001\t1001\n")
    for pid, name in (("5", "pid:[2]"), ("self", "pid:[1]")):
        (proc / pid / "ns").mkdir()
        (proc / pid / "ns/pid").symlink_to(name)
    for uid in uids:
        (logs / f"kube-system_kube-apiserver-node_{uid}").mkdir(parents=True)
    (groups / "kubelet.slice/kubelet-kubepods.slice").mkdir(parents=True)
    for name, value in (("_PROC", proc), ("_POD_LOGS", logs), ("_CGROUPS", groups)):
        monkeypatch.setattr(trusted_process, name, value)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert trusted_process._cgroup_doubt(5, Owner(1001, "kube-system_kube-apiserver-")) == doubt


@as_root
def test_only_roots_own_program_is_opened_to_be_started(program: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="belongs to user 65534"), trial_binary.opened(program):
        pass
    os.chown(program, 0, 0)
    program.chmod(0o777)
    with pytest.raises(RefusedError, match="may write the program"), trial_binary.opened(program):
        pass
    program.chmod(0o700)
    with pytest.raises(RefusedError, match="unprivileged user may not execute"), trial_binary.opened(program):
        pass
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(RefusedError, match="not a regular file"), trial_binary.opened(tmp_path / "fifo"):
        pass


@as_root
def test_the_program_of_a_process_that_is_not_trusted_is_not_opened(program: Path) -> None:
    os.chown(program, 0, 0)
    port = strangers.free_port()
    with strangers.listening(program, port, ()) as pid:
        found = process.listener(port, manifest(ROOTLESS))
        assert found is not None
        with trial_binary.of_process(found, Owner(strangers.STRANGER)) as binary:
            assert binary.name == "kube-apiserver"
        with pytest.raises(RefusedError, match="is not trusted: it runs as user 65534"):
            trial_binary.of_process(found, ROOT).__enter__()
        with pytest.raises(RefusedError, match="is not trusted: it has ended"):
            trial_binary.of_process(Process(pid, 1.0, found.argv), Owner(strangers.STRANGER)).__enter__()


@pytest.mark.parametrize(
    ("local", "bind", "meets"),
    [
        ("0100007F:192B", None, True),
        ("0100007F:192B", "127.0.0.1", True),
        ("0A0200C0:192B", "192.0.2.11", False),
        ("00000000:192B", "192.0.2.11", True),
        ("00000000000000000000000000000000:192B", "192.0.2.11", True),
        ("0000000000000000FFFF00000A0200C0:192B", "192.0.2.10", True),
        ("0A0200C0:192B", "no address", True),
    ],
)
def test_a_socket_of_another_address_is_not_in_the_way(local: str, bind: str | None, meets: bool) -> None:
    if sys.byteorder != "little":
        pytest.skip("these lines are of a little-endian machine")
    assert process._in_the_way(local, bind) is meets
