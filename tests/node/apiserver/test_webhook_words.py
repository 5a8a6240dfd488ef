"""Our words about a webhook's kubeconfig, held against a real kube-apiserver (a rehearsal a row; no node is needed)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from auditctl.node.apiserver import trial_binary
from auditctl.node.apiserver.trial_binary import opened
from auditctl.node.apiserver.trial_start import TrialStartInput, TrialStartVerdict, rehearse

BINARIES = Path(os.environ.get("AUDITCTL_NODE_BIN") or os.environ.get("KUBEBUILDER_ASSETS") or "/nowhere")
SERVER = BINARIES / "kube-apiserver"
PATH = "/etc/kubernetes/audit/webhook.yaml"
POLICY = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "golden/webhook/rows.jsonl").read_text().splitlines()]

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not SERVER.exists(), reason="AUDITCTL_NODE_BIN names no folder with kube-apiserver"),
]


KEY = "/throw-away.key"


@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_the_real_server_says_the_same(row: dict[str, Any]) -> None:
    words = (
        f"--service-account-signing-key-file={KEY}",
        f"--service-account-key-file={KEY}",
        "--service-account-issuer=https://issuer.example",
        "--service-cluster-ip-range=10.0.0.0/24",
    )
    with opened(SERVER) as binary:
        contents = {KEY: trial_binary.throw_away_key()}
        seen = rehearse(
            TrialStartInput(
                binary=binary,
                words=words,
                policy=POLICY,
                webhook=row["text"].encode(),
                webhook_name=PATH,
                contents=contents,
            )
        )
    if row["words"] is None:
        assert seen.verdict is TrialStartVerdict.ACCEPTED
    else:
        assert (seen.verdict, seen.words) == (TrialStartVerdict.REFUSED, row["words"])
