"""Manifests for the tests: one small text, the corpus, and texts drawn at random in every spelling YAML allows."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from auditctl.manifest.document import Document
from auditctl.manifest.plan import Plan, plan_annotation, plan_disable, plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.settings import Settings

CORPUS = Path("/work/shared/corpus")
GOLDEN = Path(__file__).parent.parent / "golden" / "kubeadm"

SMALL = """\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: kube-apiserver
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --allow-privileged=true
    - --secure-port=6443
    image: registry.k8s.io/kube-apiserver:v1.31.14
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
"""


def manifest(text: str) -> Manifest:
    """Read a text as the tool does."""
    return Manifest.of(Document.parse(text.encode(), "kube-apiserver.yaml"))


def enabling(text: str, settings: Settings | None = None, sha256: str | None = None) -> Plan:
    return plan_enable(manifest(text), settings or Settings(), policy_sha256=sha256)


def enabled(text: str, settings: Settings | None = None, sha256: str | None = None) -> str:
    return enabling(text, settings, sha256).after


def disabled(text: str) -> str:
    return plan_disable(manifest(text)).after


def annotated(text: str, sha256: str) -> str:
    return plan_annotation(manifest(text), sha256).after


def small(*replacements: tuple[str, str]) -> str:
    """SMALL with pieces replaced; each must be there."""
    text = SMALL
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def with_flags(*flags: str) -> str:
    """SMALL with items added to its command."""
    last = "    - --secure-port=6443\n"
    return small((last, last + "".join(f"    - {flag}\n" for flag in flags)))


def with_mount(path: str, name: str, *, host: str = "", kind: str = "", more: str = "", mount_more: str = "") -> str:
    """SMALL with one more hostPath volume and its mount, written as people write them."""
    mount = f"    - name: {name}\n      mountPath: {path}\n{mount_more}"
    volume = f"  - name: {name}\n    hostPath:\n      path: {host or path}\n" + (
        f"      type: {kind}\n" if kind else ""
    )
    return small(("  hostNetwork", mount + "  hostNetwork"), ("status: {}", volume + more + "status: {}"))


FLAGS = (
    "--advertise-address=192.0.2.10",
    "--allow-privileged=true",
    "--authorization-mode=Node,RBAC",
    "--client_ca_file=/etc/kubernetes/pki/ca.crt",
    "--etcd-servers=https://127.0.0.1:2379",
    "--feature-gates=A=true,B=false",
    "--oidc-username-claim='sub'",
    "--profiling=false",
    "--secure-port=6443",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
    "--v=2",
)
IMAGES = ("v1.31.14", "v1.35.6", "v1.34.3", "v1.29.4-eks-1", "latest", "v1.33.9@sha256:" + "0" * 64)
BLANKS = ("", "   ", "")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A manifest without audit settings, in a random spelling. Every comment line in it is different."""
    dash = draw(st.sampled_from((0, 2, 4)))
    numbers = iter(range(1000))

    def noise(indent: int) -> list[str]:
        kinds = draw(st.lists(st.sampled_from("#  b"), max_size=2)) if draw(st.integers(0, 3)) == 0 else []
        return [
            " " * indent + f"# note {next(numbers)}: - x" if kind == "#" else draw(st.sampled_from(BLANKS))
            for kind in kinds
        ]

    def end_of_line() -> str:
        return draw(st.sampled_from(("", "", "", " # why", "\t# tab", "  ")))

    def item(flag: str, indent: int) -> list[str]:
        lead = " " * indent + "-" + draw(st.sampled_from((" ", " ", " ", "   ")))
        name, _, value = flag.partition("=")
        match draw(st.sampled_from(("plain",) * 6 + ("single", "double", "two", "block", "folded", "below", "tagged"))):
            case "single":
                return [lead + "'" + flag.replace("'", "''") + "'" + end_of_line()]
            case "double":
                return [lead + f'"{flag}"' + end_of_line()]
            case "two" if value and not value.startswith("'"):
                return [lead + name + end_of_line(), *noise(indent), lead + f'"{value}"' + end_of_line()]
            case "block":
                return [lead + "|-", " " * (indent + 4) + flag]
            case "folded":
                return [lead + ">-", " " * (indent + 2) + flag]
            case "below":
                return [" " * indent + f"- # note {next(numbers)}", " " * (indent + 2) + flag]
            case "tagged":
                return [lead + "!!str " + flag + end_of_line()]
            case _:
                return [lead + flag + end_of_line()]

    def listed(key: str, words: list[str], indent: int) -> list[str]:
        lines = [" " * indent + key + ":" + end_of_line()]
        for word in words:
            lines += [*noise(indent + dash), *item(word, indent + dash)]
        return lines

    def container() -> list[str]:
        flags = draw(st.lists(st.sampled_from(FLAGS), unique=True, max_size=8))
        flags = sorted(flags) if draw(st.booleans()) else flags
        split = draw(st.sampled_from((0, len(flags), len(flags))))
        body = ["kube-apiserver"] if draw(st.booleans()) else ["/usr/local/bin/kube-apiserver"]
        parts = [
            listed("command", body + flags[:split], 0),
            [f"image: registry.k8s.io/kube-apiserver:{draw(st.sampled_from(IMAGES))}"],
        ]
        if flags[split:] or draw(st.integers(0, 9)) == 0:
            parts.append(listed("args", flags[split:], 0) if flags[split:] else ["env:", "- name: A", "  value: ${B}"])
        parts.append(
            [draw(st.sampled_from(("name: kube-apiserver", '"name": kube-apiserver', "name: 'kube-apiserver'")))]
        )
        if mounts:
            parts.append(entries("volumeMounts", [["mountPath: " + path, "name: " + name] for name, path in mounts], 0))
        if draw(st.booleans()):
            parts = draw(st.permutations(parts))
        return [line for part in parts for line in [*noise(0), *part]]

    def entries(key: str, blocks: list[list[str]], indent: int) -> list[str]:
        lines = [" " * indent + key + ":" + end_of_line()]
        for block in blocks:
            lead = " " * (indent + dash)
            body = draw(st.permutations(block)) if all(not line.startswith(" ") for line in block) else block
            match draw(st.sampled_from(("compact", "compact", "below", "flow"))):
                case "below":
                    lines += [*noise(indent + dash), lead + "-", *(lead + "    " + line for line in body)]
                case "flow" if len(body) == 2:
                    lines += [*noise(indent + dash), lead + "- {" + ", ".join(body) + "}"]
                case _:
                    lines += [*noise(indent + dash), lead + "- " + body[0], *(lead + "  " + line for line in body[1:])]
        return lines

    names = draw(
        st.lists(st.sampled_from(("ca-certs", "audit-policy", "k8s-certs", "zz", "audit-log")), unique=True, max_size=4)
    )
    if draw(st.booleans()):
        names.sort()
    mounts = [(name, f"/srv/{name}") for name in names]
    sidecar = [["name: konnectivity", "image: x/y:1", "command: [sh, -c, 'echo ${A}']"]] if draw(st.booleans()) else []
    mine = container()
    while not mine[0].strip() or mine[0].lstrip().startswith("#"):
        mine = mine[1:]
    lead = " " * (2 + dash)
    mine = [lead + "- " + mine[0], *(lead + "  " + line if line.strip() else line for line in mine[1:])]
    others = [line for block in sidecar for line in (lead + "- " + block[0], *(lead + "  " + one for one in block[1:]))]
    spec = ["  containers:", *(others + mine if draw(st.booleans()) else mine + others)]
    volumes = [
        ["name: " + name, "hostPath:", "  path: " + path, *draw(st.sampled_from(([], ["  type: ''"])))]
        for name, path in mounts
    ]
    spec_parts = [spec, ["  hostNetwork: true"], *([entries("volumes", volumes, 2)] if volumes else [])]
    spec_parts = draw(st.permutations(spec_parts))
    metadata = [["  labels:", "    tier: control-plane"], ["  name: kube-apiserver"], ["  namespace: kube-system"]]
    if draw(st.booleans()):
        metadata.insert(0, ["  annotations:", "    kubeadm.kubernetes.io/x: 192.0.2.10:6443"])
    if draw(st.booleans()):
        metadata = draw(st.permutations(metadata))
    tops = [
        ["apiVersion: v1"],
        ["kind: Pod"],
        ["metadata:", *(line for part in metadata for line in [*noise(2), *part])],
    ]
    tops.append(["spec:", *(line for part in spec_parts for line in [*noise(2), *part])])
    tops += [["status: {}"]] if draw(st.booleans()) else []
    if draw(st.integers(0, 4)) == 0:
        tops = draw(st.permutations(tops))
    lines = [line for part in tops for line in [*noise(0), *part]]
    lines = [*draw(st.sampled_from(([], [], ["---"], ["# top note", "--- # first"]))), *lines]
    lines += draw(st.sampled_from(([], [], ["# last note"], ["..."], ["---", "kind: Other", "x: [1"], ["", "   "])))
    ends = draw(st.sampled_from((["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"])))
    text = "".join(line + draw(st.sampled_from(ends)) for line in lines)
    text = text if draw(st.integers(0, 3)) else text.rstrip("\r\n")
    return ("\ufeff" if draw(st.integers(0, 5)) == 0 else "") + text
