"""The wait for a restart: ended by a fatal word, else by the deadline."""

from __future__ import annotations

from pathlib import Path

from foldernode import PLAIN, FakeClock

from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import NOBODY
from auditctl.node.change.files import Root
from auditctl.node.kubelet.restart import Failed, Restarted, RestartTarget, RestartWaiter


def manifest_with(flags: list[str]) -> str:
    items = "".join(f"    - {flag}\n" for flag in flags)
    return PLAIN.read_text().replace("    - --allow-privileged=true\n", "    - --allow-privileged=true\n" + items)


def attempt(root: Path, uid: str, number: int, *lines: str) -> Path:
    path = root / f"var/log/pods/kube-system_kube-apiserver-node_{uid}/kube-apiserver/{number}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(f"2026-11-21T21:26:27.1Z stderr F {line}\n" for line in lines)
    return path


PORT = 1  # nobody listens there


def watch_with(folder: Path, line: str | None) -> tuple[Failed | Restarted, float]:
    """Wait on a folder where, after a while, a container says `line`."""
    path = folder / "etc/kubernetes/manifests/kube-apiserver.yaml"
    path.parent.mkdir(parents=True)
    text = manifest_with(["--audit-log-mode=async"])
    path.write_text(text)
    manifest = Manifest.of(Document.parse(text.encode(), str(path)))
    clock = FakeClock()

    def tell(_text: str, seconds: float) -> None:
        if line is not None and 3 <= seconds < 3.2:
            attempt(folder, "new", 0, line)

    watch = RestartWaiter.begin(Root(folder), manifest, clock, tell)
    expected = RestartTarget(
        command=manifest.command, renamed_at=clock.boot(), endpoint=Endpoint("127.0.0.1", PORT), credentials=NOBODY
    )
    return watch.wait(expected, timeout=60, drain=0, outgoing=None), clock.passed


def test_a_fatal_word_ends_the_wait_within_two_seconds(tmp_path: Path) -> None:
    words = 'E1121 21:21:44.1 1 run.go:72] "command failed" err="invalid audit log mode async, allowed modes are \\"batch,blocking,blocking-strict\\""'

    failed, passed = watch_with(tmp_path, words)

    assert isinstance(failed, Failed)
    assert passed <= 5.0
    assert failed.crash is not None
    assert failed.crash.place is not None
    place = failed.crash.place
    assert "--audit-log-mode=async" in Path(place.file).read_text().splitlines()[place.line - 1]
    assert "\n" not in str(failed)


def test_a_word_that_time_may_mend_does_not(tmp_path: Path) -> None:
    words = 'E1121 21:21:44.1 1 run.go:72] "command failed" err="listen tcp 0.0.0.0:6443: bind: address already in use"'

    failed, passed = watch_with(tmp_path, words)

    assert isinstance(failed, Failed)
    assert passed >= 60
    assert failed.crash is not None
    assert failed.crash.name == "port-in-use"


def test_silence_waits_for_the_deadline(tmp_path: Path) -> None:
    failed, passed = watch_with(tmp_path, None)

    assert isinstance(failed, Failed)
    assert failed.crash is None
    assert passed >= 60
