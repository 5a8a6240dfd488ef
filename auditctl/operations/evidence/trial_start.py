"""The last check before an edit: what the node's own server says of the audit set-up to be.

Our own verdict is asked first, and refuses first. Where the two differ, that is a bug of ours, and is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from auditctl.errors import ManifestError, Place, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.flags import Flag, Item
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import Readiness
from auditctl.node.apiserver.process import Process, listener, untrusted_listener
from auditctl.node.apiserver.trial_binary import of_process
from auditctl.node.apiserver.trial_start import TrialStartResult, TrialStartVerdict, rehearse
from auditctl.node.change.journal import Role
from auditctl.node.trusted_process import owner_of
from auditctl.operations import flags
from auditctl.operations.change_model import Deadline, PlannedChange
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.trial_input import Subject, trial_input
from auditctl.operations.policy_source import SelectedPolicy
from auditctl.policy.load import LoadResult, load
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

CHECK = "rehearsal"
DIFFERS = "rehearsal-differs"
NOT_DONE = "no trial start: "
_REPORT_IT = "please report it with the policy, the flags and the server's words"


def findings(
    plane: ControlPlane,
    after: Manifest,
    policy: bytes | None,
    process: Process | None,
    *,
    webhook: bytes | None = None,
    policy_name: str = "",
    manifest: Manifest | None = None,
    deadline: Deadline = Deadline(),
) -> Iterator[Finding]:
    """Yield what the node's own server says of the flags of ``after`` with that policy and webhook file.

    ``policy`` or ``webhook`` None: the installed one. ``process`` is the running server, whose program is started, and
    ``manifest`` the one that it was started from (None: ``after``).

    Raises:
        InterruptionError: the user asked to stop; nothing was changed.
    """
    why_not = _why_not(plane, process, manifest or after)
    if why_not or process is None:
        if why_not:
            yield _unknown(why_not)
        return
    subject = Subject(after, policy, webhook, policy_name)
    try:
        with of_process(process, owner_of(manifest or after)) as binary:
            if plane.endpoint(manifest or after).readiness(plane.credentials()) is Readiness.UNREACHABLE:
                yield _unknown(f"process {process.pid} does not answer with a certificate of this cluster")
                return
            play, policy = trial_input(plane, subject, process, binary)
            plane.progress.step("rehearsing with the node's own kube-apiserver")
            result = rehearse(play, deadline.interrupted)
    except (ManifestError, RefusedError) as error:
        yield _unknown(error.message)
        return
    yield from verdict_findings(result, plane, subject._replace(policy=policy))


def rehearsed(
    plane: ControlPlane,
    planned: PlannedChange,
    chosen: SelectedPolicy,
    process: Process | None,
    deadline: Deadline,
) -> Iterator[Finding]:
    """Yield the findings of a trial start for a change that is decided."""
    webhook = next((edit.after for edit in planned.edits if edit.role is Role.WEBHOOK), None)
    yield from findings(
        plane,
        planned.after,
        chosen.raw,
        process,
        webhook=webhook,
        policy_name=chosen.source,
        manifest=planned.before,
        deadline=deadline,
    )


def of_policy(plane: ControlPlane, raw: bytes, name: str) -> Iterator[Finding]:
    """Yield what the node's own server says of a policy alone, whatever else the manifest sets.

    Raises:
        InterruptionError: the user asked to stop.
    """
    try:
        manifest = plane.read_manifest()[1]
    except RefusedError as error:
        yield _unknown(error.message)
        return
    process = listener(manifest.secure_port, manifest)
    if process is None and not plane.root.is_host:  # `findings` expects none there, but here it was asked for
        yield _unknown("no kube-apiserver runs in this folder")
        return
    item = Item("", (), 0)
    alone = (Flag(POLICY_FLAG, "/dev/stdin", item), Flag(LOG_FLAG, STANDARD_OUTPUT, item))
    others = (flag for flag in manifest.flag_list if not flag.is_audit)
    after = replace(manifest, flag_list=(*others, *alone))
    yield from findings(plane, after, raw, process, policy_name=name, manifest=manifest)


def _why_not(plane: ControlPlane, process: Process | None, manifest: Manifest) -> str:
    """Return why there is nothing to start; empty where there is, or where nobody expects it."""
    if process is None:
        if not plane.root.is_host:
            return ""
        stranger = untrusted_listener(manifest.secure_port, manifest)
        return stranger.on(manifest.secure_port) if stranger is not None else "no kube-apiserver runs here"
    if not plane.root.is_host:
        return "the server of a node under --rootfs is not run here"
    return ""


def _unknown(why: str) -> Finding:
    return Finding.note(CHECK, f"{NOT_DONE}{why}")


def verdict_findings(result: TrialStartResult, plane: ControlPlane, subject: Subject) -> Iterator[Finding]:
    """Yield the findings of a verdict."""
    match result.verdict:
        case TrialStartVerdict.UNKNOWN:
            yield _unknown(result.words)
        case TrialStartVerdict.REFUSED:
            place, path = _place(result, plane, subject)
            yield Finding.error(
                CHECK,
                f"the node's own kube-apiserver would not start with it: {result.words}",
                result.fix or "correct what it names",
                path=path,
                file=place.file,
                line=place.line,
                column=place.column,
            )
            if not _is_refused_by_us(result, subject):
                text = "auditctl itself had found nothing wrong with it: that is a bug of auditctl"
                yield Finding.warning(DIFFERS, text, _REPORT_IT)
        case TrialStartVerdict.ACCEPTED:
            if subject.policy is not None and _loaded(result, subject).policy is None:
                text = "the node's own kube-apiserver accepts this policy, and auditctl does not: that is a bug of auditctl"
                yield Finding.warning(DIFFERS, text, _REPORT_IT, file=subject.policy_name)


def _is_refused_by_us(result: TrialStartResult, subject: Subject) -> bool:
    """Tell whether our own checks refuse it for that version; files that a webhook refers to do not count."""
    if result.crash.startswith("policy"):
        return _loaded(result, subject).policy is None
    if result.crash.startswith("webhook"):
        return True

    version = result.version or (subject.after.version or (0, 0))[:2]
    return any(finding.severity is Severity.ERROR for finding in flags.findings(subject.after, version))


def _loaded(result: TrialStartResult, subject: Subject) -> LoadResult:
    version = result.version or (subject.after.version or (1, 36))[:2]
    return load(subject.policy or b"", (version[0], version[1]))


def _place(result: TrialStartResult, plane: ControlPlane, subject: Subject) -> tuple[Place, str]:
    """Return the place in the user's own file, and the path of the field."""
    if result.crash.startswith("policy"):
        return _place_in_policy(result, subject)
    if result.crash.startswith("webhook"):
        return Place(subject.after.flag(WEBHOOK_FLAG) or ""), ""
    named = re.search(r"--?(audit-[\w-]+)", result.words)
    flag = next((one for one in subject.after.flag_list if named and one.name == named[1]), None)
    if flag is None:
        return Place(str(plane.manifest_path)), ""
    return subject.after.document.place(flag.item.path), f"--{flag.name}"


def _place_in_policy(result: TrialStartResult, subject: Subject) -> tuple[Place, str]:
    """Return our loader's place for the field that the server names, else the rule's line, else its line."""
    loaded = _loaded(result, subject)
    named = re.search(r"(rules\[(\d+)\][\w.\[\]]*|omitStages\[\d+\])", result.words)
    for finding in loaded.findings:
        if named is None or re.sub(r"(\.resources)\[\d+\]", r"\1", finding.path) == named[1]:
            return Place(subject.policy_name, finding.line, finding.column), finding.path
    if named and named[2] and loaded.policy is not None and int(named[2]) < len(loaded.policy.rules):
        return Place(subject.policy_name, loaded.policy.rules[int(named[2])].line), named[1]
    line = re.search(r"\bline (\d+):", result.words)
    return Place(subject.policy_name, int(line[1]) if line else 0), named[1] if named else ""
