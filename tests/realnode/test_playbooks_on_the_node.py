"""The rolling playbook over a real control plane: check mode, on with receipt and kubeadm-config, again, proof, off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
CALLBACKS = Path(__file__).parents[1] / "playbooks/callbacks"
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = Path("/etc/kubernetes/audit/policy.yaml")
CLIENT = Path("/etc/kubernetes/super-admin.conf")  # the node script makes no binding for the group of admin.conf
INVENTORY = f"""\
[control_plane]
controlplane ansible_connection=local ansible_become=false ansible_python_interpreter={sys.executable}
[control_plane:vars]
apiserver_audit_kubeconfig={CLIENT}
"""


@pytest.fixture
def folder(tmp_path: Path, binaries: Path) -> Path:
    """An inventory of one, and kubeadm's record in the cluster."""
    (tmp_path / "inventory.ini").write_text(INVENTORY)
    settings = Path("/var/lib/realnode/kubeadm.yaml")
    words = ("init", "phase", "upload-config", "kubeadm", "--config", settings, "--kubeconfig", CLIENT)
    subprocess.run([binaries / "kubeadm", *words], check=True, capture_output=True, timeout=120)
    return tmp_path


def play(folder: Path, name: str, *words: str, **options: Any) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, what the module returned each time, the text."""
    noted = folder / "noted.jsonl"
    noted.write_text("")
    environment = {
        **os.environ,
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "noted",
        "AUDITCTL_NOTED": str(noted),
        "LC_ALL": "C.UTF-8",
    }
    named = json.dumps({f"apiserver_audit_{option}": value for option, value in options.items()})
    command = [
        Path(sysconfig.get_path("scripts")) / "ansible-playbook",
        "-i",
        folder / "inventory.ini",
        PLAYBOOKS / name,
        *words,
        "--extra-vars",
        named,
    ]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800)
    rows = [json.loads(line)["result"] for line in noted.read_text().splitlines()]
    changes = [row for row in rows if "exit_code" in row]
    print(name, words, ran.returncode, [(row["msg"], row["report"]["timings"]) for row in changes])
    return ran.returncode, changes, ran.stdout + ran.stderr


def record() -> str:
    """kubeadm's record as the cluster has it."""
    from auditctl.kubeadm import configmap
    from auditctl.kubeadm.configmap import Access
    from auditctl.node.apiserver import credentials
    from auditctl.node.apiserver.credentials import in_memory

    found = credentials.read(CLIENT)
    with in_memory(found.certificate) as certificate, in_memory(found.key) as key:
        return configmap.read(
            Access("https://127.0.0.1:6443", found.authority.decode(), certificate, key, found.token)
        ).text


def serving() -> dict[str, Any]:
    """The API server's process, as `status` shows it."""
    ran = subprocess.run([sys.executable, "-m", "auditctl", "status", "-o", "json"], capture_output=True, text=True)
    process: dict[str, Any] = json.loads(ran.stdout)["status"]["process"]
    return process


def test_the_playbooks_over_a_real_control_plane(folder: Path) -> None:
    before, recorded, pid = MANIFEST.read_bytes(), record(), serving()["pid"]

    code, (would, told), text = play(folder, "enable-audit.yml", "--check", "--diff", log_maxage=7)
    assert (code, would["changed"], told["changed"]) == (0, True, True), text
    assert text.count("+    - --audit-log-maxage=7") >= 1
    assert "kubeadm-config/ClusterConfiguration" in text
    assert (MANIFEST.read_bytes(), record(), serving()["pid"]) == (before, recorded, pid)

    code, (on, told), text = play(folder, "enable-audit.yml", log_maxage=7)
    assert (code, on["outcome"], on["receipt"]["level"]) == (0, "Changed", "Metadata"), text
    assert told["report"]["kubeadmConfig"]["written"] is True
    assert "audit-log-maxage" in record()
    pid = serving()["pid"]

    code, (again, told), text = play(folder, "enable-audit.yml", log_maxage=7)
    assert (code, again["changed"], told["changed"], serving()["pid"]) == (0, False, False, pid), text
    assert play(folder, "verify-audit.yml", expect=["get secrets in prod -> Metadata"])[0] == 0

    code, (refused,), text = play(folder, "enable-audit.yml", policy_content="kind: Policy\nrules: []\n")
    assert (code, refused["exit_code"], serving()["pid"]) == (2, 3, pid), text

    # as the single file runs there: without the package kubernetes
    single = folder / "kube-auditctl"
    single.write_text(
        f"#!{sys.executable}\nimport sys\nsys.modules['kubernetes'] = None\nfrom auditctl.__main__ import main\nmain()\n"
    )
    single.chmod(0o755)
    code, (off, told), text = play(folder, "disable-audit.yml", purge=True, executable=str(single))
    assert (code, off["outcome"], told["changed"]) == (0, "Changed", True), text
    assert (MANIFEST.read_bytes(), POLICY.exists(), "audit" in record()) == (before, False, False)
