"""``kubeadm render``: the node's audit settings, or the defaults, written for another tool."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping

from auditctl import facts
from auditctl.errors import RefusedError, UsageError
from auditctl.kubeadm.persist import Extras, extras_of
from auditctl.kubeadm.render import JobPolicy, RenderFormat, extras_for, job, render
from auditctl.kubeadm.render_tools import TOOLS, WITHOUT_POLICY, PolicyForTool, policy_place, render_tool
from auditctl.manifest.flag_targets import flag_target
from auditctl.manifest.pod import Manifest
from auditctl.node.preflight.node_checks import host_of
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import Version, read, server_version, understood
from auditctl.operations.policy_source import DEFAULT_POLICY
from auditctl.policy.embedded import embedded_policies
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import POLICY_FLAG, Settings

FORMS = (*(form.value for form in RenderFormat), *TOOLS)
"""The values of ``--as``."""


def rendered(
    plane: ControlPlane,
    form: str,
    kubernetes: str | None,
    set_flags: Mapping[str, str],
    *,
    image: str | None = None,
    node: str | None = None,
    policy: str | None = None,
) -> Report:
    """Return a report whose summary is the text itself, so that it can be piped.

    ``policy`` goes along where a tool carries it; default: the node's own, else the shipped one. Else a comment says more.

    Raises:
        UsageError: no such form or version, ``image`` or ``node`` for another form than the Job, ``policy`` for patches.
        RefusedError: the manifest, a flag or the policy cannot be rendered.
    """
    _refuse_unfit_options(form, for_job=bool(image or node), policy=bool(policy))
    manifest = _manifest(plane)
    version = server_version(plane, kubernetes)
    extras = _extras(manifest, set_flags, version)
    named = _policy(plane, manifest, policy, version) if policy or form in TOOLS else None
    shipped = policy if policy in facts.policy_names() else ""
    if form in TOOLS and named is not None:
        text = render_tool(form, extras, named)
    elif form == RenderFormat.JOB.value:
        carried = JobPolicy(name=shipped, text=named.text if named and not shipped else "")
        text = job(image, node or os.uname().nodename, set_flags, carried)
    else:
        text = render(RenderFormat(form), extras, version, policy_file="" if shipped else policy or "")
    if policy:
        text = _with_steps_before(text, form, policy, extras)
    return Report(
        command="kubeadm render",
        outcome=Outcome.UNCHANGED,
        summary=text.rstrip("\n"),
        manifest=ManifestChange(path=str(plane.manifest_path)),
        details={"form": form, "text": text},
    )


def _policy(plane: ControlPlane, manifest: Manifest | None, name: str | None, version: Version) -> PolicyForTool:
    """Return the policy to carry, judged first: a machine that a tool makes with a refused one does not start.

    Raises:
        PolicyError: the server would refuse it; RefusedError: it cannot be read.
    """
    host = host_of(plane.root, manifest, POLICY_FLAG) if manifest is not None and name is None else None
    text = read(name or (str(host) if host is not None else DEFAULT_POLICY))
    policy = understood(text, version).policy
    inside = embedded_policies(text.raw)
    raw = inside[0].raw.lstrip(b"\n") if inside else text.raw
    try:
        return PolicyForTool(raw.decode("utf-8-sig").replace("\r\n", "\n"), policy)
    except UnicodeDecodeError:
        raise RefusedError(f"{text.name}: not UTF-8, as other tools read it", check="encoding") from None


def _refuse_unfit_options(form: str, *, for_job: bool, policy: bool) -> None:
    if form not in FORMS:
        raise UsageError(f"--as {form}: not one of {', '.join(FORMS)}")
    if form != RenderFormat.JOB.value and for_job:
        raise UsageError(f"--as {form}: --image and --node are for --as job")
    if form == RenderFormat.PATCHES.value and policy:
        raise UsageError("--as patches: a patch has no place for a policy, so leave --policy out")


def _with_steps_before(text: str, form: str, policy: str, extras: Extras) -> str:
    """Return the text with a comment for what has to be done before, where the text does not carry the policy."""
    place = policy_place(extras)
    if policy in facts.policy_names():
        if form == RenderFormat.KIND.value:
            return f"# First: auditctl policy show {policy} > ./{posixpath.basename(place)}\n{text}"
        policy = f"shipped: {policy}"
    if form == RenderFormat.CLUSTER_CONFIGURATION.value:
        return f"# Not carried: put the policy ({policy}) at {place} of every control plane first.\n{text}"
    if form in WITHOUT_POLICY:
        trap, rest = text.split("\n", 1)
        return f"{trap}\n# Not carried: put the policy ({policy}) at {place} of every server node first.\n{rest}"
    return text


def _manifest(plane: ControlPlane) -> Manifest | None:
    """Return the manifest; None where this machine is no control plane: then the defaults are rendered."""
    if not plane.manifest_path.exists():
        return None
    return plane.read_manifest()[1]


def _extras(manifest: Manifest | None, set_flags: Mapping[str, str], version: tuple[int, int]) -> Extras:
    current = manifest.audit_flags if manifest else {}
    if manifest is not None and current and not set_flags:
        return extras_of(manifest)
    chosen = flag_target(current, Settings(set_flags=set_flags), (*version, 0))
    if not chosen.values:
        raise RefusedError("there is nothing to render", check="settings")
    return extras_for(chosen.values)
