"""The mini kubelet reads the manifest directory as the real one does (tests/golden/crashes)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labroom import golden, with_auditing

from auditctl.lab.node.kubeadm_manifest import manifest
from auditctl.lab.node.manifest_directory import ManifestSource
from auditctl.lab.node.pod_decoding import InvalidPodError
from auditctl.lab.node.static_pod import decode

NODE_PATH = "/etc/kubernetes/manifests"
PLAIN = manifest("1.36.2", "127.0.0.1", 6443)
AUDITED = with_auditing(PLAIN)
KEY = "kube-system/kube-apiserver-controlplane"


class Directory:
    """A manifest directory, what the kubelet makes of it, and what it says."""

    def __init__(self, path: Path) -> None:
        self.path, self.said = path, list[str]()
        self.source = ManifestSource(directory=path, node_path=NODE_PATH, say=self.said.append)

    def put(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    @property
    def uid(self) -> str | None:
        pod = self.source.desired.get(KEY)
        return pod.uid if pod else None


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path)
    made.put("kube-apiserver.yaml", PLAIN)
    made.source.list()
    return made


def uid(text: str, name: str = "kube-apiserver.yaml") -> str:
    return decode(text.encode(), f"{NODE_PATH}/{name}").uid


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: "# a comment\n" + text + "# another\n",
        lambda text: text.replace("name: kube-apiserver\n", 'name: "kube-apiserver"\n'),
        lambda text: text.replace("    - --", "      - --").replace(
            "  - command:\n    - kube", "  - command:\n      - kube"
        ),
        lambda text: "---\n" + text + "---\nkind: garbage\n",
        lambda text: text.replace("  hostNetwork: true\n", "  hostNetwork: true\n  dnsPolicy: ClusterFirst\n"),
        lambda text: text.replace("  hostNetwork: true\n", "  hostNetwork: true\n  unknownField: 1\n"),
        lambda text: text.replace("metadata:\n", "metadata:\n  creationTimestamp: null\n"),
    ],
    ids=["comments", "quotes", "indentation", "documents", "a default", "an unknown field", "creationTimestamp"],
)
def test_an_edit_that_means_nothing_keeps_the_pod(edit: Callable[[str], str]) -> None:
    assert edit(PLAIN) != PLAIN
    assert uid(edit(PLAIN)) == uid(PLAIN)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("  annotations:\n", "  annotations:\n    auditctl/policy-sha256: abc\n"),
        lambda text: text.replace("tier: control-plane", "tier: other"),
        lambda text: text.replace("    - --secure-port=6443\n", "    - --v=2\n    - --secure-port=6443\n"),
        lambda text: re.sub("(    - --tls-cert.*\n)(    - --tls-private.*\n)", r"\2\1", text),
    ],
    ids=["an annotation", "a label", "a flag", "the order of flags"],
)
def test_an_edit_that_means_something_makes_another_pod(edit: Callable[[str], str]) -> None:
    assert edit(PLAIN) != PLAIN
    assert uid(edit(PLAIN)) != uid(PLAIN)


def test_the_same_text_under_another_name_is_another_pod() -> None:
    assert uid(PLAIN, "kube-apiserver.yaml.bak") != uid(PLAIN)


def test_a_touched_or_rewritten_file_keeps_its_pod(directory: Directory) -> None:
    before = directory.uid
    directory.put("kube-apiserver.yaml", PLAIN)
    (directory.path / "kube-apiserver.yaml").chmod(0o640)
    directory.source.watch()
    assert directory.uid == before


def test_an_old_backup_beside_the_manifest_wins_whatever_its_suffix(directory: Directory) -> None:
    directory.put("kube-apiserver.yaml.bak", PLAIN)
    directory.put("kube-apiserver.yaml", AUDITED)
    directory.source.list()
    assert directory.uid == uid(PLAIN, "kube-apiserver.yaml.bak")
    assert "--audit-policy-file" not in " ".join(directory.source.desired[KEY].command)


def test_after_an_event_its_file_wins_until_the_next_listing(directory: Directory) -> None:
    directory.put("kube-apiserver.yaml.bak", PLAIN)
    directory.source.list()
    directory.put("kube-apiserver.yaml", AUDITED)
    directory.source.watch()
    assert directory.uid == uid(AUDITED)
    directory.source.list()
    assert directory.uid == uid(PLAIN, "kube-apiserver.yaml.bak")


def test_deleting_such_a_backup_takes_the_pod_away_until_the_next_listing(directory: Directory) -> None:
    directory.put("kube-apiserver.yaml.bak", PLAIN)
    directory.source.watch()
    (directory.path / "kube-apiserver.yaml.bak").unlink()
    directory.source.watch()
    assert directory.uid is None
    directory.source.list()
    assert directory.uid == uid(PLAIN)


def test_dot_names_and_directories_are_not_read(directory: Directory) -> None:
    before = directory.uid
    directory.put(".kube-apiserver.yaml.auditctl", AUDITED)
    (directory.path / "zz").mkdir()
    directory.source.watch()
    directory.source.list()
    assert (directory.uid, directory.said) == (before, [])


def test_a_rename_over_the_manifest_is_one_new_pod(directory: Directory) -> None:
    directory.put(".draft", AUDITED)
    (directory.path / ".draft").rename(directory.path / "kube-apiserver.yaml")
    directory.source.watch()
    assert directory.uid == uid(AUDITED)


def test_a_half_written_manifest_that_parses_is_taken(directory: Directory) -> None:
    """Trap 5: the text is cut between two mounts; the Pod loses what came after."""
    cut = AUDITED[: AUDITED.index("    volumeMounts:")]
    directory.put("kube-apiserver.yaml", cut)
    directory.source.watch()
    assert directory.uid == uid(cut)
    assert directory.source.desired[KEY].mounts == ()


def test_an_invalid_manifest_leaves_the_pod_until_the_listing_takes_it(directory: Directory) -> None:
    before = directory.uid
    directory.put("kube-apiserver.yaml", PLAIN[:1000] + "\n   x")
    directory.source.watch()
    assert directory.uid == before
    directory.source.list()
    assert directory.uid is None


def test_a_missing_directory_removes_every_pod(directory: Directory) -> None:
    (directory.path / "kube-apiserver.yaml").rename(directory.path.parent / "away")
    directory.path.rmdir()
    directory.source.list()
    assert directory.source.desired == {}


MOUNT = "    - mountPath: /etc/kubernetes/audit/policy.yaml\n      name: audit-policy\n      readOnly: true\n"
VOLUME = AUDITED[
    AUDITED.index("  - hostPath:\n      path: /etc/kubernetes/audit") : AUDITED.index("  - hostPath:\n      path: /var")
]
LOG_MOUNT = "    - mountPath: /var/log/kubernetes/audit\n      name: audit-log\n"


def mount_without_volume() -> str:
    mounts = AUDITED.replace(MOUNT, "").replace(
        "    - mountPath: /etc/kubernetes/pki", f"{MOUNT}    - mountPath: /etc/kubernetes/pki"
    )
    return mounts.replace(VOLUME, "")


def mount_path_twice() -> str:
    return AUDITED.replace(LOG_MOUNT, "").replace("    volumeMounts:\n", f"    volumeMounts:\n{LOG_MOUNT}{LOG_MOUNT}")


def volume_name_twice() -> str:
    first = "    name: ca-certs\n  - hostPath"
    return AUDITED.replace(VOLUME, "").replace(first, first.replace("  - hostPath", f"{VOLUME}{VOLUME}  - hostPath"))


@pytest.mark.parametrize("fault", [mount_without_volume, mount_path_twice, volume_name_twice])
def test_an_invalid_pod_is_refused_in_the_real_kubelets_words(directory: Directory, fault: Callable[[], str]) -> None:
    name = fault.__name__.replace("_", "-")
    row = next(row for row in golden("crashes/kubelet.jsonl") if row["fault"] == name)
    directory.put("kube-apiserver.yaml", fault())
    directory.source.watch()
    directory.source.list()
    assert [words(line) for line in directory.said] == [words(line) for line in row["kubelet"]]


def test_yaml_that_does_not_parse_is_refused_in_the_real_kubelets_words(directory: Directory) -> None:
    row = next(row for row in golden("crashes/kubelet.jsonl") if row["fault"] == "manifest-broken-yaml")
    lines = PLAIN.splitlines(keepends=True)
    lines[41] = " " + lines[41].lstrip()  # the image, line 42, stands too far left
    directory.put("kube-apiserver.yaml", "".join(lines))
    directory.source.watch()
    directory.source.list()
    assert [words(line) for line in directory.said] == [words(line) for line in row["kubelet"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Object 'Kind' is missing in 'null'"),
        ("a: b", "Object 'Kind' is missing in '{\"a\":\"b\"}'"),
        (
            PLAIN.replace("--secure-port=6443", "1"),
            "json: cannot unmarshal number into Go struct field Container.spec.",
        ),
        (
            PLAIN.replace("tier: control-plane", "tier: 1"),
            "cannot unmarshal number into Go struct field ObjectMeta.metadata.lab",
        ),
        (
            PLAIN.replace("  containers:\n  - command", "  containers:\n    command"),
            "into Go struct field PodSpec.spec.containers",
        ),
        (PLAIN.replace("kind: Pod", "kind: PodList"), 'no kind "PodList" is registered for version "v1"'),
        (PLAIN.replace("type: DirectoryOrCreate", "type: Folder", 1), 'hostPath.type: Unsupported value: "Folder"'),
        (PLAIN.replace("path: /etc/ssl/certs", "path: /etc/../x", 1), "must not contain '..'"),
    ],
)
def test_what_is_no_pod_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidPodError, match=re.escape(reason)):
        decode(text.encode(), "/m/x")


def words(line: str) -> str:
    """A klog line without time and pid."""
    return re.sub(r"^([EWI])\d{4} [\d:.]+ +\d+ ", r"\1 ", line)


SEEN = [json.loads(line) for line in (Path(__file__).parent / "kubelet-1.36.3.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", SEEN, ids=lambda row: str(row["name"]))
def test_a_manifest_is_taken_or_refused_as_a_real_kubelet_did(row: dict[str, Any]) -> None:
    """Each row was given to a kubelet 1.36.3; ``refusal`` is what its listing said, None where it took the Pod."""
    try:
        decode(row["text"].encode(), row["file"])
        refusal = None
    except InvalidPodError as error:
        refusal = error.message
    assert refusal == row["refusal"]
