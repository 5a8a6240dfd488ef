"""Secrets are planted in every input of a node, and no output has them."""

from __future__ import annotations

import random
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from auditctl.cli.app import run
from auditctl.redaction import redacted, redacted_urls

GOLDEN = Path(__file__).parent / "golden/kubeadm/v1.36.2/plain+log.yaml"
Call = Callable[..., str]


@pytest.mark.parametrize(
    "line",
    [
        "      value: http://user:{}@proxy:3128",
        "    - --etcd-servers=https://root:{}@10.0.0.1:2379",
        "+      password: {}",
        "-      token: '{}'",
        '       client-key-data: "{}"',
        "       api-key: {}",
        "       Authorization: Bearer {}",
        "    - --some-token={}",
        "    - name: DB_PASSWORD\n      value: {}",
        "    - name: HTTPS_PROXY\n      value: me:{}@proxy:3128",
        '     - name: "no_secret"\n       value: "{}"',
    ],
)
@pytest.mark.parametrize("secret", ["hunter2", "p@ss:w0rd", "a%2Fb", "x" * 300])
def test_a_secret_of_a_file_is_hidden(line: str, secret: str) -> None:
    if secret == "p@ss:w0rd" and "name: HTTPS_PROXY" in line:
        secret = "p%40ss:w0rd"
    text = redacted(f" before\n{line.format(secret)}\n after\n")

    assert secret not in text
    assert "<redacted>" in text
    assert (text.startswith(" before\n"), text.endswith("\n after\n")) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        "    - --enable-bootstrap-token-auth=true\n",
        "    - --service-account-key-file=/etc/kubernetes/pki/sa.pub\n",
        "    image: registry.k8s.io/kube-apiserver:v1.36.2@sha256:abc\n",
        "    automountServiceAccountToken: false\n",
        "    - --service-account-issuer=https://kubernetes.default.svc.cluster.local\n",
        "      secret:\n        secretName: x\n",
        "+- users: ['oidc:alice@corp.example']\n",
        "+  resources: [{group: '', resources: [secrets]}]\n",
        "see https://example.com/page and write to me@example.com\n",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text
    assert redacted_urls(text) == text


@pytest.fixture
def call(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    def called(*words: object) -> str:
        run(["auditctl", *map(str, words), "--rootfs", str(tmp_path)])
        return "".join(capfd.readouterr())

    return called


def planted(text: str, secrets: list[str]) -> str:
    """The manifest with secrets in its environment, its annotations and its other flags."""
    first, second, third, fourth = secrets
    env = (
        f"    env:\n    - name: HTTPS_PROXY\n      value: http://user:{first}@proxy:3128\n"
        f"    - name: http_proxy\n      value: me:{second}@proxy:3128\n    - name: VAULT_TOKEN\n      value: {third}\n"
    )
    text = text.replace("    image: ", f"{env}    image: ", 1)
    return text.replace("    - --etcd-servers=https://", f"    - --etcd-servers=https://root:{fourth}@", 1)


COMMANDS: list[tuple[str, ...]] = [
    ("enable", "--dry-run", "--log-maxage", "5"),
    ("enable", "--dry-run", "--no-log", "--webhook-config", "KUBECONFIG"),
    ("enable", "--dry-run", "--webhook-config", "KUBECONFIG", "--embed-certs"),
    ("disable", "--dry-run"),
    ("enable", "--no-wait", "--log-maxage", "6"),
    ("status",),
    ("verify",),
    ("doctor",),
    ("cis",),
    ("history",),
    ("rollback", "--dry-run"),
    ("disable", "--no-wait"),
    ("kubeadm", "check"),
    ("kubeadm", "render", "--as", "clusterconfiguration"),
]
KUBECONFIG = """apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters:
- name: k
  cluster:
    server: https://user:{0}@127.0.0.1:1/{1}?key={1}
    proxy-url: http://user:{0}@127.0.0.1:1
users:
- name: u
  user:
    {2}
"""
CREDENTIALS = ("token: {}", "password: {}", "password: *{}", "tokenFile: [{}", "client-key-data: '{}'", "token: &{} {}")


@pytest.mark.parametrize("output", ["text", "json", "yaml"])
@pytest.mark.parametrize("seed", [1, 2])
def test_planted_secrets_come_out_of_no_command(tmp_path: Path, call: Call, output: str, seed: int) -> None:
    chance = random.Random(seed)
    secrets = ["Sekret" + "".join(chance.choices(string.ascii_letters + string.digits, k=20)) for _ in range(7)]
    manifest = tmp_path / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    policy = tmp_path / "etc/kubernetes/audit/policy.yaml"
    policy.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "templates/policies/baseline.yaml", policy)
    kubeconfig = tmp_path / "webhook.yaml"
    for credential in CREDENTIALS:
        manifest.write_text(planted(GOLDEN.read_text(), secrets[:4]))
        written = credential.format(*([secrets[6]] * 2))
        kubeconfig.write_text(KUBECONFIG.format(secrets[4], secrets[5], written))
        some = COMMANDS if credential == CREDENTIALS[0] else COMMANDS[1:3]
        for words in some:
            said = call(*(kubeconfig if word == "KUBECONFIG" else word for word in words), "-o", output)
            assert said, words
            assert [secret for secret in secrets if secret in said] == [], (words, credential)
