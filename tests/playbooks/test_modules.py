"""The modules alone, run as Ansible runs them on a node: options to words, a report to results, nothing secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from controlplanes import COLLECTION, COLLECTIONS, QUICK, interpreter
from foldernode import OTHER_POLICY, PLAIN, POLICY

from auditctl.lab import down, up
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import listener

MODULES = COLLECTION / "plugins/modules"
ROLE = COLLECTION / "roles/apiserver_audit"
SECRET = "Tk7-m4nt1s-shr1mp"
HOOK = f"""\
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:9"}}}}]
users: [{{name: u, user: {{token: {SECRET}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""
NOT_OPTIONS = {"dry-run", "yes", "help"}  # check mode; purge_logs means yes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node that is just files."""
    manifest = tmp_path / "root/etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(PLAIN.read_text())
    manifest.chmod(0o600)
    return tmp_path / "root"


def run(module: str, *, under: str = sys.executable, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run a module with these arguments; what it returned, and under ``text`` all that it printed."""
    asked = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp", **arguments}
    ran = subprocess.run(
        [under, MODULES / f"{module}.py"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": asked}),
        cwd="/",  # not here, where every Python finds a folder auditctl
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(COLLECTIONS), *_ansible(under)])},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert "Traceback" not in ran.stdout, ran.stdout
    return {**json.loads(ran.stdout), "text": ran.stdout + ran.stderr}


def _ansible(python: str) -> list[str]:
    """Another Python is shown Ansible, as the module's own archive does on a node."""
    import ansible

    return [] if python == sys.executable else [str(Path(ansible.__file__).parents[1])]


def options(command: str) -> set[str]:
    """The long options that a command's help lists, underscored."""
    text = subprocess.run(
        [sys.executable, "-m", "auditctl", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    return {name.replace("-", "_") for name in set(re.findall(r"(?m)^ +(?:-\w, )?--([a-z-]+)", text)) - NOT_OPTIONS}


def documented(path: Path) -> dict[str, Any]:
    text = path.read_text()
    found = re.search(r'DOCUMENTATION = r"""(.*?)"""', text, re.DOTALL)
    assert found is not None
    read: dict[str, Any] = yaml.safe_load(found[1])["options"]
    return read


def test_every_option_of_the_changing_commands_is_one_of_the_module_and_a_variable_of_the_role() -> None:
    ours = set(documented(MODULES / "apiserver_audit.py"))
    theirs = {name.removeprefix("no_") if name in ("no_log", "no_webhook") else name for name in _of_all_commands()}
    assert theirs <= ours
    assert ours - theirs == {"state", "policy_content", "policy_name", "webhook_config_content"}

    node = set(documented(COLLECTION / "plugins/doc_fragments/node.py"))
    specs = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert {f"apiserver_audit_{name}" for name in (ours | node) - {"policy_name"}} <= set(specs["main"]["options"])
    tasks = "".join(path.read_text() for path in (ROLE / "tasks").iterdir())
    assert not [name for name in ours | node if not re.search(rf"(?m)^ +{name}: ", tasks)]
    used = tasks + (ROLE / "vars/main.yml").read_text() + (COLLECTION / "playbooks/fleet_audit.yml").read_text()
    assert not [name for name in specs["main"]["options"] if name not in used]


def _of_all_commands() -> set[str]:
    return options("enable") | options("disable") | options("restart")


def test_options_become_flags_and_content_becomes_files(root: Path) -> None:
    asked: dict[str, Any] = {
        "policy_content": POLICY,
        "policy_path": "/etc/kubernetes/own/policy.yaml",
        "log_path": "/var/log/own/audit.log",
        "log_maxage": 3,
        "log_maxbackup": 4,
        "log_maxsize": 5,
        "webhook_config_content": HOOK,
        "set": {"audit-log-compress": True, "audit-webhook-batch-max-size": 7},
        "allow": ["webhook-reachable", "no-receipt"],
        "drain": "0",
        "timeout": "1m",
        "no_wait": True,
        "rootfs": str(root),
    }
    on = run("apiserver_audit", **asked)
    assert (on.get("failed"), on["changed"], on["outcome"]) == (None, True, "Changed"), on["msg"]
    assert on["flags"] == {
        "audit-log-compress": "true",
        "audit-log-maxage": "3",
        "audit-log-maxbackup": "4",
        "audit-log-maxsize": "5",
        "audit-log-path": "/var/log/own/audit.log",
        "audit-policy-file": "/etc/kubernetes/own/policy.yaml",
        "audit-webhook-batch-max-size": "7",
        "audit-webhook-config-file": "/etc/kubernetes/audit/webhook.yaml",
    }
    assert (root / "etc/kubernetes/own/policy.yaml").read_text() == POLICY
    assert (root / "etc/kubernetes/audit/webhook.yaml").read_text() == HOOK
    assert on["backup_file"].endswith("manifest.before")
    assert on["change_id"] in on["backup_file"]
    assert Path(on["backup_file"]).read_text() == PLAIN.read_text()
    assert run("apiserver_audit", **asked)["changed"] is False

    less = {"webhook": False, "unset": ["audit-log-compress"], "rootfs": str(root), "no_wait": True}
    less = run("apiserver_audit", **less)
    assert "audit-webhook-config-file" not in less["flags"]
    assert "audit-log-compress" not in less["flags"]
    off = run("apiserver_audit", state="absent", purge=True, no_wait=True, rootfs=str(root))
    assert (off["changed"], off["flags"]) == (True, {})
    assert (root / "etc/kubernetes/manifests/kube-apiserver.yaml").read_text() == PLAIN.read_text()
    assert SECRET not in on["text"] + off["text"]


def test_check_mode_gives_the_diffs_of_manifest_and_policy_and_never_the_webhooks(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    seen = run("apiserver_audit", check=True, policy_content=POLICY, webhook_config_content=HOOK, rootfs=str(root))
    assert seen["changed"] is True
    manifest, policy = (diff["prepared"] for diff in seen["diff"])
    assert "+    - --audit-webhook-config-file=/etc/kubernetes/audit/webhook.yaml\n" in manifest
    assert policy.endswith("".join(f"+{line}" for line in POLICY.splitlines(keepends=True)))
    assert SECRET not in seen["text"]
    assert seen["msg"].endswith("Run it without check mode to apply")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before

    run("apiserver_audit", policy_content=POLICY, no_wait=True, rootfs=str(root))
    again = run("apiserver_audit", check=True, policy_content=POLICY, rootfs=str(root))
    assert (again["changed"], again["diff"]) == (False, [])
    other = run("apiserver_audit", check=True, policy_content=OTHER_POLICY, rootfs=str(root))
    manifest, policy = (diff["prepared"] for diff in other["diff"])
    assert (other["changed"], "+    auditctl/policy-sha256: " in manifest) == (True, True)
    assert "-- level: Metadata\n+- level: RequestResponse\n" in policy


@pytest.mark.parametrize(
    ("arguments", "code", "reason", "words"),
    [
        ({"policy": "no-such"}, 3, "policy-missing", "no-such: neither a file nor a shipped policy"),
        ({"policy_content": "kind: Policy\nrules: []\n"}, 3, None, "policy_content"),
        (
            {"policy_content": POLICY.replace("Metadata", "Metadat"), "policy_name": "/home/me/audit.yaml"},
            3,
            None,
            "/home/me/audit.yaml:4:10: kube-apiserver",
        ),
        ({"allow": ["everything"]}, 2, "usage", "--allow everything: not one of"),
        ({"timeout": "5 minutes"}, 2, "usage", "--timeout"),
        ({"state": "absent", "log_maxage": 7}, 2, "usage", "log_maxage goes with state=present, not with state=absent"),
        ({"state": "restarted", "persist": True}, 2, "usage", "persist goes with state=present or absent"),
        ({"state": "restarted"}, 3, "auditing-off", "there is no policy to load"),
        ({"manifest": "/etc/kubernetes/manifests/none.yaml"}, 3, None, "none.yaml"),
        ({"webhook_config_content": HOOK, "no_wait": True, "persist": True}, 2, "usage", "exclude each other"),
    ],
)
@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_what_cannot_work_is_one_sentence_and_a_word_for_programs(
    root: Path, arguments: dict[str, Any], code: int, reason: str | None, words: str, check: bool
) -> None:
    """The same in check mode; nothing was changed."""
    ran = run("apiserver_audit", check=check, rootfs=str(root), **arguments)
    assert (ran["failed"], ran["exit_code"], ran["rolled_back"]) == (True, code, False)
    assert reason in (None, ran["reason"])
    assert words in ran["msg"]
    assert "policy_content.yaml" not in ran["text"]  # its file is ours, and gone
    assert "\n" not in ran["msg"]
    assert SECRET not in ran["text"]
    assert (root / "etc/kubernetes/manifests/kube-apiserver.yaml").read_text() == PLAIN.read_text()


def test_a_node_without_auditctl_is_told_how_to_get_it(root: Path) -> None:
    if interpreter() == sys.executable:
        pytest.skip("every Python here has auditctl")
    environment = {"executable": "/nowhere/kube-auditctl"}
    for arguments in (environment, {"python": interpreter()}):
        ran = run("apiserver_audit_info", under=interpreter(), rootfs=str(root), **arguments)
        assert (ran["failed"], ran["reason"]) == (True, "auditctl-missing")
        assert "Failed to import the required Python library (auditctl)" in ran["msg"]
        assert "apiserver_audit_package" in ran["msg"]


@pytest.mark.lab
def test_the_info_modules_tell_and_change_nothing(tmp_path: Path) -> None:
    """On, off, down: an answer each time, never a failure of the task."""
    lab = up(tmp_path / "node", pace=QUICK)
    try:
        root = str(lab.root)
        assert run("apiserver_ready_info", rootfs=root)["ready"] is True
        off = run("apiserver_audit_info", rootfs=root)
        assert (off["enabled"], off["holds"], off["reason"], off["changed"]) == (False, False, "enabled", False)
        assert run("apiserver_audit", rootfs=root, set={"anonymous-auth": "false"}).get("failed")
        assert run("apiserver_audit", rootfs=root, log_maxage=7)["receipt"]
        on = run("apiserver_audit_info", rootfs=root, flags={"audit-log-maxage": 7}, expect=["get pods -> Metadata"])
        assert (on["enabled"], on["holds"], on["reason"]) == (True, True, None), on["msg"]
        assert on["flags"]["audit-log-maxage"] == "7"
        assert on["receipt"]["level"] == "Metadata"
        quiet = run("apiserver_audit_info", rootfs=root, verify=False)
        assert (quiet["enabled"], quiet["holds"], quiet["verification"]) == (True, None, None)
        _without_anonymous_requests(Path(root))
        assert run("apiserver_ready_info", rootfs=root, timeout=20)["ready"] is True
    finally:
        down(tmp_path / "node")
    gone = run("apiserver_ready_info", rootfs=str(tmp_path / "node"))
    assert (gone["ready"], gone.get("failed")) == (False, None)
    assert "cannot be read" in gone["detail"]


def _without_anonymous_requests(root: Path) -> None:
    """As a hardened cluster has it: the question goes as the node's admin then."""
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    text = manifest.read_text().replace(
        "    - --allow-privileged=true\n", "    - --allow-privileged=true\n    - --anonymous-auth=false\n"
    )
    aside = root / "kube-apiserver.yaml"
    aside.write_text(text)
    aside.replace(manifest)
    port = Manifest.of(Document.parse(text.encode(), "m")).secure_port
    end = time.monotonic() + 30
    while (process := listener(port)) is None or "--anonymous-auth=false" not in process.flags:
        assert time.monotonic() < end


def test_where_a_server_is_asked_is_what_auditctl_itself_makes_of_the_manifest() -> None:
    """Two readers of one rule, on every manifest of kubeadm's: the module's few lines need no auditctl on the node."""
    texts = [path.read_text() for path in sorted(PLAIN.parents[1].glob("*/*.yaml"))]
    texts = [text for text in texts if "kind: Pod" in text]
    texts += ["".join(line for line in text.splitlines(True) if "host:" not in line) for text in texts[:3]]
    code = (
        "import json, sys; from ansible_collections.auditctl.kubeadm.plugins.modules.apiserver_ready_info import _place; "
        "print(json.dumps([_place(text) for text in json.load(sys.stdin)]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(texts),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    places = [tuple(place) for place in json.loads(ran.stdout)]
    assert len(places) > 20
    assert places == [_place(Manifest.of(Document.parse(text.encode(), "m"))) for text in texts]


def _place(manifest: Manifest) -> tuple[str, int]:
    """As `auditctl.node.apiserver.client.endpoint`, which takes addresses of this machine only."""
    candidates = (manifest.liveness_host, manifest.flag("bind-address"), manifest.flag("advertise-address"))
    address = next((one for one in candidates if one and one not in ("0.0.0.0", "::")), "127.0.0.1")
    return address, manifest.secure_port
