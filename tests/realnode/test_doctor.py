"""Diagnosis on a real control-plane node: real words of a real kubelet and kube-apiserver, real times."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., tuple[int, dict[str, Any]]]
NODE = Path(__file__).parents[3] / "shared/realnode/node"
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = Path("/etc/kubernetes/audit/policy.yaml")
TIMEOUT = 150.0


def until(true: Any, seconds: float = TIMEOUT, every: float = 0.05) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(every)
    return False


def put(text: str) -> None:
    """Replace the manifest by hand, as a careful person does."""
    hidden = MANIFEST.with_name(".by-hand")
    hidden.write_text(text)
    hidden.rename(MANIFEST)


def servers() -> list[int]:
    ran = subprocess.run(["pgrep", "-f", "^kube-apiserver --"], capture_output=True, text=True)
    return [int(word) for word in ran.stdout.split()]


def end_servers() -> None:
    """The kubelet's grace of 30 s is not what is tested."""
    for pid in servers():
        subprocess.run(["kill", "-9", str(pid)])


def serves() -> None:
    subprocess.run(["bash", NODE, "wait", "150"], check=True)


@pytest.fixture
def whole() -> Iterator[str]:
    """kubeadm's own manifest before and after."""
    text = MANIFEST.read_text()
    yield text
    if MANIFEST.read_text() != text:
        put(text)
    shutil.rmtree(POLICY.parent, ignore_errors=True)
    until(lambda: bool(servers()))
    serves()


@pytest.mark.parametrize(
    ("old", "new", "check", "place"),
    [
        ("  - name: k8s-certs\n", "  - name: k8s-cert\n", "mount-without-volume", "k8s-cert"),
        (
            "    - mountPath: /etc/ca-certificates\n",
            "    - mountPath: /etc/ssl/certs\n",
            "mount-path-twice",
            "/etc/ssl",
        ),
        ("    - --allow-privileged=true\n", "  - --allow-privileged=true\n", "manifest-yaml", ""),
    ],
    ids=["volume-misspelt", "mount-twice", "broken-yaml"],
)
def test_a_manifest_that_the_kubelet_refuses_is_told_in_its_words(
    old: str, new: str, check: str, place: str, whole: str, run: Run
) -> None:
    if old not in whole:
        old, new = whole_line(whole, old, new)
    put(whole.replace(old, new, 1))

    code, report = wait_for(run, check)

    assert code == 1
    finding = next(finding for finding in report["findings"] if finding["check"] in (check, "yaml"))
    line = MANIFEST.read_text().splitlines()[finding["line"] - 1]
    assert finding["file"] == str(MANIFEST)
    assert place in line


def whole_line(whole: str, old: str, new: str) -> tuple[str, str]:
    """kubeadm's indentation differs between versions."""
    match = re.search(rf"(?m)^( *){re.escape(old.strip())}\n", whole) or re.search(
        rf"(?m)^( *)(- )?{re.escape(old.strip().removeprefix('- '))}\n", whole
    )
    assert match, old
    return match[0], match[0].replace(old.strip().removeprefix("- "), new.strip().removeprefix("- "))


def wait_for(run: Run, check: str) -> tuple[int, dict[str, Any]]:
    """`doctor` until it says so, certainly."""
    found: list[tuple[int, dict[str, Any]]] = []

    def said() -> bool:
        code, report = run("doctor")
        found[:] = [(code, report)]
        told = report["doctor"]["certain"] and report["doctor"]["state"] not in ("serving", "starting")
        return bool(told and check in {finding["check"] for finding in report["findings"]} | {"yaml"})

    assert until(said, 90, every=1.0), found
    return found[0]


def test_a_crash_loop_is_told_with_file_line_and_the_one_edit(whole: str, run: Run) -> None:
    """A misspelt flag, by hand, while the API server is down."""
    put(
        whole.replace("    - --allow-privileged=true\n", "    - --audit-log-max-age=5\n    - --allow-privileged=true\n")
    )
    assert until(lambda: "max-age" in MANIFEST.read_text())
    time_of_stop = time.monotonic()
    assert until(lambda: run("doctor")[1]["doctor"]["state"] in ("starting", "crash-looping"), 60)
    end_servers()

    code, report = wait_for(run, "flag-unknown")

    finding = next(finding for finding in report["findings"] if finding["check"] == "flag-unknown")
    assert code == 1
    assert "--audit-log-max-age" in MANIFEST.read_text().splitlines()[finding["line"] - 1]
    assert finding["fix"] == "did you mean --audit-log-maxage?"
    print(f"told after {time.monotonic() - time_of_stop:.1f} s")


def test_a_copy_beside_the_manifest_is_moved_and_the_manifests_own_pod_comes_back(whole: str, run: Run) -> None:
    """The kubelet runs the copy; --fix moves it away, waits past one listing, and the manifest's Pod serves."""
    copy = MANIFEST.with_name("kube-apiserver.yaml.bak")
    copy.write_text(whole.replace("    - --allow-privileged=true\n", "    - --allow-privileged=true\n    - --v=1\n"))
    assert until(lambda: run("doctor")[1]["doctor"]["state"] == "wrong-process", 120)
    code, report = run("doctor")
    assert code == 1
    assert {finding["check"] for finding in report["findings"]} >= {"stray-manifests"}

    code, report = run("doctor", "--fix", "--drain", "1s")

    assert code == 0, report["summary"]
    assert not copy.exists()
    assert MANIFEST.read_text() == whole
    checks = {check["name"]: check["status"] for check in report["verification"]["checks"]}
    assert checks["listing"] == "passed"
    assert Path(report["change"]["backup"]).with_name("stray.before").is_file()
    assert run("doctor")[0] == 0
