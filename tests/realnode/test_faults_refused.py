"""Faults of the catalogue (F-numbers of the field notes) that are seen on a real node before anything restarts.

``enable`` refuses with 3: the manifest's bytes and the process that serves are the same. ``doctor`` names what somebody
wrote by hand, before the kubelet has looked.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from races import LOG, MANIFEST, METADATA, POLICY, no_kubelet, put, servers, serves

Run = Callable[..., tuple[int, dict[str, Any]]]
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: c
clusters:
- name: k
  cluster: {server: 'https://127.0.0.1:1/'}
contexts:
- name: c
  context: {cluster: k, user: u}
users:
- name: u
"""


class Policy(NamedTuple):
    """A policy, and words of the refusal."""

    text: str
    words: str


class Words(NamedTuple):
    """Options of ``enable``, and words of the refusal."""

    words: tuple[str, ...]
    said: str


POLICIES = {
    "F03 v1beta1": Policy(METADATA.replace("/v1\n", "/v1beta1\n"), "v1beta1"),
    "F04 no apiVersion": Policy(METADATA.partition("\n")[2], "unknown group version"),
    "F04 another kind": Policy(METADATA.replace("kind: Policy", "kind: List"), "List"),
    "F05 no rules": Policy(HEAD.replace("rules:", "rules: []"), "rules"),
    "F05 rules below spec": Policy(HEAD.replace("rules:", "spec:\n  rules:\n  - level: None"), "rules"),
    "F06 level": Policy(HEAD + "- level: metadata\n", '"metadata"'),
    "F07 version in the group": Policy(HEAD + "- level: None\n  resources: [{group: apps/v1}]\n", "apps/v1"),
    "F09 both kinds": Policy(
        HEAD + "- level: None\n  nonResourceURLs: [/a]\n  resources: [{group: ''}]\n", "cannot apply to both"
    ),
    "F10 URL": Policy(HEAD + "- level: None\n  nonResourceURLs: [/a*b]\n", "/a*b"),
    "F11 resourceNames": Policy(
        HEAD + "- level: None\n  resources: [{group: '', resourceNames: [a]}]\n", "resourceNames"
    ),
    "F12 stage": Policy(HEAD + "- level: Metadata\n  omitStages: [Received]\n", "Received"),
    "F13 tab": Policy(HEAD + "- level: None\n\tverbs: [get]\n", "line 5"),
    "F13 template": Policy(HEAD + "- level: {{ level }}\n", "invalid map key"),
    "F49 dropped field": Policy(HEAD + "- level: Metadata\n  resource: [{group: ''}]\n", "resource"),
    "F52 records nothing": Policy(HEAD + "- level: None\n", "no request"),
}
OPTIONS = {
    "F02 no such policy": Words(("--policy", "/nonexistent/p.yaml"), "/nonexistent/p.yaml"),
    "F02 a URL": Words(("--policy", "https://example.com/p.yaml"), "https://example.com/p.yaml"),
    "F16 read-only mount": Words(("--log-path", "/etc/kubernetes/pki/audit.log"), "/etc/kubernetes/pki"),
    "F17 a directory that is not the log's": Words(("--log-path", "/var/log"), "needs /var mounted whole"),
    "F18 format": Words(("--set", "audit-log-format=xml"), "xml"),
    "F18 negative": Words(("--set", "audit-log-maxbackup=-1"), "audit-log-maxbackup"),
    "F18 truncate": Words(("--set", "audit-log-truncate-max-event-size=20000000"), "20000000"),
    "F32 log among the manifests": Words(
        ("--log-path", "/etc/kubernetes/manifests/audit.log"), "in, at or above /etc/kubernetes/manifests"
    ),
    "F65 standard output as a file": Words(("--log-path", "/dev/stdout"), "/dev/stdout"),
    "F68 blocking-strict": Words(("--set", "audit-log-mode=blocking-strict"), "blocking-strict"),
    "F72 auditd's directory": Words(("--log-path", "/var/log/audit/audit.log"), "auditd"),
}
WEBHOOKS = {
    "F20 no context": Policy(KUBECONFIG.replace("current-context: c\n", ""), "no configuration has been provided"),
    "F20 no server": Policy(KUBECONFIG.replace("{server: 'https://127.0.0.1:1/'}", "{}"), "server"),
    "F20 no authority": Policy(KUBECONFIG.replace("'}", "', certificate-authority: /nowhere.crt}"), "/nowhere.crt"),
    "F69 nobody listens": Policy(KUBECONFIG, "127.0.0.1:1"),
}


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """The function that runs ``enable``, which is to refuse; its sentence."""

    def refuse(*words: str | Path) -> str:
        before, serving = MANIFEST.read_bytes(), servers()
        code, report = run("enable", *words)
        text = " ".join((report["summary"], *(finding["message"] for finding in report["findings"])))
        assert (code, report["changed"]) == (3, False), text
        assert report["summary"].endswith("; nothing was changed")
        assert MANIFEST.read_bytes() == before
        assert servers() == serving
        assert not [path for path in MANIFEST.parent.iterdir() if path != MANIFEST]
        return text

    return refuse


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy(name: str, refused: Callable[..., str], tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(POLICIES[name].text)
    assert POLICIES[name].words in refused("--policy", policy)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option(name: str, refused: Callable[..., str]) -> None:
    words, said = OPTIONS[name]
    assert said in refused(*words)


@pytest.mark.parametrize("name", WEBHOOKS)
def test_a_webhook(name: str, refused: Callable[..., str], tmp_path: Path) -> None:
    config = tmp_path / "webhook.yaml"
    config.write_text(WEBHOOKS[name].text)
    assert WEBHOOKS[name].words in refused("--webhook-config", config)


def test_f17_the_log_is_a_directory(refused: Callable[..., str]) -> None:
    LOG.mkdir(parents=True)
    try:
        assert f"{LOG}, for --audit-log-path, is a directory" in refused()
    finally:
        LOG.rmdir()


def test_f19_a_flag_that_no_server_knows(run: Run) -> None:
    """Not a state of the node, but a wrong command line: 2."""
    before = MANIFEST.read_bytes()
    code, report = run("enable", "--set", "audit-dynamic-configuration=true")
    assert code in (2, 3), report["summary"]
    assert "audit-dynamic-configuration" in report["summary"]
    assert MANIFEST.read_bytes() == before


def test_f08_any_group_as_a_star(run: Run, binaries: Path, tmp_path: Path) -> None:
    """Legal from 1.36 on, and refused before."""
    policy = tmp_path / "p.yaml"
    policy.write_text(METADATA + "  resources: [{group: '*'}]\n- level: Metadata\n")
    code, report = run("enable", "--policy", policy, "--dry-run")
    version = subprocess.run([binaries / "kube-apiserver", "--version"], capture_output=True, text=True, check=True)
    minor = int(version.stdout.split(".")[1])
    assert code == (0 if minor >= 36 else 3), report["summary"]


@contextmanager
def with_text(path: Path, old: str, new: str) -> Iterator[None]:
    """The file has other words for a while."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    try:
        yield
    finally:
        path.write_text(text)


def test_f28_the_kubelet_reads_another_directory(refused: Callable[..., str]) -> None:
    config = Path("/var/lib/kubelet/config.yaml")
    with with_text(config, "staticPodPath: /etc/kubernetes/manifests", "staticPodPath: /etc/kubernetes/static"):
        assert "reads static Pods from /etc/kubernetes/static" in refused()


def test_f29_another_tool_owns_the_manifest(refused: Callable[..., str]) -> None:
    """A comment alone restarts nothing."""
    text = MANIFEST.read_text()
    put(f"# Ansible managed: do not edit\n{text}")
    try:
        assert "Ansible claims the manifest" in refused()
    finally:
        put(text)


@pytest.mark.parametrize("path", [MANIFEST, MANIFEST.parent], ids=["file", "directory"])
def test_f30_nobody_may_change_the_manifest(path: Path, refused: Callable[..., str]) -> None:
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("no chattr +i on this file system")
    try:
        assert str(path) in refused()
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_f33_a_full_disk_under_the_state_directory(refused: Callable[..., str], tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", tmp_path], check=True)
    try:
        (tmp_path / "filler").write_bytes(bytes(12 << 10))
        assert "space" in refused("--state-dir", tmp_path / "state").lower()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_f43_another_run_is_under_way(refused: Callable[..., str]) -> None:
    lock = next(path for path in Path("/var/lib/auditctl").iterdir() if path.name.endswith("lock"))
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another" in refused() or "lock" in refused()


def test_f45_kubeadm_is_at_work(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "upgrade").write_text("read line\n")
    words = ["kubeadm", "upgrade", "apply"]  # for bash: run that script
    with subprocess.Popen(words, executable="/bin/bash", cwd=tmp_path, stdin=subprocess.PIPE) as process:
        try:
            assert "kubeadm upgrade" in refused()
        finally:
            process.kill()


# -- on a node that records


@pytest.fixture(scope="module")
def recording(run: Run, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The manifest's text, once auditing is on."""
    serves()
    policy = tmp_path_factory.mktemp("policy") / "p.yaml"
    policy.write_text(METADATA)
    code, report = run("enable", "--policy", policy, "--drain", "1s")
    assert code == 0, report["summary"]
    return MANIFEST.read_text()


class Edit(NamedTuple):
    """An edit by hand: a pattern of whole lines, what stands there then, the check that names it, and words of it."""

    pattern: str
    instead: str
    check: str
    words: str


POLICY_MOUNT = r"( +)- mountPath: /etc/kubernetes/audit/policy.yaml\n"
BY_HAND = {
    "F01 policy not mounted": Edit(
        r"( +- --audit-policy-file=)\S+\n", r"\1/etc/audit/policy.yaml\n", "audit-mount", "/etc/audit/policy.yaml"
    ),
    "F21 before the program's name": Edit(
        r"( +)- kube-apiserver\n", r"\1- --audit-log-maxage=5\n\g<0>", "manifest", "no container runs kube-apiserver"
    ),
    "F22 twice": Edit(
        r"( +)- --audit-log-maxage=30\n", r"\g<0>\1- --audit-log-maxage=5\n", "repeated-flag", "audit-log-maxage"
    ),
    "F23 one path twice": Edit(
        POLICY_MOUNT,
        r"\1- mountPath: /etc/kubernetes/audit/policy.yaml\n\1  name: audit-log\n\g<0>",
        "pod-invalid",
        "twice",
    ),
    "F24 a volume that is not there": Edit(r"( +name: )audit-policy\n", r"\1audit-polcy\n", "manifest", "audit-polcy"),
    "F25 wrong type": Edit(
        r"( +path: /etc/kubernetes/audit/policy.yaml\n +type: )File\n", r"\1Directory\n", "volume-type", "directory"
    ),
    "F26 subPath": Edit(POLICY_MOUNT, r"\g<0>\1  subPath: policy.yaml\n", "manifest", "subPath"),
    "F27 indentation": Edit(r"( +)  image: ", r"\1 image: ", "yaml", ""),
    "F27 tab": Edit(r" +hostNetwork: ", "\thostNetwork: ", "yaml", ""),
    "F46 no policy": Edit(r" +- --audit-policy-file=\S+\n", "", "no-policy", "nothing is recorded"),
    "F47 log not mounted": Edit(r"( +- --audit-log-path=)\S+\n", r"\1/data/audit.log\n", "log-not-mounted", "/data"),
    "F19 misspelt flag": Edit(
        r"( +- --audit-log-)maxage", r"\1max-age", "unknown-flag", "--audit-log-max-age: is not an audit flag"
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_edit_by_hand(name: str, recording: str, run: Run) -> None:
    """The kubelet has not looked yet; the place is named, and enable refuses to build on what is invalid."""
    edit = BY_HAND[name]
    broken = re.sub(edit.pattern, edit.instead, recording, count=1)
    assert broken != recording
    with no_kubelet():
        put(broken)
        try:
            code, report = run("doctor")
        finally:
            put(recording)
    wrong = [finding for finding in report["findings"] if finding["severity"] == "error"]
    print([(finding["check"], finding["line"], finding["message"], finding["fix"]) for finding in wrong])
    assert code == 1, report["findings"]
    assert [finding for finding in wrong if finding["check"] == edit.check and edit.words in finding["message"]]


def test_f36_an_edited_policy_is_not_loaded(recording: str, run: Run) -> None:
    text = POLICY.read_text()
    POLICY.write_text(HEAD + "- level: Request\n")
    try:
        code, report = run("status")
        assert code == 1
        assert "policy-not-loaded" in {finding["check"] for finding in report["findings"]}, report["findings"]
    finally:
        POLICY.write_text(text)
    assert run("verify")[0] == 0


def test_f02_f76_a_deleted_policy_is_put_back(recording: str, run: Run) -> None:
    """The server that runs does not need it; the next one would not start. Nothing restarts."""
    serving = servers()
    text = POLICY.read_text()
    POLICY.unlink()
    code, report = run("doctor")
    assert code == 1
    assert str(POLICY) in " ".join(
        finding["message"] for finding in report["findings"] if finding["severity"] == "error"
    )

    code, report = run("doctor", "--fix")

    assert code == 0, report["summary"]
    assert POLICY.read_text() == text
    assert servers() == serving


def test_f17_a_directory_where_the_policy_was(recording: str, run: Run) -> None:
    """As a mount without a type makes one."""
    text = POLICY.read_text()
    POLICY.unlink()
    POLICY.mkdir()
    try:
        code, report = run("doctor")
        assert code == 1
        assert any(
            "is a directory" in finding["message"] for finding in report["findings"] if finding["severity"] == "error"
        )
    finally:
        POLICY.rmdir()
        POLICY.write_text(text)
        POLICY.chmod(0o600)


def test_f56_a_log_that_was_taken_away_is_opened_anew(recording: str, run: Run) -> None:
    """Events go to a file that no name leads to."""
    LOG.unlink()
    assert run("verify")[0] == 1
    code, report = run("doctor")
    assert code == 1
    assert "dead-log" in {finding["check"] for finding in report["findings"]}, report["findings"]

    code, report = run("doctor", "--fix", "--drain", "1s")

    assert code == 0, report["summary"]
    assert run("verify")[0] == 0
    assert MANIFEST.exists()
