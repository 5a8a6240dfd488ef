"""Requirements on flags: the effective value, set or default, in the manifest and in the process that runs with it."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from auditctl import facts
from auditctl.errors import RefusedError
from auditctl.findings import Check
from auditctl.lab.grading.fields import Fields
from auditctl.lab.grading.requirement_kind import ServerRequirement
from auditctl.manifest.flag_values import same_value
from auditctl.manifest.flags import normalised
from auditctl.node.apiserver.loaded_policy import loaded_file
from auditctl.node.preflight.webhook_config import parse as parse_kubeconfig
from auditctl.operations.evidence.running_server import Running
from auditctl.settings import WEBHOOK_FLAG


@dataclass(frozen=True, slots=True)
class FlagRequirement(ServerRequirement):
    """The effective value of a flag, compared by meaning."""

    kinds = ("flag",)
    subject = "flag"
    fields = ("name", "value")
    flag: str
    value: str

    @classmethod
    def parse(cls, given: Fields) -> FlagRequirement:
        return cls(_known(given, given.text("name")), given.scalar("value"))

    def judge_running(self, running: Running) -> Check:
        table, text = facts.audit_flags(), running.manifest.flag(self.flag)
        effective = text
        if text is None and self.flag in table:
            effective = table[self.flag].default(running.manifest.version)
        if effective is not None and same_value(self.flag, effective, self.value):
            return self.passed(f"--{self.flag} is {effective}" + ("" if text else ", the default"))
        if text is not None:
            return self.failed(f"--{self.flag} is {text}, which is not the wanted value")
        default = f" (its default, {effective}, is not the wanted value)" if effective else ""
        return self.failed(f"--{self.flag} is not set{default}")


@dataclass(frozen=True, slots=True)
class FlagAbsent(ServerRequirement):
    """A flag that is not set; a name that ends in ``*`` stands for every flag with that beginning."""

    kinds = ("flag-absent",)
    subject = "flag"
    flag: str

    @classmethod
    def parse(cls, given: Fields) -> FlagAbsent:
        flag = normalised(given.whole_text())
        return cls(flag if flag.endswith("*") else _known(given, flag))

    def judge_running(self, running: Running) -> Check:
        beginning = self.flag.removesuffix("*")
        whole = beginning == self.flag
        present = [
            flag for flag in running.manifest.flags if (flag == beginning if whole else flag.startswith(beginning))
        ]
        return self.failed(f"--{present[0]} is set") if present else self.passed(f"no --{self.flag} is set")


@dataclass(frozen=True, slots=True)
class Webhook(ServerRequirement):
    """The URL that the webhook's kubeconfig names."""

    kinds = ("webhook",)
    fields = ("server",)
    server: str

    @classmethod
    def parse(cls, given: Fields) -> Webhook:
        try:
            _place(given.text("server"))
        except ValueError as error:
            raise given.error(f"{given.text('server')!r} is no URL") from error
        return cls(given.text("server"))

    def judge_running(self, running: Running) -> Check:
        path, process = running.manifest.flag(WEBHOOK_FLAG), running.process
        if not path or process is None:
            return self.failed("no webhook backend is set")
        raw = loaded_file(process, running.plane.root, running.manifest, path)
        if raw is None:
            return self.failed("the webhook's file was written after the API server had started, or is gone")
        try:
            server = parse_kubeconfig(raw, path).server
        except RefusedError:
            return self.failed("the webhook's file is not a kubeconfig that the API server would take")
        try:
            same = _place(server) == _place(self.server)
        except ValueError:
            return self.failed("the server of the webhook's kubeconfig is no URL")
        if same:
            return self.passed("the webhook's kubeconfig names the wanted server")
        return self.failed("the webhook's kubeconfig names another server than the wanted one")


# `authorization-webhook-config-file`, a flag of its own, is 0.79 like `audit-webhook-config-file`.
_NEARLY = 0.9


def _known(given: Fields, name: str) -> str:
    """Return the name of an audit flag, or of any other flag of the API server, which has no table here.

    A name that is nearly an audit flag's is a mistake of its author: a learner could never pass.
    """
    name, known = normalised(name), facts.audit_flags()
    near = [f"audit-{name}"] if f"audit-{name}" in known else get_close_matches(name, known, n=1, cutoff=_NEARLY)
    if name not in known and (name.startswith("audit-") or near):
        near = near or get_close_matches(name, known, n=1)
        raise given.error(f"{name!r} is not an audit flag", f"did you mean {near[0]!r}?" if near else "auditctl flags")
    return name


def _place(url: str) -> tuple[str, str | None, int | None, str]:
    """Return scheme, host, port and path: the server drops the query. Raises ValueError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")
