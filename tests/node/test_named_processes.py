"""Processes that only bear the name of a kubelet or kubeadm, and files whose reading would never end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import strangers

from auditctl.errors import RefusedError
from auditctl.findings import Severity
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.kubelet import config as kubelet_config
from auditctl.node.kubelet import kubelet_log
from auditctl.node.kubelet.kubelet_log import Appended, KubeletLog
from auditctl.node.kubelet.pod_logs import PodName

as_root = pytest.mark.skipif(bool(strangers.WHY_NOT), reason=strangers.WHY_NOT)
HOST = Root(Path("/"))
ELSEWHERE = {
    "PID": ("unshare", "--pid", "--fork", "--kill-child"),
    "network": ("unshare", "--net"),
}


@contextmanager
def named(name: str, *words: str, user: int | None = None, before: Sequence[str] = ()) -> Iterator[int]:
    """A process of that name with these words; it has started when this returns."""
    script = ["-c", f'exec -a {name} /bin/sh -c "echo; read x; :" "$@"', name, *words]
    command = [*before, "bash", *script]
    credentials = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
        **credentials,  # type: ignore[call-overload]
    )
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield child.pid
    finally:
        child.communicate()


def pids_of(name: str) -> list[int]:
    return [program.pid for program in kubelet_config.running(name)]


@as_root
def test_a_kubelet_is_roots(tmp_path: Path) -> None:
    others = pids_of("kubelet")
    with named("kubelet", user=strangers.STRANGER):
        assert pids_of("kubelet") == others
        assert (kubelet_log.find(HOST) is None) is (not others)
    with named("kubelet") as pid:
        assert pids_of("kubelet") == [*others, pid]
        assert kubelet_log.find(HOST) is not None


@as_root
@pytest.mark.parametrize("before", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_kubelet_in_a_container_is_another_nodes(before: Sequence[str]) -> None:
    others = pids_of("kubelet")
    with named("kubelet", before=before):
        assert pids_of("kubelet") == others
        assert (kubelet_log.find(HOST) is None) is (not others)


@as_root
def test_a_set_user_id_program_is_no_kubelet_whatever_its_users(tmp_path: Path) -> None:
    """`exec -a kubelet chfn` of anybody: real, effective and saved user get root's once a password was right."""
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    others = pids_of("kubelet")
    for mode, more in ((0o755, 1), (0o4755, 0)):
        program.chmod(mode)
        with subprocess.Popen(["kubelet", "100"], executable=program) as child:
            try:
                assert len(pids_of("kubelet")) == len(others) + more
            finally:
                child.kill()


@as_root
def test_a_strangers_words_decide_nothing(tmp_path: Path) -> None:
    """Its static Pod directory, its configuration, its changing of the node."""
    os.mkfifo(tmp_path / "fifo")
    manifest = tmp_path / "kube-apiserver.yaml"
    for words in (["--pod-manifest-path=/elsewhere"], [f"--config={tmp_path}/fifo"], ["--config=/dev/zero"]):
        with named("kubelet", *words, user=strangers.STRANGER):
            assert list(kubelet_config.static_pods(manifest)) == []
            assert kubelet_config.eviction_threshold() is None
    with named("kubeadm", "init", "\x1b[2J", user=strangers.STRANGER):
        assert list(kubelet_config.running_kubeadm(Root(tmp_path), 0.0)) == []


@as_root
def test_roots_kubeadm_is_told_without_its_control_characters(tmp_path: Path) -> None:
    (tmp_path / "init").write_text("import sys; print(flush=True); sys.stdin.read()")
    child = subprocess.Popen(
        ["kubeadm", "init", "\x1b[2J"],
        executable=sys.executable,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    [found] = kubelet_config.running_kubeadm(Root(tmp_path), 0.0)
    child.communicate()
    assert (found.check, found.message.isprintable()) == ("kubeadm-at-work", True)
    assert found.message.startswith("kubeadm init \\x1b[2J runs")
    assert "--allow kubeadm-at-work" in found.fix


@as_root
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a directory"])
def test_a_configuration_that_never_ends_is_not_read(kind: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    if kind == "a pipe":
        os.mkfifo(config)
    elif kind == "a device":
        config.symlink_to("/dev/zero")
    else:
        config.mkdir()
    with named("kubelet", f"--config={config}"):
        [found] = kubelet_config.static_pods(tmp_path / "kube-apiserver.yaml")
    assert (found.check, found.severity) == ("static-pod-path", Severity.INFO)
    words = "is a directory" if kind == "a directory" else "is not a regular file"
    assert f"kubelet configuration {words}" in found.message


@as_root
def test_a_log_is_believed_while_its_process_is(tmp_path: Path) -> None:
    """The link /proc/PID/fd/2 is another process's once the number is."""
    log = tmp_path / "klog"
    line = 'E1231 23:59:59.999999 1 file.go:187] "Could not process manifest file" err="/m/kube-apiserver.yaml: couldn\'t parse as pod(x), please check config file"\n'
    text = 'import os, sys; sys.stdin.readline(); os.setresuid(65534, 65534, 65534); print("now", flush=True); sys.stdin.read()'
    with log.open("ab") as file:
        words = ["kubelet", "-c", text]
        child = subprocess.Popen(
            words, executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        watched = KubeletLog.begin(HOST, "/m/kube-apiserver.yaml", PodName(), since=0.0)
        if watched.source != str(log):
            pytest.skip("another kubelet runs on this machine")
        with log.open("a") as file:
            file.write(line)
        assert len(watched.look()) == 1
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        with log.open("a") as file:
            file.write(line)
        assert watched.look() == []
    finally:
        child.communicate()


def test_a_log_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "klog"
    log.write_text("before\n")
    appended = Appended(log)
    with log.open("a") as file:
        file.write("one\n")
    assert appended.lines() == ["one"]
    log.unlink()
    os.mkfifo(log)
    assert appended.lines() == []


def test_only_a_regular_file_is_read_on_somebody_elses_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), tmp_path):
        with pytest.raises(RefusedError, match=r"policy is (not a regular file|a directory)"):
            files.read_regular(path, "policy")
    (tmp_path / "file").write_bytes(b"x" * (10 << 20))
    (tmp_path / "link").symlink_to("file")
    assert len(files.read_regular(tmp_path / "link", "policy")) == 10 << 20
    with (tmp_path / "file").open("ab") as file:
        file.write(b"x")
    for read in (files.read_regular, files.read):
        with pytest.raises(RefusedError, match="larger than 10 MiB"):
            read(tmp_path / "file", "policy")
