"""The stand-in refuses to start in the real server's words: every row of golden/crashes/apiserver.jsonl."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from labroom import golden

from auditctl.lab.apiserver import main as apiserver_main
from auditctl.lab.node import container
from auditctl.lab.node import files as node_files
from auditctl.lab.node.layout import Layout, Marker, Timing
from auditctl.lab.node.volumes import Bind

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
FILES = {
    "ok.yaml": HEAD + "rules:\n- level: Metadata\n",
    "empty.yaml": "",
    "norules.yaml": HEAD + "rules: []\n",
    "lvl.yaml": HEAD + "rules:\n- level: Metada\n",
    "nolvl.yaml": HEAD + "rules:\n- users: [alice]\n",
    "stage.yaml": HEAD + "omitStages: [RequestResponse]\nrules:\n- level: Metadata\n",
    "seed.yaml": HEAD + "omitStages:\n- level: Metadata\nrules:\n- level: Metadata\n",
    "grp.yaml": HEAD + "rules:\n- level: Metadata\n  resources:\n  - group: apps/v1\n",
    "star.yaml": HEAD + "rules:\n- level: Metadata\n  resources:\n  - group: '*'\n",
    "old.yaml": "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules:\n- level: Metadata\n",
    "noapi.yaml": "kind: Policy\nrules:\n- level: Metadata\n",
    "ind.yaml": HEAD + "rules:\n- level: Metadata\n verbs: [get]\n",
    "tpl.yaml": HEAD + "rules:\n- level: {{level}}\n",
    "both.yaml": HEAD + "rules:\n- level: Metadata\n  resources:\n  - group: ''\n  nonResourceURLs: ['/api*']\n",
    "unk.yaml": HEAD + "rules:\n- level: Metadata\n  resource: []\n",
    "wh0.yaml": "",
    "wh2.yaml": "clusters: [{name: c}]\ncontexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n",
    "wh4.yaml": "kind: Config\nclusters: [,\n",
}
PLAIN = (
    "--tls-cert-file=/pki/apiserver.crt",
    "--tls-private-key-file=/pki/apiserver.key",
    "--client-ca-file=/pki/ca.crt",
)
VERSIONS = {"1.36": "1.36.2", "1.31": "1.31.14"}
ROWS = [pytest.param(row, id=f"{row['kubernetes']}-{row['fault']}") for row in golden("crashes/apiserver.jsonl")]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's tree without processes, and one text for every fault."""
    root = tmp_path_factory.mktemp("crashes")
    node_files.build(Layout(root), Marker("1.36.2", 6443, made_directory=False, pace=Timing()))
    folder = root / "etc/kubernetes/audit"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return root


def start(room: Path, monkeypatch: pytest.MonkeyPatch, version: str, flags: list[str]) -> int:
    """Run the stand-in in this process, up to the point where it would serve."""
    binds = [
        Bind("/etc/kubernetes/audit", str(room / "etc/kubernetes/audit"), read_only=False),
        Bind("/pki", str(room / "etc/kubernetes/pki"), read_only=True),
    ]
    monkeypatch.setenv(container.MOUNTS, json.dumps([asdict(bind) for bind in binds]))
    monkeypatch.setenv(container.FILE_SYSTEM, str(room / "container"))
    monkeypatch.setenv(container.FOLDER, str(room))
    monkeypatch.setenv(container.VERSION, VERSIONS[version])
    monkeypatch.setenv(container.PACE, json.dumps(asdict(Timing())))
    monkeypatch.setattr(apiserver_main, "_serve", _serving)
    return apiserver_main.main([*PLAIN, "--secure-port=0", *flags])


class Serving(Exception):  # noqa: N818 - no error: it came so far
    pass


def _serving(*_arguments: object) -> None:
    raise Serving


def words(line: str) -> str:
    """A klog line without time and pid."""
    return re.sub(r"^([EWI])\d{4} [\d:.]+ +\d+ ", r"\1 ", line)


@pytest.mark.parametrize("row", ROWS)
def test_a_fault_ends_in_the_real_servers_last_words(
    row: dict[str, Any], room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: int | None = start(room, monkeypatch, row["kubernetes"], row["flags"])
    except Serving:
        code = None
    said = [words(line) for line in capsys.readouterr().err.splitlines() if "auditctl-lab" not in line]
    assert (said, code) == ([words(line) for line in row["log"]], row["exitCode"])


@pytest.mark.parametrize(
    ("flags", "last"),
    [
        (["--audit-log-compress", "false"], 'Error: "kube-apiserver" does not take any arguments, got ["false"]'),
        (["--audit-policy-file"], "Error: flag needs an argument: --audit-policy-file"),
        (["--audit_log_maxage=x"], "parsing"),
        (["--audit-log-batch-throttle-qps=x"], 'strconv.ParseFloat: parsing "x": invalid syntax'),
        (["--audit-log-truncate-enabled=yes"], 'strconv.ParseBool: parsing "yes": invalid syntax'),
        (["--audit-webhook-version=a/b/c"], 'err="unexpected GroupVersion string: a/b/c"'),
        (
            ["--audit-log-path=/x", "--audit-log-maxage=-1", "--audit-log-mode=async"],
            r'''batch,blocking,blocking-strict\", --audit-log-maxage -1 can't be a negative number]"''',
        ),
        (
            ["--audit-log-path=/etc/kubernetes/audit/ok.yaml/audit.log"],
            "mkdir /etc/kubernetes/audit/ok.yaml: not a dir",
        ),
        (["--audit-log-path=/pki/audit.log"], "ensureLogFile: open /pki/audit.log: read-only file system"),
        (["--audit-log-path=/pki/logs/audit.log"], "ensureLogFile: mkdir /pki/logs: read-only file system"),
        (["--secure-port=https"], 'invalid argument "https" for "--secure-port" flag: strconv.ParseInt'),
        (
            ["--service-account-signing-key-file=/etc/sa.key"],
            "service-account-issuer-key-file: open /etc/sa.key: no such",
        ),
    ],
)
def test_faults_of_the_reference_end_in_their_words(
    flags: list[str], last: str, room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(room, monkeypatch, "1.36", flags) == 1
    assert last in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "flags",
    [
        ["--audit-log-mode=bogus"],  # looked at only with a path
        ["--audit_policy_file=/etc/kubernetes/audit/ok.yaml"],
        ["--audit-log-path", "/etc/kubernetes/audit/log/two-words.log"],
        ["--audit-log-maxage=0x1e", "--audit-log-maxage=5", "--profiling", "--v=4"],
    ],
)
def test_what_the_real_server_takes_is_taken(flags: list[str], room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Serving):
        start(room, monkeypatch, "1.36", flags)
