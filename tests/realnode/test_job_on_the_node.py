"""The Job of `kubeadm render --as job` on a real kubelet: auditing is switched on from a Pod of our image, and off again.

The node of these tests has no controllers: the Pod is made of the Job's template. AUDITCTL_EXECUTABLE names the folder
that `.ci/executable` filled.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from traffic import ADMIN, FOLDER, Client, Request, collection

from auditctl.node.apiserver.credentials import read
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.kubeadm.render import rendered

BUILT = Path(os.environ.get("AUDITCTL_EXECUTABLE", "."))
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
NAME = "registry.example/auditctl"
SYSTEM = collection("", "v1", "pods", "kube-system")
pytestmark = pytest.mark.skipif(
    "AUDITCTL_EXECUTABLE" not in os.environ, reason="AUDITCTL_EXECUTABLE names no folder that .ci/executable filled"
)
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def image(node: None) -> str:
    """Our image, pinned, in the store that the kubelet's containers come from."""
    (archive,) = BUILT.glob("*.oci.tar")
    command = ["ctr", "-n", "k8s.io", "images", "import", "--digests", "--base-name", NAME, str(archive)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    listed = subprocess.run(["ctr", "-n", "k8s.io", "images", "ls", "-q"], capture_output=True, text=True, check=True)
    (pinned,) = (name for name in listed.stdout.split() if name.startswith(f"{NAME}@sha256:"))
    return pinned


@pytest.fixture
def client(node: None) -> Iterator[Client]:
    """What an administrator has done before: the account that every Pod of the namespace needs is there."""
    made = Client()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    accounts = collection("", "v1", "serviceaccounts", "kube-system")
    assert made.send(Request("POST", accounts, body=account), "job-account") in (201, 409)
    yield made
    made.close()


def ended(name: str, seconds: float = 240) -> tuple[int, str]:
    """Exit code and output of the container of a Pod, from the runtime: the API server restarts meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for folder in Path("/var/log/pods").glob(f"kube-system_{name}_*"):
            log = next(folder.glob("auditctl/*.log"), None)
            status = phase(name)
            if log is not None and status is not None:
                return status, log.read_text()
        time.sleep(1)
    raise AssertionError(f"{name} has not ended: {pod(name)}")


def pod(name: str) -> dict[str, Any]:
    """The Pod as the API server has it; empty while it does not answer."""
    context = ssl.create_default_context(cafile=str(FOLDER / "pki/ca.crt"))
    read(FOLDER / f"{ADMIN}.conf").load_into(context)
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, timeout=5, context=context)
    try:
        connection.request("GET", f"{SYSTEM}/{name}")
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return answer


def phase(name: str) -> int | None:
    """The exit code once the container has ended."""
    statuses = pod(name).get("status", {}).get("containerStatuses", [])
    codes = [each["state"]["terminated"]["exitCode"] for each in statuses if "terminated" in each.get("state", {})]
    return codes[0] if codes else None


def pod_of(text: str, name: str, *words: str) -> list[dict[str, Any]]:
    """The objects of a rendered Job, with a Pod of its template in the Job's place."""
    *others, job = YAML(typ="safe", pure=True).load_all(text)
    template = job["spec"]["template"]["spec"]
    if words:
        template["containers"][0]["args"] = ["--on-host", "/host", *words]
    return [*others, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template}]


def test_auditing_is_switched_on_through_the_image_proved_and_out_again(
    client: Client, image: str, run: Run, tmp_path: Path
) -> None:
    """With a policy of a file; the program proves in the Pod, then we prove from outside."""
    before = MANIFEST.read_bytes()
    policy = tmp_path / "p.yaml"
    policy.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Request\n")
    text = rendered(ControlPlane(), "job", None, {}, image=image, node="controlplane", policy=str(policy)).summary
    config, first = pod_of(text, "auditctl-enable")
    _, second = pod_of(text, "auditctl-disable", "disable", "--purge")

    maps = collection("", "v1", "configmaps", "kube-system")
    assert client.send(Request("POST", maps, body=config), "job-policy") == 201
    assert client.send(Request("POST", SYSTEM, body=first), "job-enable") == 201
    code, output = ended("auditctl-enable")
    print(output)
    assert code == 0, output
    code, report = run("verify", "--expect", "get configmaps in prod -> Request")
    assert (code, report["outcome"]) == (0, "Unchanged"), report["summary"]
    assert not list(Path("/run/auditctl-policy").glob("*"))  # the ConfigMap was the Pod's alone

    client.close()
    again = Client()  # the server is another one
    assert again.send(Request("POST", SYSTEM, body=second), "job-disable") == 201
    code, output = ended("auditctl-disable")
    again.close()
    print(output)
    assert code == 0, output
    assert MANIFEST.read_bytes() == before
