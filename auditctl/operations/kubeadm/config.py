"""``kubeadm check`` and ``persist``: is this node's auditing in kubeadm's own record, and if not, write it there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.kubeadm import configmap
from auditctl.kubeadm.clusterconfiguration import REMOVED_IN, ClusterConfiguration, carried_by_configmap, faults
from auditctl.kubeadm.configmap import Access, Stored
from auditctl.kubeadm.persist import Fate, SettingDifference, differences, plan_persist
from auditctl.manifest.plan import Plan
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.credentials import in_memory
from auditctl.node.change import files
from auditctl.node.change.files import sha256
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.kubeadm.join import of_a_join
from auditctl.operations.policy_source import apply_allowances, version_of
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.system import require_linux

WHERE = f"ConfigMap {configmap.NAMESPACE}/{configmap.NAME}"


class KubeadmRecord(NamedTuple):
    """kubeadm's record as it was read: from the API (``stored``), or from a file (``path``)."""

    configuration: ClusterConfiguration
    stored: Stored | None = None
    path: Path | None = None


def check(plane: ControlPlane, source: Path | None) -> Report:
    """Report whether ``kubeadm upgrade`` keeps the node's settings, by the API's record or the file ``source``.

    Raises:
        RefusedError: the manifest or the record cannot be read; ManifestError: it is not one that kubeadm would read.
    """
    snapshot, manifest = plane.read_manifest()
    record = _record(plane, manifest, source)
    deadly = tuple(_deadly(plane, manifest, record))
    findings = (*deadly, *_differing(record, manifest, deadly))
    where = str(source) if source else WHERE
    summary = f"kubeadm upgrade would keep the audit settings of this node ({where})"
    if deadly:
        summary = f"the API server would not start with {where}: {deadly[0].message}"
    elif findings:
        summary = (
            f"kubeadm upgrade would change the audit settings of this node: {len(findings)} differences from {where}"
        )
    elif not manifest.audit_flags:
        summary = f"auditing is off on this node and in {where}"
    return Report(
        command="kubeadm check",
        outcome=Outcome.NEGATIVE if findings else Outcome.UNCHANGED,
        summary=summary,
        manifest=ManifestChange(path=str(plane.manifest_path), before=snapshot.sha256, after=snapshot.sha256),
        findings=findings,
        next_steps=("auditctl kubeadm persist",) if findings and not source else (),
        details={
            "kubeadmConfig": {
                "source": where,
                "differences": [_row(one) for one in differences(record.configuration, manifest)],
            }
        },
    )


def differences_of(
    plane: ControlPlane, manifest: Manifest, source: Path | None, *, plainly: bool = False
) -> tuple[Finding, ...]:
    """Return a finding for each setting that an upgrade would change; errors as in `check`.

    ``plainly`` reads the record without the Kubernetes client, for a command that is to be quick.
    """
    record = _record(plane, manifest, source, plainly=plainly)
    return _all_findings(plane, manifest, record)


def _all_findings(plane: ControlPlane, manifest: Manifest, record: KubeadmRecord) -> tuple[Finding, ...]:
    deadly = tuple(_deadly(plane, manifest, record))
    return (*deadly, *_differing(record, manifest, deadly))


def _deadly(plane: ControlPlane, manifest: Manifest, record: KubeadmRecord) -> Iterator[Finding]:
    """Yield what the API server, or the kubelet, would refuse of a manifest that kubeadm writes from the record."""
    version = version_of(plane, manifest, live=False)
    for problem in faults(record.configuration, version):
        place = problem.place
        fix = f"take it out of {record.path}" if record.path else "auditctl kubeadm persist"
        consequence = "" if "not start" in problem.message else ": the API server would not start"
        yield Finding.error(
            "kubeadm-config",
            f"{problem.message}{consequence}",
            f"{problem.fix}; or {fix}" if problem.fix else fix,
            path=problem.name,
            file=place.file,
            line=place.line,
            column=place.column,
        )


def _differing(record: KubeadmRecord, manifest: Manifest, deadly: tuple[Finding, ...]) -> Iterator[Finding]:
    """Yield each difference; what would keep the server from starting would not "come back"."""
    named = {finding.path for finding in deadly}
    for one in differences(record.configuration, manifest):
        if one.fate is not Fate.BACK or one.setting not in named:
            yield _finding(one, record)


def upgrade_findings(
    plane: ControlPlane, manifest: Manifest, source: Path | None, then: tuple[int, int]
) -> tuple[Finding, ...]:
    """Return what `differences_of` does, and whether the kubeadm of ``then`` can read the record; errors as in `check`."""
    record = _record(plane, manifest, source)
    dialect = record.configuration.dialect
    removed = REMOVED_IN.get(dialect)
    findings = _all_findings(plane, manifest, record)
    if removed is None or then < removed:
        return findings
    where = str(record.path) if record.path else WHERE
    last = f"{removed[0]}.{removed[1] - 1}"
    return (
        Finding.error(
            "kubeadm-dialect",
            f"{where} is kubeadm.k8s.io/{dialect}, which kubeadm no longer reads from {removed[0]}.{removed[1]} on",
            f"convert it with a kubeadm of {last} or older: kubeadm config migrate --old-config FILE --new-config NEW",
            file=where,
        ),
        *findings,
    )


def _record(plane: ControlPlane, manifest: Manifest, source: Path | None, *, plainly: bool = False) -> KubeadmRecord:
    if source:
        return _from_file(source)
    require_linux("reading the ConfigMap (--from FILE reads a file)")
    return _from_api(plane, manifest, plainly=plainly)


def persist(plane: ControlPlane, options: ChangeOptions) -> Report:
    """Write this node's auditing into the ConfigMap.

    Raises:
        RefusedError: it cannot be read, written, or another control plane runs with other audit flags.
    """
    manifest = plane.read_manifest()[1]
    prepared = prepare(plane, manifest, options)
    plan = prepared.plan
    change = ManifestChange(
        path=WHERE,
        before=sha256(plan.before.encode()),
        after=sha256(plan.after.encode()),
        diff=plan.diff(f"{configmap.NAME}/{configmap.KEY}") if plan.changes else "",
        patch=tuple(plan.patch),
        reasons=tuple(edit.reason for edit in plan.edits),
    )
    report = Report(
        command="kubeadm persist",
        outcome=Outcome.UNCHANGED,
        summary="",
        manifest=change,
        findings=prepared.findings,
        show_diff=options.dry_run,
    )
    if plan.changes and options.dry_run:
        return replace(report, summary=f"Dry run, nothing changed: this would be written to the {WHERE}")
    findings = (*report.findings, *of_a_join(plane, manifest))
    if not plan.changes:
        return replace(report, summary=f"No change needed: the {WHERE} has these settings already", findings=findings)
    configmap_write(plane, manifest, prepared)
    summary = f"the {WHERE} has the audit settings of this node: kubeadm upgrade and join keep them"
    return replace(report, outcome=Outcome.CHANGED, changed=True, summary=summary, findings=findings)


class PreparedRecord(NamedTuple):
    """What would be written, and what has to be said of it."""

    plan: Plan
    stored: Stored
    findings: tuple[Finding, ...]


def prepare(plane: ControlPlane, after: Manifest, options: ChangeOptions) -> PreparedRecord:
    """Decide, before anything is edited, what goes into the record for the manifest ``after``.

    Raises:
        RefusedError: no record, a text that cannot be edited exactly, or other control planes differ.
    """
    record = _from_api(plane, after)
    assert record.stored is not None  # noqa: S101 (read from the API)
    findings = apply_allowances(tuple(_others(plane, after)), options)
    return PreparedRecord(plan_persist(record.configuration, after), record.stored, findings)


def configmap_write(plane: ControlPlane, manifest: Manifest, prepared: PreparedRecord) -> None:
    """Write what was prepared.

    Raises:
        RefusedError: somebody has written it since (nothing is lost), or the API refuses.
    """
    plane.progress.step(f"writing the audit settings to the {WHERE}")
    with access(plane, manifest) as reached:
        configmap.write(reached, prepared.stored, prepared.plan.after)


def write_anew(plane: ControlPlane, manifest: Manifest) -> bool:
    """Read the record again (a restart takes its time), and write what the manifest says; False where it does already.

    Raises:
        RefusedError: somebody has written it in between (nothing is lost), or the API refuses.
    """
    record = _from_api(plane, manifest)
    assert record.stored is not None  # noqa: S101 (read from the API)
    plan = plan_persist(record.configuration, manifest)
    if plan.changes:
        configmap_write(plane, manifest, PreparedRecord(plan, record.stored, ()))
    return plan.changes


@contextmanager
def access(plane: ControlPlane, manifest: Manifest) -> Iterator[Access]:
    """Yield this node's own API server with the credentials of the run; keys stay in memory.

    Raises:
        RefusedError: there are no credentials.
    """
    credentials, endpoint = plane.credentials(), plane.endpoint(manifest)
    if credentials.anonymous:
        raise RefusedError(
            f"no credentials to read the {WHERE} with", check="kubeconfig", fix="specify some with --kubeconfig"
        )
    authority = credentials.authority.decode(errors="replace")
    if not authority:
        authority = "".join(files.read(path, "certificate authority").content.decode() for path in endpoint.authorities)
    with in_memory(credentials.certificate) as certificate, in_memory(credentials.key) as key:
        paths = (certificate, key) if credentials.certificate else ("", "")
        yield Access(str(endpoint), authority, *paths, credentials.token)


def _from_api(plane: ControlPlane, manifest: Manifest, *, plainly: bool = False) -> KubeadmRecord:
    with access(plane, manifest) as reached:
        stored = configmap.read(reached, plainly=plainly)
    return KubeadmRecord(ClusterConfiguration.parse(stored.text, f"{configmap.NAME}/{configmap.KEY}"), stored)


def _from_file(path: Path) -> KubeadmRecord:
    text = files.read_following(path, "kubeadm configuration").decode(errors="replace")
    carried = carried_by_configmap(text, str(path))
    name = f"{path} ({configmap.KEY})" if carried is not None else str(path)
    return KubeadmRecord(ClusterConfiguration.parse(text if carried is None else carried, name), path=path)


def _others(plane: ControlPlane, after: Manifest) -> Iterator[Finding]:
    """Yield an error where another node would start with these flags, and perhaps without the files."""
    with access(plane, after) as reached:
        pods = configmap.apiservers(reached)
    own = plane.endpoint(after).address
    for pod in pods:
        # our own mirror Pod may still show what it ran before
        if pod.audit_flags != after.audit_flags and len(pods) > 1 and pod.address != own:
            yield Finding.error(
                "other-control-planes",
                f"the kube-apiserver of node {pod.node} does not run with the same audit flags, and kubeadm upgrade would give it these",
                "run the same enable there first, or use --allow other-control-planes",
            )


def _finding(one: SettingDifference, record: KubeadmRecord) -> Finding:
    shown = one.configuration if one.fate is Fate.BACK else one.manifest
    text = {
        Fate.LOST: f"{one.setting} ({shown}) would be lost: the record of kubeadm does not have it",
        Fate.CHANGED: f"{one.setting} is {one.manifest} on this node, and would become {one.configuration}",
        Fate.BACK: f"{one.setting} ({shown}) would come back: the record of kubeadm has it, and this node has not",
    }[one.fate]
    fix = "auditctl kubeadm persist"
    if record.path:
        fix = f"{'take it out of' if one.fate is Fate.BACK else 'write it into'} {record.path}"
    return Finding.error("kubeadm-config", text, fix, path=one.setting)


def _row(one: SettingDifference) -> dict[str, str | None]:
    row = {"fate": one.fate.value, "setting": one.setting}
    return {**row, "manifest": one.manifest, "kubeadmConfig": one.configuration}
