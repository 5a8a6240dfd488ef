"""The practice node as a whole: processes, certificates, restarts, the end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from labroom import EVERYTHING, QUICK, Node, eventually, with_auditing

from auditctl.errors import RefusedError
from auditctl.lab import down, status, up
from auditctl.lab.node import certificates
from auditctl.lab.node.layout import ADDRESS, MARKER, STAND_IN
from auditctl.lab.node.process import identify

pytestmark = pytest.mark.lab


def owners_of(port: int) -> list[int]:
    """The processes that have the listening socket of a port open, found as auditctl finds them: in /proc."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[3] == "0A" and int(row[1].partition(":")[2], 16) == port}
    found = []
    for fds in Path("/proc").glob("[0-9]*/fd"):
        try:
            targets = {str(each.readlink()) for each in fds.iterdir()}
        except OSError:
            continue
        if targets & {f"socket:[{inode}]" for inode in inodes}:
            found.append(int(fds.parent.name))
    return found


def arguments_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]


def test_one_process_owns_the_port_and_its_arguments_are_the_manifests(audited: Node) -> None:
    (pid,) = owners_of(audited.lab.port)
    program, *flags = arguments_of(pid)[1:]
    assert Path(program).name == "kube-apiserver"
    wanted = [line.strip().removeprefix("- ") for line in audited.manifest.read_text().splitlines() if "- --" in line]
    assert flags == wanted


def test_up_twice_is_one_node_and_down_twice_is_none(tmp_path: Path) -> None:
    first, second = up(tmp_path / "n", pace=QUICK), up(tmp_path / "n", pace=QUICK)
    assert (first.made, second.made, second.kubelet_pid) == (True, False, first.kubelet_pid)
    assert (down(tmp_path / "n"), down(tmp_path / "n"), status(tmp_path / "n")) == (True, False, None)
    assert not (tmp_path / "n").exists()
    assert owners_of(first.port) == []


def test_down_keeps_what_the_lab_did_not_make(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    up(tmp_path / "mine" / "node", pace=QUICK)
    (tmp_path / "mine" / "node" / "notes.txt").write_text("my own")
    assert down(tmp_path / "mine" / "node")
    assert [path.name for path in (tmp_path / "mine" / "node").iterdir()] == ["notes.txt"]


def test_a_folder_with_other_things_is_refused_and_never_taken_down(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    with pytest.raises(RefusedError, match="neither empty nor a lab"):
        up(tmp_path)
    (tmp_path / MARKER).write_text("{}")
    assert not down(tmp_path)
    assert (tmp_path / "etc").exists()


def test_a_lab_of_another_version_is_refused(audited: Node) -> None:
    with pytest.raises(RefusedError, match=r"a lab of 1\.36\.2, not of 1\.31\.14"):
        up(audited.lab.root, kubernetes="1.31.14")


def test_everything_ends_when_the_folder_disappears(tmp_path: Path) -> None:
    lab = up(tmp_path / "n", pace=QUICK)
    (server,) = owners_of(lab.port)
    shutil.rmtree(tmp_path / "n")
    eventually(lambda: identify(server) is None and identify(lab.kubelet_pid or 0) is None)


def test_up_after_the_kubelet_was_killed_starts_a_new_one_and_ends_the_orphan(node: Node) -> None:
    (orphan,) = owners_of(node.lab.port)
    assert node.lab.kubelet_pid
    os.kill(node.lab.kubelet_pid, signal.SIGKILL)
    eventually(lambda: identify(node.lab.kubelet_pid or 0) is None)
    again = up(node.lab.root, pace=QUICK)
    assert again.kubelet_pid != node.lab.kubelet_pid
    assert identify(orphan) is None
    assert len(owners_of(node.lab.port)) == 1


def test_a_stale_pid_that_a_stranger_has_now_is_left_alone(node: Node) -> None:
    down(node.lab.root)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        up(node.lab.root, pace=QUICK)
        record = node.layout.processes / "kubelet.json"
        record.write_text(f'{{"pid": {stranger.pid}, "start_time": 1}}')
        down(node.lab.root)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_up_returns_with_all_pipes_closed_and_from_a_folder_that_goes_away(tmp_path: Path) -> None:
    """As under CI: the caller reads our pipes to the end, and its working directory is no concern of the node's."""
    (tmp_path / "cwd").mkdir()
    package = Path(__file__).parents[2]
    code = "from auditctl.lab import up\nfrom pathlib import Path\nup(Path('../n'))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(package)!r})\n{code}"]
    subprocess.run(command, cwd=tmp_path / "cwd", capture_output=True, check=True, timeout=30)
    (tmp_path / "cwd").rmdir()
    lab = status(tmp_path / "n")
    assert lab
    assert lab.serving
    assert down(tmp_path / "n")


@pytest.mark.parametrize("by", ["library", "openssl"])
def test_tls_verifies_against_the_authority_with_the_name_kubernetes(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "openssl":
        monkeypatch.setattr(certificates, "issue", certificates.issue_by_openssl)
    lab = up(tmp_path / "n", pace=QUICK)
    context = ssl.create_default_context(cafile=str(lab.root / "etc/kubernetes/pki/ca.crt"))
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((ADDRESS, lab.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="kubernetes") as tls,
    ):
        names = dict(tls.getpeercert() or {})["subjectAltName"]
    assert ("IP Address", "127.0.0.1") in names
    assert Node(lab).request("GET", "/metrics", admin=True).code == 200
    down(tmp_path / "n")


def test_auditing_starts_with_a_new_pod_and_a_missing_policy_file_keeps_it_waiting(node: Node) -> None:
    (before,) = owners_of(node.lab.port)
    node.write_manifest(with_auditing(node.manifest.read_text()))
    refusal = "hostPath type check failed: /etc/kubernetes/audit/policy.yaml is not a file"
    eventually(lambda: refusal in node.kubelet_log())
    assert identify(before) is None
    assert owners_of(node.lab.port) == []
    assert node.pod_logs() == {}  # no container, no log; and those of the Pod before are gone with it
    policy = node.layout.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(EVERYTHING)
    eventually(lambda: node.serves() and node.events())


def test_a_bad_policy_is_in_the_containers_log_and_the_next_start_is_the_next_number(node: Node) -> None:
    policy = node.layout.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text("nonsense")
    node.write_manifest(with_auditing(node.manifest.read_text()))
    eventually(lambda: len([name for name in node.pod_logs() if name.endswith(("/1.log", "/2.log"))]) == 2)
    crashed = next(text for name, text in node.pod_logs().items() if name.endswith("/1.log"))
    assert " stderr F E" in crashed
    assert '"command failed" err="loading audit policy file: ' in crashed
    eventually(lambda: "CrashLoopBackOff" in node.kubelet_log())
    policy.write_text(EVERYTHING)
    eventually(node.serves)


def test_a_killed_container_comes_back_in_the_same_pod_with_the_policy_that_is_there_now(audited: Node) -> None:
    (pid,) = owners_of(audited.lab.port)
    logs = set(audited.pod_logs())
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: owners_of(audited.lab.port) not in ([], [pid]) and audited.serves())
    (new,) = set(audited.pod_logs()) - logs
    assert Path(new).parent in {Path(name).parent for name in logs}


def test_the_old_server_stops_listening_at_once_and_lingers(node: Node) -> None:
    (old,) = owners_of(node.lab.port)
    node.write_manifest(node.manifest.read_text().replace("tier: control-plane", "tier: control-plane\n    x: 'y'"))
    eventually(lambda: not owners_of(node.lab.port))
    assert identify(old) is not None
    eventually(node.serves)
    assert identify(old) is None


def test_a_manifest_moved_away_stops_the_server(node: Node) -> None:
    node.manifest.rename(node.lab.root / "etc/kubernetes/kube-apiserver.yaml")
    eventually(lambda: not owners_of(node.lab.port))


def test_the_tree_is_a_nodes(audited: Node) -> None:
    modes = {
        str(path.relative_to(audited.lab.root)): path.stat().st_mode & 0o777
        for path in (
            audited.manifest,
            audited.manifest.parent,
            audited.layout.admin_conf,
            audited.layout.pki / "apiserver.key",
        )
    }
    assert modes == {
        "etc/kubernetes/manifests/kube-apiserver.yaml": 0o600,
        "etc/kubernetes/manifests": 0o700,
        "etc/kubernetes/admin.conf": 0o600,
        "etc/kubernetes/pki/apiserver.key": 0o600,
    }
    assert STAND_IN in audited.kubelet_log()
    assert f"https://127.0.0.1:{audited.lab.port}" in audited.layout.admin_conf.read_text()
