"""A learner at a scenario: runs the commands of its pages as they stand there, on a lab or on a real node, and clicks Check.

On a lab the node is a folder: a path that a command names is led into it, one that stands in a flag or a manifest is not.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from auditctl.findings import Status
from auditctl.lab.grading import requirements
from auditctl.lab.grading.grade import grade
from auditctl.node.apiserver.process import listener
from auditctl.operations.controlplane import ControlPlane

SCENARIO = "audit-logging"
_BLOCK = re.compile(r"```bash\n(.*?)```\{\{exec\}\}", re.DOTALL)
_WAY = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
_PLACES = re.compile(r"(?<![=:/\w])(?<!: )(/etc/kubernetes|/var/log|/root|/opt/auditctl-lab)(?=/)")
_KUBECTL = """\
#!/bin/bash
# kubectl get --raw PATH, kubectl delete --raw PATH, and nothing else
case $1 in get) method=GET ;; delete) method=DELETE ;; *) echo "not this kubectl: $*" >&2; exit 1 ;; esac
[ "$2" = --raw ] || exit 1
exec curl -s --fail-with-body -X $method --cacert "{pki}/ca.crt" --cert "{keys}/crt" --key "{keys}/key" \\
  --resolve "kubernetes:{port}:{address}" "https://kubernetes:{port}$3"
"""


class Ran(NamedTuple):
    """What a script gave."""

    code: int
    text: str


def ways(page: Path) -> dict[str, list[str]]:
    """The commands of a step, by way: ``By hand``, ``With auditctl``."""
    return {title: _BLOCK.findall(body) for title, body in _WAY.findall(page.read_text())}


class Learner:
    """``root`` is the node's root, ``tools`` a folder for the programs that the learner finds there.

    ``installed``: auditctl is on the PATH already, as the scenario puts it there. ``kubectl`` is a real one; without it a
    script sends what the pages ask for.
    """

    def __init__(
        self,
        scenario: Path,
        root: Path,
        tools: Path,
        address: str,
        port: int,
        *,
        installed: bool = False,
        kubectl: str = "",
    ) -> None:
        self.scenario, self.root, self.port = scenario, root, port
        self.steps = sorted(scenario.glob("step*"), key=lambda path: int(path.name.removeprefix("step")))
        self._tools = tools
        tools.mkdir(exist_ok=True)
        keys = tools / "keys"
        keys.mkdir(exist_ok=True)
        conf = next(
            path for name in ("super-admin", "admin") if (path := self.at(f"/etc/kubernetes/{name}.conf")).exists()
        )
        for name, key in (("crt", "client-certificate-data"), ("key", "client-key-data")):
            found = re.search(f"{key}: (.*)", conf.read_text())
            assert found
            (keys / name).write_bytes(base64.b64decode(found[1]))
            (keys / name).chmod(0o600)
        if not installed:
            self._tool("auditctl", f'#!/bin/bash\nexec "{sys.executable}" -m auditctl --rootfs "{root}" "$@"\n')
        pki = self.at("/etc/kubernetes/pki")
        stand_in = _KUBECTL.format(pki=pki, keys=keys, port=port, address=address)
        self._tool("kubectl", f'#!/bin/bash\nexec "{kubectl}" --kubeconfig "{conf}" "$@"\n' if kubectl else stand_in)
        self._hand_out()

    @property
    def answers(self) -> list[Path]:
        """The files of /root that pages, checks and wrong attempts speak of: the learner's own, and no others."""
        texts = [path.read_text() for path in self.scenario.rglob("*") if path.suffix in (".md", ".yaml")]
        names = {name for text in [*texts, *WRONG.values()] for name in re.findall(r"/root/([a-z][a-z.-]*[a-z])", text)}
        return sorted(self.at(f"/root/{name}") for name in names)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _tool(self, name: str, text: str) -> None:
        (self._tools / name).write_text(text)
        (self._tools / name).chmod(0o755)

    def _hand_out(self) -> None:
        """The assets, where index.json puts them; the program itself is the one under test."""
        for source, target in (("wants", "/opt/auditctl-lab/wants"), ("policies", "/root")):
            self.at(target).mkdir(parents=True, exist_ok=True)
            for path in (self.scenario / "assets" / source).iterdir():
                shutil.copy(path, self.at(target))

    def run(self, script: str) -> Ran:
        """Commands as a page has them."""
        text = script
        if self.root != Path("/"):
            text = _PLACES.sub(rf"{self.root}\1", script).replace(":6443/", f":{self.port}/")
        return self._bash("-eu", "-o", "pipefail", "-c", text)

    def script(self, name: str) -> Ran:
        """A script of the scenario, as the page runs it."""
        return self._bash(str(self.scenario / name))

    def check(self, step: Path) -> Ran:
        """The Check button: exit code, and what the learner may read of it."""
        ran = self.script(f"{step.name}/verify.sh")
        return Ran(ran.code, self.at("/opt/auditctl-lab/last-check").read_text())

    def is_solved(self, step: Path) -> bool:
        """As Check grades it, without a process of its own: for looks that are repeated."""
        wants = self.at(f"/opt/auditctl-lab/wants/{step.name}.yaml")
        rows = requirements.read_text(wants.read_text(), wants.name)
        return all(check.status is Status.PASSED for check in grade(ControlPlane(rootfs=self.root), rows))

    @property
    def manifest(self) -> Path:
        return self.at("/etc/kubernetes/manifests/kube-apiserver.yaml")

    def server(self) -> tuple[int, float] | None:
        """Which process serves; None while there is none."""
        process = listener(self.port)
        return process.identity if process else None

    def serves(self) -> bool:
        """As the manifest says, and ready."""
        (check,) = grade(ControlPlane(rootfs=self.root), [{"serving": True}])
        return check.status is Status.PASSED

    def _bash(self, *words: str) -> Ran:
        lab_root = "" if self.root == Path("/") else str(self.root)
        environment = {**os.environ, "PATH": f"{self._tools}:{os.environ['PATH']}", "LAB_ROOT": lab_root}
        ran = subprocess.run(["bash", *words], env=environment, capture_output=True, text=True, timeout=400)
        assert "Traceback" not in ran.stderr, ran.stderr
        return Ran(ran.returncode, ran.stdout + ran.stderr)


_AGAIN = """
cp -p /etc/kubernetes/manifests/kube-apiserver.yaml /root/manifest.yaml
sed -i /root/manifest.yaml -e '/lab\\/again:/d' -e "s|^  annotations:$|&\\n    lab/again: 'wrong, $(date +%s)'|"
mv /root/manifest.yaml /etc/kubernetes/manifests/kube-apiserver.yaml
"""
_HEAD = """cat > /etc/kubernetes/audit/policy.yaml <<'EOT'
apiVersion: audit.k8s.io/v1
kind: Policy
"""
WRONG: dict[int, str] = {
    1: """
mkdir -p /etc/kubernetes/audit
cat > /etc/kubernetes/audit/policy.yaml <<'EOT'
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Metadata
EOT
cp -p /etc/kubernetes/manifests/kube-apiserver.yaml /root/manifest.yaml
sed -i /root/manifest.yaml -e '/^    - kube-apiserver$/a\\    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml\\n    - --audit-log-path=/var/log/kubernetes/audit/audit.log\\n    - --audit-log-maxage=30\\n    - --audit-log-maxbackup=10\\n    - --audit-log-maxsize=100'
mv /root/manifest.yaml /etc/kubernetes/manifests/kube-apiserver.yaml
""",
    2: "echo never-sent-1 > /root/receipt",
    3: _HEAD
    + "rules:\n- level: Metadata\n  resources: [{resources: [pods]}]\n- level: Metadata\nEOT\n"
    + _AGAIN
    + "kubectl get --raw /api/v1/namespaces/default/pods > /dev/null || true\n",
    4: "sed -i 's/level: Metadata/level: RequestResponse/' /etc/kubernetes/audit/policy.yaml\n"
    "kubectl get --raw /api/v1/namespaces/default/pods > /dev/null\n",
    5: _HEAD
    + "rules:\n- level: RequestResponse\n  namespaces: ['test*']\n  resources: [{resources: [pods]}]\nEOT\n"
    + _AGAIN,
    6: _HEAD + "omitStages: ['RequestRecieved']\nrules:\n- level: RequestResponse\n  namespaces: ['test']\n"
    "  resources: [{resources: [pods]}]\nEOT\ncp /etc/kubernetes/audit/policy.yaml /root/broken.yaml\n" + _AGAIN,
    7: "cat > /root/predictions.yaml <<'EOT'\n- get nodes controlplane -> Metadata\n- list pods -> Metadata\n"
    "- list pods in test -> Metadata\n- create pods in test -> Metadata\n- get namespaces test -> Metadata\nEOT\n",
    8: "sed -n 's/^    - \\(.*\\)/- \\1 -> Metadata/p' /opt/auditctl-lab/wants/step8.yaml > /root/sample-predictions.yaml\n",
    9: "cat >> /etc/kubernetes/audit/policy.yaml <<'EOT'\n- level: Request\n  verbs: [create, update, patch, delete]\n"
    "  resources: [{group: '', resources: [deployments]}]\nEOT\n" + _AGAIN,
    10: """
cp /opt/auditctl-lab/receiver/webhook.yaml /etc/kubernetes/audit/webhook.yaml
cp -p /etc/kubernetes/manifests/kube-apiserver.yaml /root/manifest.yaml
sed -i /root/manifest.yaml \\
  -e '/^    - kube-apiserver$/a\\    - --audit-webhook-config-file=/etc/kubernetes/audit/webhook.yaml' \\
  -e '/^    volumeMounts:$/a\\    - mountPath: /etc/kubernetes/audit/webhook.yaml\\n      name: audit-webhook\\n      readOnly: true' \\
  -e '/^  volumes:$/a\\  - name: audit-webhook\\n    hostPath:\\n      path: /etc/kubernetes/audit/webhook.yaml\\n      type: File'
mv /root/manifest.yaml /etc/kubernetes/manifests/kube-apiserver.yaml
""",
}
STAYS_DOWN = frozenset([1, 6])  # after these the server does not serve
