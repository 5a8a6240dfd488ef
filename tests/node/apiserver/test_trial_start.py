"""The dress rehearsal: what the server says decides, and nothing of it is left, whatever happens."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree

import pytest

from auditctl.errors import InterruptionError
from auditctl.node.apiserver import trial_binary
from auditctl.node.apiserver.trial_binary import Binary, opened
from auditctl.node.apiserver.trial_start import TrialStartInput, TrialStartResult, TrialStartVerdict, rehearse

BINARIES = os.environ.get("AUDITCTL_NODE_BIN") or ""
GOOD = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
PASSED = "I1121 21:21:44.408260    6221 audit.go:344] Using audit backend: ignoreErrors<log>"
FAILED = 'E1121 21:21:44.408260    6221 run.go:72] "command failed" err="%s"'

Stage = Callable[..., TrialStartResult]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where rehearsals make their folders."""
    folder = tmp_path / "folders"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def out() -> Iterator[Path]:
    """A folder into which the user of a trial start may write."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)
    yield folder
    rmtree(folder)


@pytest.fixture
def script(tmp_path: Path, folders: Path) -> Iterator[Callable[[str], Binary]]:
    """A server written in shell, open."""
    with ExitStack() as stack:

        def write(text: str) -> Binary:
            path = tmp_path / "kube-apiserver"
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
            return stack.enter_context(opened(path))

        yield write


def is_gone(pid_file: Path) -> bool:
    """Has the process ended that wrote its number there? A zombie waits for whoever has to collect it."""
    try:
        return "State:\tZ" in Path("/proc", pid_file.read_text().strip(), "status").read_text()
    except FileNotFoundError:
        return True


def test_folders_of_killed_runs_are_swept_and_nothing_else(script: Callable[[str], Binary], folders: Path) -> None:
    """Ours, old, and of a process that is gone; a link is not followed."""
    with subprocess.Popen(["true"]) as gone:
        pass
    long_ago = time.time() - 3600
    names = [f"auditctl-rehearsal-{gone.pid}-{kind}" for kind in ("old", "young", "link", "file", "theirs")]
    old, young, link, file, theirs = (folders / name for name in names)
    living = folders / f"auditctl-rehearsal-{os.getpid()}-living"
    other = folders / "auditctl-rehearsal-notes"
    target = folders / "target"
    for folder in (old, young, living, other, target, theirs):
        folder.mkdir()
        (folder / "apiserver.key").write_text("x")
    link.symlink_to(target)
    file.write_text("x")
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
    else:
        rmtree(theirs)
    for path in folders.iterdir():
        if path != young:
            os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    before = set(folders.iterdir())

    rehearse(TrialStartInput(binary=script(f"echo '{PASSED}' >&2; sleep 600"), words=()))

    assert set(folders.iterdir()) == before - {old}
    assert (target / "apiserver.key").exists()


def test_a_folder_bears_the_number_of_its_process(script: Callable[[str], Binary], folders: Path, out: Path) -> None:
    rehearse(TrialStartInput(binary=script(f"pwd > {out}/folder; echo '{PASSED}' >&2; sleep 600"), words=()))
    folder = Path((out / "folder").read_text().strip())
    assert (folder.parent.parent, folder.parent.name.split("-")[2]) == (folders, str(os.getpid()))


def test_a_server_that_has_built_its_backend_is_accepted_and_ended_at_once(
    script: Callable[[str], Binary], out: Path, folders: Path
) -> None:
    binary = script(f"sleep 600 & echo $! > {out}/child\necho $$ > {out}/pid\necho '{PASSED}' >&2\nwait")
    assert rehearse(TrialStartInput(binary=binary, words=())).verdict is TrialStartVerdict.ACCEPTED
    assert is_gone(out / "pid")
    deadline = time.monotonic() + 5
    while not is_gone(out / "child") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(out / "child")
    assert not list(folders.iterdir())


@pytest.mark.parametrize(
    ("words", "verdict", "crash"),
    [
        ("loading audit policy file: rules[0].level: Required value: from file /dev/stdin", "refused", "policy-level"),
        ('invalid audit log mode async, allowed modes are \\"batch\\"', "refused", "flag-mode"),
        ("failed to create listener: listen tcp 127.0.0.1:9: bind: address already in use", "unknown", "port-in-use"),
        ("open /nope/sa.key: no such file or directory", "unknown", "file-missing"),
        ("context deadline exceeded", "unknown", "etcd"),
        ('loading audit policy file: failed to read file path \\"/dev/stdin\\": open /dev/stdin: permission denied',
         "unknown", "policy-unreadable"),
    ],
)  # fmt: skip
def test_only_words_about_auditing_refuse(
    script: Callable[[str], Binary], words: str, verdict: str, crash: str, out: Path
) -> None:
    (out / "words").write_text(FAILED % words)
    found = rehearse(TrialStartInput(binary=script(f"cat {out}/words >&2; exit 1"), words=()))
    assert (found.verdict.value, found.crash) == (verdict, crash)
    assert "from file" not in found.words


def test_an_unknown_flag_refuses_if_it_is_one_of_auditings(script: Callable[[str], Binary]) -> None:
    binary = script('echo "Error: unknown flag: $1" >&2; exit 1')
    assert (
        rehearse(TrialStartInput(binary=binary, words=("--audit-log-max-size",))).verdict is TrialStartVerdict.REFUSED
    )
    assert rehearse(TrialStartInput(binary=binary, words=("--frob",))).verdict is TrialStartVerdict.UNKNOWN


def test_the_files_reach_it_without_a_name_on_disk(script: Callable[[str], Binary], out: Path) -> None:
    big = GOOD + b"#" * 3_000_000
    binary = script(
        f'cat /dev/stdin > {out}/policy\nfor word; do case $word in --audit-webhook-config-file=*) cat "${{word#*=}}" > {out}/webhook;; esac; done'
        f"\nls > {out}/listing\nstat -c %a . > {out}/mode\nnice > {out}/nice\necho '{PASSED}'; sleep 600"
    )
    assert (
        rehearse(TrialStartInput(binary=binary, words=(), policy=big, webhook=b"secret")).verdict
        is TrialStartVerdict.ACCEPTED
    )
    assert (out / "policy").read_bytes() == big
    assert (out / "webhook").read_bytes() == b"secret"
    assert (out / "listing").read_text() == ""
    assert (out / "mode").read_text() == "700\n"
    assert (out / "nice").read_text() == "19\n"


def test_endless_words_are_bounded_and_a_silent_server_is_unknown(
    script: Callable[[str], Binary], folders: Path
) -> None:
    assert (
        rehearse(TrialStartInput(binary=script("yes"), words=()), patience_seconds=0.5).verdict
        is TrialStartVerdict.UNKNOWN
    )
    found = rehearse(TrialStartInput(binary=script("exec >&- 2>&-; sleep 600"), words=()), patience_seconds=0.3)
    assert (found.verdict, found.words) == (TrialStartVerdict.UNKNOWN, "it did not get far enough in time")
    assert not list(folders.iterdir())


def test_one_that_begins_and_stays_is_accepted_without_a_backend(script: Callable[[str], Binary]) -> None:
    binary = script('echo "I1121 21:21:44.408260    6221 server.go:187] Version: v1.31.14"; sleep 600')
    found = rehearse(TrialStartInput(binary=binary, words=()))
    assert (found.verdict, found.version) == (TrialStartVerdict.ACCEPTED, (1, 31))


def test_an_interruption_ends_it(script: Callable[[str], Binary], out: Path, folders: Path) -> None:
    binary = script(f"echo $$ > {out}/pid; exec sleep 600")
    with pytest.raises(InterruptionError, match="nothing was changed"):
        rehearse(
            TrialStartInput(binary=binary, words=()), lambda: (out / "pid").exists() and bool((out / "pid").read_text())
        )
    assert is_gone(out / "pid")
    assert not list(folders.iterdir())


def test_what_cannot_be_run_is_unknown(tmp_path: Path, folders: Path) -> None:
    path = tmp_path / "none"
    path.write_bytes(b"\x7fELF and no more")
    path.chmod(0o755)
    with opened(path) as binary:
        found = rehearse(TrialStartInput(binary=binary, words=()))
    assert (found.verdict, "exec format error" in found.words) == (TrialStartVerdict.UNKNOWN, True)
    assert not list(folders.iterdir())


KEY = "/throw-away.key"
# the service-account flags without which the real one does not come to auditing
KEYS = (
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    f"--service-account-key-file={KEY}",
    f"--service-account-signing-key-file={KEY}",
)


@pytest.mark.node
@pytest.mark.skipif(not BINARIES, reason="AUDITCTL_NODE_BIN names no folder with kube-apiserver")
@pytest.mark.parametrize(
    ("words", "policy", "refusal"),
    [
        ((), GOOD, ""),
        ((), GOOD.replace(b"Metadata", b"Metada"), 'rules[0].level: Unsupported value: "Metada"'),
        ((), GOOD.replace(b"/v1", b"/v1beta1"), "audit.k8s.io/v1beta1"),
        (("--audit-log-mode=async",), GOOD, "invalid audit log mode async"),
        (("--audit-log-max-size=5",), GOOD, "unknown flag: --audit-log-max-size"),
        (("--audit-log-mode=batch", "--audit-log-batch-max-size=0"), GOOD, "max batch size 0"),
        (("--audit-webhook-config-file=/nonexistent/w.yaml",), GOOD, "stat /nonexistent/w.yaml: no such file"),
    ],
)
def test_the_real_server_says_its_own_words(words: tuple[str, ...], policy: bytes, refusal: str) -> None:
    with opened(Path(BINARIES) / "kube-apiserver") as binary:
        all_words = (*KEYS, "--advertise-address=192.0.2.1", "--audit-log-path=-", *words)
        found = rehearse(
            TrialStartInput(
                binary=binary, words=all_words, policy=policy, contents={KEY: trial_binary.throw_away_key()}
            )
        )
    assert found.verdict is (TrialStartVerdict.REFUSED if refusal else TrialStartVerdict.ACCEPTED), found
    assert refusal in found.words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_it_has_no_rights_at_all(script: Callable[[str], Binary], out: Path) -> None:
    """Whatever the program does: its own user, no capability, no new ones, no network but loopback, nothing of root's."""
    binary = script(
        f"cat /proc/self/status > {out}/status; cat /proc/net/dev > {out}/network; ulimit -c > {out}/core\n"
        f"cat /proc/1/environ > {out}/environ 2> {out}/refused\n"
        f"setsid sleep 600 & echo $! > {out}/left\necho '{PASSED}' >&2\nsleep 600"
    )
    assert rehearse(TrialStartInput(binary=binary, words=())).verdict is TrialStartVerdict.ACCEPTED
    status = dict(line.split(":\t", 1) for line in (out / "status").read_text().splitlines() if ":\t" in line)
    [user] = set(status["Uid"].split())
    assert int(user) >= 61184
    assert (set(status["Gid"].split()), status["Groups"].strip(), status["NoNewPrivs"]) == ({user}, "", "1")
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert [line.split(":")[0].strip() for line in (out / "network").read_text().splitlines()[2:]] == ["lo"]
    assert (out / "core").read_text() == "0\n"
    assert "Permission denied" in (out / "refused").read_text()
    assert is_gone(out / "left"), "one that has left the session is ended too"


def test_files_are_handed_over_in_memory_and_named_as_the_user_knows_them(
    script: Callable[[str], Binary], out: Path
) -> None:
    webhook = b'{"users": [{"user": {"client-key": "/host/key"}}]}'
    binary = script(
        f'for word; do case $word in --k=*) cat "${{word#*=}}" > {out}/key; name=${{word#*=}};;'
        f' --audit-webhook-config-file=*) cat "${{word#*=}}" > {out}/webhook;; esac; done\n'
        'echo "E1121 21:21:44.408260 6221 run.go:72] \\"command failed\\" err=\\"initializing audit webhook: $name is bad\\"" >&2; exit 1'
    )
    play = TrialStartInput(
        binary=binary,
        words=("--k=/host/key",),
        policy=None,
        webhook=webhook,
        names={"/host/key": "/etc/key"},
        webhook_name="w.yaml",
        contents={"/host/key": b"secret"},
    )
    found = rehearse(play)
    assert (out / "key").read_bytes() == b"secret"
    assert b'"client-key": "/dev/fd/' in (out / "webhook").read_bytes()
    assert (found.verdict, "/etc/key is bad" in found.words) == (TrialStartVerdict.REFUSED, True), found
