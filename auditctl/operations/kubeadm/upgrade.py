"""``kubeadm preflight-upgrade``: what the same settings mean to another version of the API server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from auditctl import facts
from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.placement import kubeadm_sorts
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.kubeadm.config import upgrade_findings
from auditctl.operations.policy_files import server_version, unknown_version, words
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Policy
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import LOG_FLAG, MAXSIZE_FLAG, POLICY_FLAG, STANDARD_OUTPUT

Version = tuple[int, int]
_EXEC_IS_A_GET_SINCE = (1, 30)  # kubectl 1.30: exec, attach and port-forward over WebSockets
_SESSIONS = ("exec", "attach", "portforward")
_ZERO_MEANS_UNLIMITED_SINCE = (1, 36)


def preflight_upgrade(plane: ControlPlane, target: str, source: Path | None) -> Report:
    """Compare what this node's audit settings mean now and to version ``asked``; any difference is a finding.

    Raises:
        RefusedError: the manifest cannot be read; UsageError: ``asked`` is no version.
    """
    snapshot, manifest = plane.read_manifest()
    now, then = server_version(plane, None), server_version(plane, target)
    complaints = tuple(_findings(plane, manifest, now, then, source)) if manifest.audit_flags else ()
    changed = [finding for finding in complaints if finding.severity is not Severity.INFO]
    summary = f"from {words(now)} to {words(then)} the audit settings of this node keep their meaning"
    unknown = tuple(_unknown(now, then))
    complaints = (*unknown, *complaints)
    changed = [*unknown, *changed]
    if changed:
        summary = f"from {words(now)} to {words(then)}: {len(changed)} finding{'' if len(changed) == 1 else 's'} to act on first"
    elif not manifest.audit_flags:
        summary = "auditing is off on this node: nothing to lose"
    return Report(
        command="kubeadm preflight-upgrade",
        outcome=Outcome.NEGATIVE if changed else Outcome.UNCHANGED,
        summary=summary,
        manifest=ManifestChange(path=str(plane.manifest_path), before=snapshot.sha256, after=snapshot.sha256),
        findings=complaints,
        details={"from": ".".join(map(str, now)), "to": ".".join(map(str, then))},
    )


def _unknown(now: Version, then: Version) -> Iterator[Finding]:
    """Yield what makes the question one that cannot be answered: a version beyond the tables, or one that goes back."""
    for text in unknown_version(then):
        fix = "read the changes of that version to --audit-* and audit.k8s.io, or use a newer auditctl"
        yield Finding.warning("version-unknown", text, fix)
    if then < now:
        text = f"{words(then)} is older than this node's {words(now)}: kubeadm upgrade does not go back"
        yield Finding.warning("version-older", text, "specify the version that you upgrade to")


def _findings(
    plane: ControlPlane, manifest: Manifest, now: Version, then: Version, source: Path | None
) -> Iterator[Finding]:
    yield from _flags(manifest, now, then)
    yield from _policy(plane, manifest, now, then)
    yield from _record(plane, manifest, source, then)
    if kubeadm_sorts((*now, 0)) and not kubeadm_sorts((*then, 0)):
        text = "the new kubeadm writes extra flags behind its own, in their own order: the manifest will look different and mean the same"
        yield Finding.note("flag-order", text)


def _flags(manifest: Manifest, now: Version, then: Version) -> Iterator[Finding]:
    path = str(manifest.document.name)
    for name, flag in facts.audit_flags().items():
        value = manifest.flag(name)
        if value is not None and (*then, 0) < flag.since != facts.TABLE_BEGINS:
            yield Finding.error(
                "flag-version",
                f"kube-apiserver {then[0]}.{then[1]} does not know --{name}, and would not start",
                f"auditctl enable --unset {name}",
                file=path,
            )
        before, after = flag.default((*now, 0)), flag.default((*then, 0))
        if value is None and before != after and _matters(manifest, name):
            yield Finding.warning(
                "flag-default",
                f"--{name} is not set, and its default changes from {before} to {after}",
                f"say which you want: auditctl enable --set {name}=VALUE",
                file=path,
            )
    if manifest.flag(MAXSIZE_FLAG) == "0" and now < _ZERO_MEANS_UNLIMITED_SINCE <= then:
        yield Finding.warning(
            "flag-meaning",
            f"--{MAXSIZE_FLAG}=0 means 100 megabytes now, and no rotation at all from 1.36 on",
            "auditctl enable --log-maxsize 100",
            file=path,
        )


def _matters(manifest: Manifest, name: str) -> bool:
    """Tell whether a default matters: one of the log does not where there is no log file to rotate."""
    return not name.startswith("audit-log-") or manifest.flag(LOG_FLAG) not in (None, "", STANDARD_OUTPUT)


def _policy(plane: ControlPlane, manifest: Manifest, now: Version, then: Version) -> Iterator[Finding]:
    host = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    if host is None:
        return
    try:
        raw = files.read_regular(host, "policy")
    except RefusedError as error:
        yield Finding.error("policy-missing", error.message, error.fix)
        return
    before, after = load(raw, now), load(raw, then)
    if after.policy is None:
        yield from (replace(finding, file=str(host)) for finding in after.findings)
        text = f"kube-apiserver {then[0]}.{then[1]} would refuse this policy and not start: {after.error}"
        yield Finding.error("policy", text, f"auditctl policy convert {host}", file=str(host))
        return
    for path in sorted(set(after.dropped) - set(before.dropped)):
        text = f"{path} is known to {now[0]}.{now[1]} and would be dropped by {then[0]}.{then[1]}"
        yield Finding.error("dropped-fields", text, path=path, file=str(host))
    if now < _EXEC_IS_A_GET_SINCE <= then:
        yield from _sessions(after.policy, str(host))


def _sessions(policy: Policy, file: str) -> Iterator[Finding]:
    for subresource in _SESSIONS:
        over_post = evaluate(policy, parse(f"create pods/{subresource} web in prod by alice"))
        over_get = evaluate(policy, parse(f"get pods/{subresource} web in prod by alice"))
        if over_get.level < over_post.level:
            text = (
                f"kubectl {subresource} is recorded at {over_post.level.value} as a POST, and from kubectl 1.30 on it is a "
                f"GET, which is recorded at {over_get.level.value}"
            )
            yield Finding.warning("exec-over-get", text, "name no verbs in that rule", file=file)


def _record(plane: ControlPlane, manifest: Manifest, source: Path | None, then: Version) -> Iterator[Finding]:
    """Yield what kubeadm itself would take out; a note where no API server can be asked."""
    try:
        yield from upgrade_findings(plane, manifest, source, then)
    except RefusedError as error:
        if source is not None:
            raise
        text = f"whether kubeadm-config carries these settings is not known: {error.message}"
        yield Finding.note("kubeadm-config", text, error.fix or "auditctl kubeadm check")
