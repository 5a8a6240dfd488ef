"""Our words about a webhook's kubeconfig, held against a real kube-apiserver (a rehearsal a row; no node is needed)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from auditctl.node.apiserver.trial_start import TrialStartInput, TrialStartVerdict, rehearse

BINARIES = Path(os.environ.get("AUDITCTL_NODE_BIN") or os.environ.get("KUBEBUILDER_ASSETS") or "/nowhere")
SERVER = BINARIES / "kube-apiserver"
PATH = "/etc/kubernetes/audit/webhook.yaml"
POLICY = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/webhook/rows.jsonl").read_text().splitlines()]

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not SERVER.exists(), reason="AUDITCTL_NODE_BIN names no folder with kube-apiserver"),
]


@pytest.fixture(scope="module")
def account_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("keys") / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    return key


@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_the_real_server_says_the_same(row: dict[str, Any], account_key: Path) -> None:
    words = (
        f"--service-account-signing-key-file={account_key}",
        f"--service-account-key-file={account_key}",
        "--service-account-issuer=https://issuer.example",
        "--service-cluster-ip-range=10.0.0.0/24",
    )
    seen = rehearse(TrialStartInput(SERVER, words, POLICY, row["text"].encode(), webhook_name=PATH))
    if row["words"] is None:
        assert seen.verdict is TrialStartVerdict.ACCEPTED
    else:
        assert (seen.verdict, seen.words) == (TrialStartVerdict.REFUSED, row["words"])
