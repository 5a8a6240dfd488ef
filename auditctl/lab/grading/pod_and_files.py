"""Requirements on the Pod's mounts and volumes, on files of the node, and on kubeadm's own record."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

from auditctl.errors import ManifestError, PolicyError, RefusedError
from auditctl.findings import Check
from auditctl.lab.grading.fields import Fields
from auditctl.lab.grading.requirement_kind import RequestSpec, Requirement, ServerRequirement, request_of
from auditctl.manifest.flags import normalised
from auditctl.manifest.paths import normalised_path, within
from auditctl.node.change import files
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import Running
from auditctl.policy.evaluate import evaluate
from auditctl.policy.expectations import read_expectations
from auditctl.policy.load import load
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

ServerVersion: TypeAlias = "tuple[int, int]"


@dataclass(frozen=True, slots=True)
class Mounted(ServerRequirement):
    """The mount of a flag's file; a field that is None is not compared."""

    kinds = ("mount",)
    subject = "flag"
    fields = ("flag", "host", "read-only", "types", "directory")
    flag: str
    host: str | None = None
    read_only: bool | None = None
    types: tuple[str, ...] | None = None
    directory: bool | None = None

    @classmethod
    def parse(cls, given: Fields) -> Mounted:
        flag = normalised(given.text("flag"))
        if flag not in (POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG):
            raise given.error(f"{flag!r} names no file", f"one of {POLICY_FLAG}, {LOG_FLAG}, {WEBHOOK_FLAG}")
        types = given.texts("types") if given.has("types") else None
        host = given.path("host") if given.has("host") else None
        return cls(flag, host, given.maybe_truth("read-only"), types, given.maybe_truth("directory"))

    def judge_running(self, running: Running) -> Check:
        value = running.manifest.flag(self.flag)
        if not value or value == STANDARD_OUTPUT:
            return self.failed(f"--{self.flag} names no file")
        try:
            place = running.manifest.host_path(value)
        except ManifestError:
            return self.failed(f"--{self.flag}={value} lies on no plain hostPath volume")
        if place is None:
            return self.failed(f"--{self.flag}={value} is on no mount, so it is only in the container")
        if self.host is not None and place.path != self.host:
            return self.failed(f"on the host it is {place.path}, which is not the wanted path")
        if self.read_only is not None and place.read_only is not self.read_only:
            mode = "read-only" if place.read_only else "read-write"
            return self.failed(f"the mount {place.mount_path} is {mode}, which is not the wanted mode")
        if self.directory is not None and place.exact is self.directory:
            mounted = "the file alone is" if place.exact else "its directory is"
            return self.failed(f"{mounted} mounted, which is not the wanted mount")
        if self.types is not None and place.type not in self.types:
            return self.failed(f"the volume's type {place.type or '(none)'} is not a wanted type")
        return self.passed(f"{place.container_path} in the container is {place.path} on the host")


@dataclass(frozen=True, slots=True)
class LogHostPath(ServerRequirement):
    """The path of the log on the host."""

    kinds = ("log-host-path",)
    path: str

    @classmethod
    def parse(cls, given: Fields) -> LogHostPath:
        return cls(given.whole_path())

    def judge_running(self, running: Running) -> Check:
        return Mounted(LOG_FLAG, host=self.path).judge_running(running)._replace(name=self.name)


@dataclass(frozen=True, slots=True)
class Unmounted(ServerRequirement):
    """A path of the host that no volume of the Pod contains or lies below."""

    kinds = ("unmounted",)
    subject = "path"
    path: str

    @classmethod
    def parse(cls, given: Fields) -> Unmounted:
        return cls(given.whole_path())

    def judge_running(self, running: Running) -> Check:
        for volume in running.manifest.volumes:
            place = normalised_path(volume.host_path) if volume.host_path else None
            if place is not None and (within(self.path, place) or within(place, self.path)):
                return self.failed(f"the volume {volume.name} still leads to {volume.host_path}")
        return self.passed(f"no volume of the Pod leads to {self.path}")


@dataclass(frozen=True, slots=True)
class NoStrays(Requirement):
    """A manifest directory in which no other file defines the same Pod."""

    kinds = ("manifest-strays",)
    written = "none"

    def judge(self, running: Running) -> Check:
        if node_checks.strays(running.plane.root, running.plane.manifest_path, running.manifest):
            return self.failed("another file in the manifest directory defines the same Pod")
        return self.passed("one file defines the Pod")


@dataclass(frozen=True, slots=True)
class Persisted(ServerRequirement):
    """Kubeadm's own record with the same audit settings as the manifest."""

    kinds = ("persisted",)

    def judge_running(self, running: Running) -> Check:
        from auditctl.operations.kubeadm.config import differences_of

        try:
            differences = differences_of(running.plane, running.manifest, None)
        except RefusedError as error:
            return self.unknown(error.message)
        if differences:
            return self.failed("kubeadm's own record has other audit settings")
        return self.passed("kubeadm's own record has the same audit settings")


@dataclass(frozen=True, slots=True)
class FileRequirement(Requirement):
    """A requirement that needs no API server; the version of the manifest says whose reader judges a policy."""

    def judge(self, running: Running) -> Check:
        return self.judge_node(running.plane, policy_source.version_of(running.plane, running.manifest, live=False))

    def judge_files(self, plane: ControlPlane) -> Check | None:
        return self.judge_node(plane, policy_source.NEWEST)

    @abstractmethod
    def judge_node(self, plane: ControlPlane, version: ServerVersion) -> Check:
        """Return the verdict on files of the node for a server of that version."""


@dataclass(frozen=True, slots=True)
class FileThere(FileRequirement):
    """A file or directory of the node that exists, or does not."""

    kinds = ("file",)
    subject = "path"
    fields = ("path", "there")
    path: str
    there: bool

    @classmethod
    def parse(cls, given: Fields) -> FileThere:
        return cls(given.path("path"), given.truth("there"))

    def judge_node(self, plane: ControlPlane, version: ServerVersion) -> Check:  # noqa: ARG002 (no policy is read)
        exists = plane.root.host(self.path).exists()
        text = f"{self.path} {'exists' if exists else 'does not exist'}"
        return self.passed(text) if exists is self.there else self.failed(text)


@dataclass(frozen=True, slots=True)
class PolicyFile(FileRequirement):
    """A policy file that a server of this version would load, or would refuse."""

    kinds = ("policy-accepts", "policy-rejects")
    path: str
    accepted: bool

    @classmethod
    def parse(cls, given: Fields) -> PolicyFile:
        return cls(given.whole_path(), accepted=given.kind == "policy-accepts")

    @property
    def name(self) -> str:
        return f"policy-{'accepts' if self.accepted else 'rejects'} {self.path}"

    def judge_node(self, plane: ControlPlane, version: ServerVersion) -> Check:
        try:
            loads = load(files.read_following(plane.root.followed(self.path), "policy"), version).policy is not None
        except RefusedError as error:
            return self.failed(error.message)
        text = f"the API server would {'load' if loads else 'refuse'} {self.path}"
        return self.passed(text) if loads is self.accepted else self.failed(text)


@dataclass(frozen=True, slots=True)
class Predictions(FileRequirement):
    """A file that names the levels of these requests under a policy file."""

    kinds = ("predictions",)
    subject = "file"
    fields = ("requests", "file", "policy")
    file: str
    policy: str
    requests: tuple[RequestSpec, ...]

    @classmethod
    def parse(cls, given: Fields) -> Predictions:
        requests = tuple(request_of(given, words) for words in given.texts("requests"))
        return cls(given.path("file"), given.path("policy"), requests)

    def judge_node(self, plane: ControlPlane, version: ServerVersion) -> Check:
        try:
            raw = files.read_following(plane.root.followed(self.file), "predictions")
            levels = {each.attributes: each.level for each in read_expectations(raw, self.file)}
            policy = load(files.read_following(plane.root.followed(self.policy), "policy"), version).policy
        except PolicyError as error:
            return self.failed(str(error).removesuffix("; nothing was changed"))
        except RefusedError as error:
            return self.failed(error.message)
        if policy is None:
            return self.failed(f"the API server would refuse {self.policy}")
        for request in self.requests:
            if request.attributes not in levels:
                return self.failed(f"no level is given for `{request.words}`")
            if levels[request.attributes] is not evaluate(policy, request.attributes).level:
                return self.failed(f"the level given for `{request.words}` is wrong")
        return self.passed(f"all {len(self.requests)} levels are right")
