"""Grading of flags: the effective value, set or default, of the manifest and of the process that runs with it."""

from __future__ import annotations

from auditctl import facts
from auditctl.compatibility import assert_never
from auditctl.errors import RefusedError
from auditctl.findings import Check, Status
from auditctl.lab.grading.fields import place_of
from auditctl.lab.grading.kinds import FlagAbsent, FlagRequirement, Webhook
from auditctl.manifest.flag_meaning import same_value
from auditctl.node.apiserver.loaded_policy import loaded_file
from auditctl.node.preflight.webhook_config import parse
from auditctl.operations.evidence.running_server import Running
from auditctl.settings import WEBHOOK_FLAG

NOT_RUNNING = "no API server runs with the manifest as it stands"


def judge(running: Running, name: str, want: FlagRequirement | FlagAbsent | Webhook) -> Check:
    """Manifest and process agree, and the flag is as wanted."""
    if not running.is_of_manifest:
        return Check(name, Status.FAILED, NOT_RUNNING)
    match want:
        case FlagRequirement():
            return _flag(running, name, want)
        case FlagAbsent():
            return _absent(running, name, want)
        case Webhook():
            return _webhook(running, name, want)
        case _:
            assert_never(want)


def _flag(running: Running, name: str, want: FlagRequirement) -> Check:
    table, manifest = facts.audit_flags(), running.manifest
    seen = manifest.flag(want.name)
    effective = seen
    if seen is None and want.name in table:
        effective = table[want.name].default(manifest.version)
    if effective is not None and same_value(want.name, effective, want.value):
        return Check(name, Status.PASSED, f"--{want.name} is {effective}" + ("" if seen else ", the default"))
    if seen is None:
        return Check(name, Status.FAILED, f"--{want.name} is not set, and its default is not what is asked for")
    return Check(name, Status.FAILED, f"--{want.name} is {seen}, which is not what is asked for")


def _absent(running: Running, name: str, want: FlagAbsent) -> Check:
    beginning = want.name.removesuffix("*")
    whole = beginning == want.name
    found = [flag for flag in running.manifest.flags if (flag == beginning if whole else flag.startswith(beginning))]
    if found:
        return Check(name, Status.FAILED, f"--{found[0]} is set")
    return Check(name, Status.PASSED, f"no --{want.name} is set")


def _webhook(running: Running, name: str, want: Webhook) -> Check:
    path, process = running.manifest.flag(WEBHOOK_FLAG), running.process
    if not path or process is None:
        return Check(name, Status.FAILED, "no webhook backend is set")
    raw = loaded_file(process, running.plane.root, running.manifest, path)
    if raw is None:
        return Check(name, Status.FAILED, "the webhook's file was touched after the API server had started, or is gone")
    try:
        server = parse(raw, path).server
    except RefusedError:
        return Check(name, Status.FAILED, "the webhook's file is no kubeconfig that the API server would take")
    try:
        leads_there = place_of(server) == place_of(want.server)
    except ValueError:
        return Check(name, Status.FAILED, "the webhook's kubeconfig leads to what is no URL")
    if leads_there:
        return Check(name, Status.PASSED, "the webhook's kubeconfig leads where it should")
    return Check(name, Status.FAILED, "the webhook's kubeconfig leads elsewhere")
