"""The report's `manifest.plan`: what a program that asked for a dry run wants to know, without a secret in it."""

from __future__ import annotations

from pathlib import Path

from foldernode import OTHER_POLICY, POLICY

from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
DRY = ChangeOptions(dry_run=True)
HOOK = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: u, user: {token: Tk3-m4nt1s-shr1mp}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def test_a_dry_run_says_whether_it_would_change_anything_and_shows_the_policy(
    folder_node: ControlPlane, policy_file: Path
) -> None:
    would = enable(folder_node, EnableRequest(Settings(), str(policy_file)), DRY).to_dict()["manifest"]["plan"]
    (row,) = would["files"]
    assert (would["changes"], would["restart"]) == (True, "ReplacePod")
    assert (row["path"], row["role"], row["change"]) == ("/etc/kubernetes/audit/policy.yaml", "policy", "install")
    assert row["diff"].startswith("--- /dev/null\n+++ b/etc/kubernetes/audit/policy.yaml\n")
    assert "".join(f"+{line}" for line in POLICY.splitlines(keepends=True)) in row["diff"]

    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    again = enable(folder_node, EnableRequest(Settings(), str(policy_file)), DRY).to_dict()["manifest"]["plan"]
    assert again == {"changes": False, "restart": None, "files": []}


def test_what_was_done_is_said_like_what_would_be_done(folder_node: ControlPlane, policy_file: Path) -> None:
    for how in (DRY, NO_WAIT):
        policy_file.write_text(POLICY)
        enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
        policy_file.write_text(OTHER_POLICY)
        (row,) = enable(folder_node, EnableRequest(Settings(), str(policy_file)), how).to_dict()["manifest"]["plan"][
            "files"
        ]
        assert row["change"] == "replace"
        assert "+++ b/etc/kubernetes/audit/policy.yaml\n@@" in row["diff"]


def test_a_policy_that_goes_is_shown_and_a_webhook_never(folder_node: ControlPlane, tmp_path: Path) -> None:
    hook = tmp_path / "hook.yaml"
    hook.write_text(HOOK)
    report = enable(folder_node, EnableRequest(Settings(webhook=True), "baseline", hook), NO_WAIT)
    rows = {row["role"]: row for row in report.to_dict()["manifest"]["plan"]["files"]}
    assert (rows["webhook"]["change"], rows["webhook"]["diff"]) == ("install", None)
    assert "m4nt1s" not in report.to_json()

    report = disable(folder_node, Purge(files=True), DRY)
    rows = {row["role"]: row for row in report.to_dict()["manifest"]["plan"]["files"]}
    assert {row["change"] for row in rows.values()} == {"remove"}
    assert rows["policy"]["diff"].splitlines()[1] == "+++ /dev/null"
    assert "m4nt1s" not in report.to_json()
