"""The dress rehearsal: what the server says decides, and nothing of it is left, whatever happens."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pytest

from auditctl.errors import InterruptionError
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
def script(tmp_path: Path, folders: Path) -> Callable[[str], Path]:
    """A server written in shell."""

    def write(text: str) -> Path:
        path = tmp_path / "kube-apiserver"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write


def is_gone(pid_file: Path) -> bool:
    """Has the process ended that wrote its number there?"""
    return not Path("/proc", pid_file.read_text().strip()).exists()


def test_folders_of_killed_runs_are_swept_and_nothing_else(script: Callable[[str], Path], folders: Path) -> None:
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

    rehearse(TrialStartInput(script(f"echo '{PASSED}' >&2; sleep 600"), ()))

    assert set(folders.iterdir()) == before - {old}
    assert (target / "apiserver.key").exists()


def test_a_folder_bears_the_number_of_its_process(script: Callable[[str], Path], folders: Path, tmp_path: Path) -> None:
    rehearse(TrialStartInput(script(f"pwd > {tmp_path}/folder; echo '{PASSED}' >&2; sleep 600"), ()))
    folder = Path((tmp_path / "folder").read_text().strip())
    assert (folder.parent, folder.name.split("-")[2]) == (folders, str(os.getpid()))


def test_a_server_that_has_built_its_backend_is_accepted_and_ended_at_once(
    script: Callable[[str], Path], tmp_path: Path, folders: Path
) -> None:
    binary = script(f"sleep 600 & echo $! > {tmp_path}/child\necho $$ > {tmp_path}/pid\necho '{PASSED}' >&2\nwait")
    assert rehearse(TrialStartInput(binary, ())).verdict is TrialStartVerdict.ACCEPTED
    assert is_gone(tmp_path / "pid")
    deadline = time.monotonic() + 5
    while not is_gone(tmp_path / "child") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(tmp_path / "child")
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
    script: Callable[[str], Path], words: str, verdict: str, crash: str, tmp_path: Path
) -> None:
    (tmp_path / "words").write_text(FAILED % words)
    found = rehearse(TrialStartInput(script(f"cat {tmp_path}/words >&2; exit 1"), ()))
    assert (found.verdict.value, found.crash) == (verdict, crash)
    assert "from file" not in found.words


def test_an_unknown_flag_refuses_if_it_is_one_of_auditings(script: Callable[[str], Path]) -> None:
    binary = script('echo "Error: unknown flag: $1" >&2; exit 1')
    assert rehearse(TrialStartInput(binary, ("--audit-log-max-size",))).verdict is TrialStartVerdict.REFUSED
    assert rehearse(TrialStartInput(binary, ("--frob",))).verdict is TrialStartVerdict.UNKNOWN


def test_the_files_reach_it_without_a_name_on_disk(script: Callable[[str], Path], tmp_path: Path) -> None:
    big = GOOD + b"#" * 3_000_000
    binary = script(
        f'cat /dev/stdin > {tmp_path}/policy\nfor word; do case $word in --audit-webhook-config-file=*) cat "${{word#*=}}" > {tmp_path}/webhook;; esac; done'
        f"\nls > {tmp_path}/listing\nstat -c %a . > {tmp_path}/mode\nnice > {tmp_path}/nice\necho '{PASSED}'; sleep 600"
    )
    assert rehearse(TrialStartInput(binary, (), big, b"secret")).verdict is TrialStartVerdict.ACCEPTED
    assert (tmp_path / "policy").read_bytes() == big
    assert (tmp_path / "webhook").read_bytes() == b"secret"
    assert (tmp_path / "listing").read_text() == ""
    assert (tmp_path / "mode").read_text() == "700\n"
    assert (tmp_path / "nice").read_text() == "19\n"


def test_endless_words_are_bounded_and_a_silent_server_is_unknown(script: Callable[[str], Path], folders: Path) -> None:
    assert rehearse(TrialStartInput(script("yes"), ()), patience_seconds=0.5).verdict is TrialStartVerdict.UNKNOWN
    found = rehearse(TrialStartInput(script("exec >&- 2>&-; sleep 600"), ()), patience_seconds=0.3)
    assert (found.verdict, found.words) == (TrialStartVerdict.UNKNOWN, "it did not get far enough in time")
    assert not list(folders.iterdir())


def test_one_that_begins_and_stays_is_accepted_without_a_backend(script: Callable[[str], Path]) -> None:
    binary = script('echo "I1121 21:21:44.408260    6221 server.go:187] Version: v1.31.14"; sleep 600')
    found = rehearse(TrialStartInput(binary, ()))
    assert (found.verdict, found.version) == (TrialStartVerdict.ACCEPTED, (1, 31))


def test_an_interruption_ends_it(script: Callable[[str], Path], tmp_path: Path, folders: Path) -> None:
    binary = script(f"echo $$ > {tmp_path}/pid; exec sleep 600")
    with pytest.raises(InterruptionError, match="nothing was changed"):
        rehearse(
            TrialStartInput(binary, ()), lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text())
        )
    assert is_gone(tmp_path / "pid")
    assert not list(folders.iterdir())


def test_what_cannot_be_run_is_unknown(tmp_path: Path, folders: Path) -> None:
    found = rehearse(TrialStartInput(tmp_path / "none", ()))
    assert (found.verdict, "no such file" in found.words) == (TrialStartVerdict.UNKNOWN, True)
    assert not list(folders.iterdir())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The service-account flags without which the real one does not come to auditing."""
    pem = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = tmp_path_factory.mktemp("keys") / "sa.key"
    form = (pem.Encoding.PEM, pem.PrivateFormat.TraditionalOpenSSL, pem.NoEncryption())
    key.write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(*form))
    issuer = "--service-account-issuer=https://kubernetes.default.svc.cluster.local"
    return issuer, f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"


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
def test_the_real_server_says_its_own_words(
    keys: tuple[str, ...], words: tuple[str, ...], policy: bytes, refusal: str
) -> None:
    play = TrialStartInput(Path(BINARIES) / "kube-apiserver", (*keys, "--audit-log-path=-", *words), policy)
    found = rehearse(play)
    assert found.verdict is (TrialStartVerdict.REFUSED if refusal else TrialStartVerdict.ACCEPTED), found
    assert refusal in found.words
