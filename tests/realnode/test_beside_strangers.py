"""A second kubelet in a container's namespaces and an unprivileged kube-apiserver on a port: neither decides anything."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from races import MANIFEST, put, raced, serves, until

STRANGER = 65534
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: {}\n"
PORT = 6443
# Gives its rights away, takes the port when it is free, and keeps it until standard input ends.
SQUATTER = """
import os, socket, sys, time
os.setgroups([]); os.setresgid({user}, {user}, {user}); os.setresuid({user}, {user}, {user})
end = time.monotonic() + 120
while time.monotonic() < end:
    taken = socket.socket(socket.AF_INET6 if ":" in {address!r} else socket.AF_INET)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(({address!r}, {port})); taken.listen(); break
    except OSError:
        taken.close(); time.sleep(0.002)
print("taken", flush=True)
sys.stdin.read()
"""
Run = Callable[..., tuple[int, dict[str, Any]]]


@contextlib.contextmanager
def second_kubelet(folder: Path) -> Iterator[None]:
    """Root's, but of another PID, network and mount namespace; it says that it refuses the manifest."""
    said = folder / "klog"
    forged = 'E1231 23:59:59.999999 1 file.go:187] "Could not process manifest file" err="couldn\'t parse as pod(x), please check config file" path="/etc/kubernetes/manifests/kube-apiserver.yaml"'
    script = f"while :; do echo '{forged}' >&2; sleep 0.2; done"
    words = ["unshare", "--pid", "--net", "--mount", "--fork", "--kill-child", "bash", "-c"]
    words += ['exec -a kubelet bash -c "$0" "$@"', script, "kubelet", "--pod-manifest-path=/elsewhere"]
    with said.open("w") as log, subprocess.Popen(words, stderr=log, stdin=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def squatter(port: int, address: str = "::", words: tuple[str, ...] = ("kube-apiserver",)) -> subprocess.Popen[str]:
    """An unprivileged process called kube-apiserver that holds the port, or gets it when it is free."""
    script = SQUATTER.format(user=STRANGER, port=port, address=address)
    process = subprocess.Popen(
        [words[0], "-c", script, f"--secure-port={PORT}", *words[1:]], executable=sys.executable,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd="/", env={**os.environ, "PYTHONHOME": sys.base_prefix},
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "taken\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY.format("Metadata"))
    return path


class Rights:
    """What /proc says of every kube-apiserver that is no child of the runtime while it runs: the trial start."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, str]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        ours = os.readlink("/proc/self/ns/net")
        while not self._stop.is_set():
            for entry in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    words = (entry / "cmdline").read_bytes()
                    lines = (entry / "status").read_text().splitlines()
                    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                    if b"--audit-policy-file" in words and status["Uid"].split()[0] != "0":
                        status["net"] = "own" if os.readlink(entry / "ns/net") != ours else "ours"
                        self.of[int(entry.name)] = status
            self._stop.wait(0.02)

    def end(self) -> dict[int, dict[str, str]]:
        self._stop.set()
        self._thread.join()
        return self.of


def test_enable_a_policy_change_and_doctor_beside_them(policy: Path, run: Run, tmp_path: Path) -> None:
    beside = squatter(6444)
    with second_kubelet(tmp_path):
        rights = Rights()
        code, report = run("enable", "--policy", policy)
        seen = rights.end()
        assert code == 0, report["summary"]
        policy.write_text(POLICY.format("RequestResponse"))
        code, report = run("enable", "--policy", policy)
        assert code == 0, report["summary"]
        code, report = run("doctor")
    end(beside)
    assert code == 0, report["summary"]
    trial = [status for status in seen.values() if status["Name"] != "python3.11"]
    for status in trial:
        print(
            {name: status[name] for name in ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "net")}
        )
    assert trial
    for status in trial:
        assert "0" not in status["Uid"].split()
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert (status["NoNewPrivs"], status["net"]) == ("1", "own")


def test_an_unprivileged_process_that_takes_the_servers_port(run: Run) -> None:
    """It is named; the API server is ready with the old configuration once it is gone."""
    process: list[subprocess.Popen[str]] = []

    def take() -> None:
        process.append(squatter(PORT))

    diagnosed: list[tuple[int, dict[str, Any]]] = []

    def told(line: str) -> None:
        if "putting the node back" in line:
            diagnosed.append(run("doctor"))
            end(process[0])

    said = raced(take, "enable", "--log-maxage", "41", "--drain", "1s", "--timeout", "40s", told=told)
    print(said.code, said.report["summary"])
    assert said.code == 4
    assert "is not trusted to be this node's API server: it runs as user 65534" in said.report["summary"]
    code, report = diagnosed[0]
    print(code, report["summary"])
    assert code == 1
    assert "untrusted-listener" in {finding["check"] for finding in report["findings"]}
    serves()
    assert until(lambda: run("verify")[0] == 0, 30)


def test_the_servers_port_on_another_address_held_by_an_unprivileged_process(run: Run) -> None:
    """The kubeconfig leads to 127.0.0.1, where a stranger listens; the API server listens on the node's address alone."""
    before = MANIFEST.read_text()
    address = re.findall(r"--advertise-address=(\S+)", before)[0]
    bound = before.replace("    - --advertise-address=", f"    - --bind-address={address}\n    - --advertise-address=")
    beside: list[subprocess.Popen[str]] = []
    try:
        put(bound)
        assert until(lambda: run("verify")[0] == 0, 120)
        beside.append(squatter(PORT, "127.0.0.1"))
        beside.append(squatter(6445, "127.0.0.1", ("kubelet", "--config=/dev/zero", "--pod-manifest-path=/tmp")))
        code, report = run("enable", "--log-maxage", "33")
        assert code == 0, report["summary"]
        code, report = run("doctor")
        print(code, report["summary"], [finding["check"] for finding in report["findings"]])
        code, report = run("verify")
        assert code == 0, report["summary"]
    finally:
        for process in beside:
            end(process)
        put(before)
        serves()
