"""`--no-downtime` on a real node, under load of every kind of client: nothing fails on a new connection, no event is lost.

Each test prints what its clients counted; docs/how-to/no-downtime.md has the figures.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from races import servers, serves, until

MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
STANDBY = MANIFEST.with_name("kube-apiserver-standby.yaml")
LOGS = Path("/var/log/kubernetes/audit")
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: {}\n"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
WARM_UP_SECONDS = 3.0
Run = Callable[..., tuple[int, dict[str, Any]]]


class Loaded:
    """The load in a process of its own; ``counted`` once it has ended."""

    def __init__(self, folder: Path) -> None:
        self._into = folder / f"load-{time.monotonic_ns()}.json"
        command = [sys.executable, Path(__file__).with_name("load.py"), self._into]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self.counted: dict[str, Any] = {}
        time.sleep(WARM_UP_SECONDS)

    def end(self) -> None:
        time.sleep(WARM_UP_SECONDS)
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.wait(timeout=120) == 0
        self.counted = json.loads(self._into.read_text())
        for name, row in self.counted.items():
            if isinstance(row, dict):
                print(
                    f"  {name:8} {row['sent']:5} sent {row['failed']:4} failed {row['reasons']} longest {row['longest']} s"
                )
        print(
            f"  load average {os.getloadavg()[0]:.1f}, {self.counted['written']} written, {self.counted['notWatched']} not watched"
        )

    def assert_nobody_waited(self) -> None:
        """New connections never fail; who retries once is served; the informer has every object."""
        for name in ("reads", "writes", "kubectl"):
            assert not self.counted[name]["failed"], self.counted[name]["reasons"]
        assert not self.counted["kept"]["retriedInVain"]
        assert not self.counted["notWatched"]

    def ids(self) -> set[str]:
        return {one for row in self.counted.values() if isinstance(row, dict) for one in row["ids"]}


@contextlib.contextmanager
def loaded(folder: Path) -> Iterator[Loaded]:
    load = Loaded(folder)
    try:
        yield load
    finally:
        load.end()


def recorded() -> Counter[tuple[str, str]]:
    """Every (Audit-ID, stage) of the union of the logs."""
    found: Counter[tuple[str, str]] = Counter()
    for path in LOGS.iterdir():
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found.update((event["auditID"], event["stage"]) for event in map(json.loads, content.splitlines()))
    return found


def assert_each_once(ids: set[str]) -> None:
    union = recorded()
    assert not {one for one in ids if (one, "ResponseComplete") not in union}
    assert not [key for key, number in union.items() if number > 1]


def assert_nothing_left() -> None:
    assert not STANDBY.exists()
    assert "auditctl_standby" not in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    assert until(lambda: len(servers()) == 1, 60)
    assert not list(LOGS.glob("*.standby"))


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY.format("Metadata"))
    return path


def test_first_enable(policy: Path, run: Run, tmp_path: Path) -> None:
    with loaded(tmp_path) as load:
        code, report = run("enable", "--policy", policy, "--log-maxbackup", "1000", "--no-downtime")
    assert code == 0, report["summary"]
    print(f"  standby: {report['standby']}")
    load.assert_nobody_waited()
    assert_nothing_left()


@pytest.mark.parametrize(
    "words", [("restart",), ("enable", "--log-maxage", "31"), ("rollback",)], ids=lambda words: words[0]
)
def test_a_change_loses_no_request_and_no_event(words: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    """Auditing is on before and after, so that every Audit-ID of the load is in the union of the logs, once a stage."""
    with loaded(tmp_path) as load:
        code, report = run(*words, "--no-downtime")
    assert code == 0, report["summary"]
    load.assert_nobody_waited()
    assert_each_once(load.ids())
    assert_nothing_left()


def test_rotation_and_compression_at_the_seam_lose_nothing(policy: Path, run: Run, tmp_path: Path) -> None:
    """Files of 1 MB fill every few seconds; our readers see what the files have."""
    code, report = run("enable", "--log-maxsize", "1", "--set", "audit-log-compress=true", "--no-downtime")
    assert code == 0, report["summary"]
    policy.write_text(POLICY.format("RequestResponse"))
    with loaded(tmp_path) as load:
        code, report = run("enable", "--policy", policy, "--no-downtime")
        time.sleep(10)
    assert code == 0, report["summary"]
    load.assert_nobody_waited()
    assert until(lambda: len(list(LOGS.glob("*.gz"))) > 2, 30)
    assert_each_once(load.ids())

    words = [sys.executable, "-m", "auditctl", "log", "tail", "-n", "1000000", "-o", "json"]
    read = subprocess.run(words, capture_output=True, text=True, check=True)
    shown = {json.loads(line)["auditID"] for line in read.stdout.splitlines()}
    replay = [sys.executable, "-m", "auditctl", "policy", "replay", policy, "-o", "json"]
    replayed = subprocess.run([*replay, "--log", LOGS / "audit.log"], capture_output=True, text=True)
    assert load.ids() <= shown
    assert replayed.returncode == 0, replayed.stderr
    assert run("verify")[0] == 0
    assert_nothing_left()


def _refusing_etcd() -> Iterator[None]:
    """No new connection to etcd: the standby gets none, the running server keeps its own."""
    rule = ["OUTPUT", "-p", "tcp", "--dport", "2379", "--syn", "-j", "REJECT"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    yield
    subprocess.run(["iptables", "-D", *rule], check=True)


def _full_disk() -> Iterator[None]:
    """Where the new servers log, not the running one, which has the folder mounted already."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", LOGS], check=True)
    (LOGS / "full").write_bytes(bytes(4096))
    yield
    subprocess.run(["umount", "-l", LOGS], check=True)


@pytest.mark.parametrize("fault", [_refusing_etcd, _full_disk], ids=["etcd-refuses", "disk-full"])
def test_a_change_that_cannot_work_costs_nobody_a_request(
    fault: Callable[[], Iterator[None]], run: Run, tmp_path: Path
) -> None:
    before = MANIFEST.read_bytes()
    with loaded(tmp_path) as load, contextlib.contextmanager(fault)():
        code, report = run("enable", "--log-maxage", "77", "--no-downtime", "--timeout", "2m")
    assert code in (3, 4), report["summary"]
    load.assert_nobody_waited()
    assert MANIFEST.read_bytes() == before
    assert_nothing_left()


def test_a_reboot_in_the_middle(run: Run, tmp_path: Path, binaries: Path) -> None:
    """Everything ends at once while the standby serves; the boot unit comes before the kubelet, and nothing is left."""
    before = MANIFEST.read_bytes()
    words = [sys.executable, "-m", "auditctl", "enable", "--log-maxage", "78", "--no-downtime"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        assert until(lambda: MANIFEST.read_bytes() != before, 90)
        _power_off(process.pid)
    again = tmp_path / "boot_id"
    again.write_text("00000000-0000-4000-8000-000000000001\n")
    boot = f"mount --bind {again} {BOOT_ID}; exec {sys.executable} -m auditctl recover"
    recovered = subprocess.run(["unshare", "--mount", "sh", "-ec", boot], capture_output=True, text=True)
    print(recovered.returncode, recovered.stderr.splitlines()[-1:])
    assert recovered.returncode == 0, recovered.stderr
    assert MANIFEST.read_bytes() == before
    assert not STANDBY.exists()
    _power_on(binaries)
    serves()
    assert_nothing_left()
    code, report = run("enable", "--log-maxage", "79", "--no-downtime")
    assert code == 0, report["summary"]


def test_disable(run: Run, tmp_path: Path) -> None:
    with loaded(tmp_path) as load:
        code, report = run("disable", "--no-downtime")
    assert code == 0, report["summary"]
    load.assert_nobody_waited()
    assert_nothing_left()


def _power_off(run_pid: int) -> None:
    """End the run with its watchdog, the kubelet and every container, and take the redirect out, as a reboot does."""
    named = subprocess.run(["pgrep", "-f", "auditctl enable --log-maxage 78"], capture_output=True, text=True).stdout
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run_pid, signal.SIGKILL)
    for pid in map(int, named.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    os.kill(int(Path("/var/lib/realnode/kubelet.pid").read_text()), signal.SIGKILL)
    tasks = subprocess.run(["ctr", "-n", "k8s.io", "task", "ls", "-q"], capture_output=True, text=True).stdout.split()
    for task in tasks:
        subprocess.run(["ctr", "-n", "k8s.io", "task", "kill", "-s", "KILL", task], capture_output=True)
    for family in ("ip", "ip6"):
        subprocess.run(["nft", "delete", "table", family, "auditctl_standby"], capture_output=True)
    assert until(lambda: not servers(), 30)


def _power_on(binaries: Path) -> None:
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()[0]
    words = [binaries / "kubelet", "--config=/var/lib/kubelet/config.yaml", "--kubeconfig=/etc/kubernetes/kubelet.conf"]
    words += ["--hostname-override=controlplane", f"--node-ip={address}", "-v=2"]
    script = 'setsid nohup "$@" >>"$0.log" 2>&1 </dev/null & echo $! >"$0.pid"'  # as the node script does
    subprocess.run(["bash", "-c", script, "/var/lib/realnode/kubelet", *words], check=True)
