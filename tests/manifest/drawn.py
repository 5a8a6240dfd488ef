"""Manifests drawn at random, without audit settings, in the spellings that YAML allows and people use."""

from __future__ import annotations

from itertools import count
from typing import TypeVar

from hypothesis import strategies as st

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
TAGS = ("v1.31.14", "v1.35.6", "v1.34.3", "v1.29.4-eks-1", "latest", "v1.33.9@sha256:" + "0" * 64)
VOLUMES = ("ca-certs", "audit-policy", "k8s-certs", "zz", "audit-log")
NAMES = ("name: kube-apiserver", '"name": kube-apiserver', "name: 'kube-apiserver'")
SIDECAR = ["name: konnectivity", "image: x/y:1", "command: [sh, -c, 'echo ${A}']"]
ANNOTATIONS = ["  annotations:", "    kubeadm.kubernetes.io/x: 192.0.2.10:6443"]
METADATA = [["  labels:", "    tier: control-plane"], ["  name: kube-apiserver"], ["  namespace: kube-system"]]
TOPS = ([], [], ["---"], ["# top note"], ["--- # first"])
TAILS = ([], [], ["# last note"], ["..."], ["---", "kind: Other", "x: [1"], ["", "   "])
ENDS = (["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"])
FORMS = ("plain",) * 6 + ("single", "double", "two", "block", "folded", "below", "tagged")

T = TypeVar("T")
Lines = list[str]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A whole manifest. Every comment line in it is different."""
    return _Writer(draw).text()


class _Writer:
    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.numbers = draw, count()
        self.dash = self.one_of((0, 2, 4))

    def one_of(self, choices: tuple[T, ...]) -> T:
        return self.draw(st.sampled_from(choices))

    def maybe(self, percent: int = 50) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def shuffled(self, parts: list[T], percent: int = 50) -> list[T]:
        return list(self.draw(st.permutations(parts))) if self.maybe(percent) else parts

    def noise(self, indent: int) -> Lines:
        """Comment lines and blank lines, seldom."""
        kinds = self.draw(st.lists(st.sampled_from("# b"), max_size=2)) if self.maybe(25) else []
        return [self.comment(indent) if kind == "#" else self.one_of(("", "   ")) for kind in kinds]

    def comment(self, indent: int) -> str:
        return f"{' ' * indent}# note {next(self.numbers)}: - x"

    def end(self) -> str:
        return self.one_of(("", "", "", " # why", "\t# tab", "  "))

    def noisy(self, parts: list[Lines], indent: int) -> Lines:
        return [line for part in parts for line in [*self.noise(indent), *part]]

    def item(self, word: str, indent: int) -> Lines:
        lead = " " * indent + "-" + self.one_of((" ", " ", " ", "   "))
        name, _, value = word.partition("=")
        match self.one_of(FORMS):
            case "single":
                return [lead + "'" + word.replace("'", "''") + "'" + self.end()]
            case "double":
                return [lead + f'"{word}"' + self.end()]
            case "two" if value and not value.startswith("'"):
                return [lead + name + self.end(), *self.noise(indent), lead + f'"{value}"' + self.end()]
            case "block":
                return [lead + "|-", " " * (indent + 4) + word]
            case "folded":
                return [lead + ">-", " " * (indent + 2) + word]
            case "below":
                return [" " * indent + "-" + self.comment(1), " " * (indent + 2) + word]
            case "tagged":
                return [lead + "!!str " + word + self.end()]
            case _:
                return [lead + word + self.end()]

    def words(self, key: str, words: Lines) -> Lines:
        items = [self.item(word, self.dash) for word in words]
        return [key + ":" + self.end(), *self.noisy(items, self.dash)]

    def entries(self, key: str, blocks: list[Lines], indent: int) -> Lines:
        lead = " " * (indent + self.dash)
        return [
            " " * indent + key + ":" + self.end(),
            *self.noisy([self.entry(block, lead) for block in blocks], len(lead)),
        ]

    def entry(self, block: Lines, lead: str) -> Lines:
        flat = all(not line.startswith(" ") for line in block)
        body = self.shuffled(block) if flat else block
        match self.one_of(("compact", "compact", "below", "flow")):
            case "below":
                return [lead + "-", *(lead + "    " + line for line in body)]
            case "flow" if flat:
                return [lead + "- {" + ", ".join(body) + "}"]
            case _:
                return [lead + "- " + body[0], *(lead + "  " + line for line in body[1:])]

    def container(self, volumes: Lines) -> Lines:
        flags = self.draw(st.lists(st.sampled_from(FLAGS), unique=True, max_size=8))
        flags = sorted(flags) if self.maybe() else flags
        split = self.one_of((0, len(flags), len(flags), len(flags) // 2))
        program = self.one_of(("kube-apiserver", "/usr/local/bin/kube-apiserver"))
        image = f"image: registry.k8s.io/kube-apiserver:{self.one_of(TAGS)}"
        parts = [self.words("command", [program, *flags[:split]]), [image], [self.one_of(NAMES)]]
        if flags[split:]:
            parts.insert(1, self.words("args", flags[split:]))
        if volumes:
            parts.append(
                self.entries("volumeMounts", [[f"mountPath: /srv/{name}", f"name: {name}"] for name in volumes], 0)
            )
        first, *rest = self.shuffled(parts)
        return [*first, *self.noisy(rest, 0)]

    def spec(self) -> Lines:
        volumes = self.draw(st.lists(st.sampled_from(VOLUMES), unique=True, max_size=4))
        volumes = sorted(volumes) if self.maybe() else volumes
        lead = " " * (2 + self.dash)
        blocks = [self.container(volumes), *([SIDECAR] if self.maybe() else [])]
        containers = [_listed(block, lead) for block in self.shuffled(blocks)]
        parts = [["  containers:", *(line for part in containers for line in part)], ["  hostNetwork: true"]]
        if volumes:
            parts.append(
                self.entries("volumes", [["name: " + name, "hostPath:", f"  path: /srv/{name}"] for name in volumes], 2)
            )
        return ["spec:", *self.noisy(self.shuffled(parts), 2)]

    def text(self) -> str:
        metadata = self.shuffled([*([ANNOTATIONS] if self.maybe() else []), *METADATA])
        parts = [["apiVersion: v1"], ["kind: Pod"], ["metadata:", *self.noisy(metadata, 2)], self.spec()]
        parts += [["status: {}"]] if self.maybe() else []
        lines = [*self.one_of(TOPS), *self.noisy(self.shuffled(parts, 20), 0), *self.one_of(TAILS)]
        ends = self.one_of(ENDS)
        text = "".join(line + self.draw(st.sampled_from(ends)) for line in lines)
        text = text.rstrip("\r\n") if self.maybe(25) else text
        return "\ufeff" + text if self.maybe(15) else text


def _listed(block: Lines, lead: str) -> Lines:
    first, *rest = block
    return [lead + "- " + first, *(lead + "  " + line if line.strip() else line for line in rest)]
