"""``kubeadm render``: the node's audit settings, or the defaults, written for another tool."""

from __future__ import annotations

import os
from collections.abc import Mapping

from auditctl.errors import RefusedError, UsageError
from auditctl.kubeadm.job import job
from auditctl.kubeadm.persist import Extras, extras_of
from auditctl.kubeadm.render import RenderFormat, extras_for, render
from auditctl.manifest.flag_targets import wanted_flags
from auditctl.manifest.pod import Manifest
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import server_version
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import Settings


def rendered(
    plane: ControlPlane,
    form: str,
    kubernetes: str | None,
    set_flags: Mapping[str, str],
    *,
    image: str | None = None,
    node: str | None = None,
) -> Report:
    """Return a report whose summary is the text itself, so that it can be piped.

    Raises:
        UsageError: no such form or version, or ``image`` or ``node`` where none is wanted; RefusedError: the manifest, or a flag, cannot be what is asked.
    """
    try:
        wanted = RenderFormat(form)
    except ValueError:
        known = ", ".join(one.value for one in RenderFormat)
        raise UsageError(f"--as {form}: not one of {known}") from None
    if wanted is not RenderFormat.JOB and (image or node):
        raise UsageError(f"--as {form}: --image and --node are for --as job")
    manifest = _manifest(plane)
    version = server_version(plane, kubernetes)
    extras = _extras(manifest, set_flags, version)
    text = (
        job(image, node or os.uname().nodename, set_flags)
        if wanted is RenderFormat.JOB
        else render(wanted, extras, version)
    )
    return Report(
        "kubeadm render",
        Outcome.UNCHANGED,
        text.rstrip("\n"),
        ManifestChange(str(plane.manifest_path)),
        details={"form": wanted.value, "text": text},
    )


def _manifest(plane: ControlPlane) -> Manifest | None:
    """None where this machine is no control plane: then the defaults are rendered."""
    if not plane.manifest_path.exists():
        return None
    return plane.read_manifest()[1]


def _extras(manifest: Manifest | None, set_flags: Mapping[str, str], version: tuple[int, int]) -> Extras:
    current = manifest.audit_flags if manifest else {}
    if manifest is not None and current and not set_flags:
        return extras_of(manifest)
    wanted = wanted_flags(current, Settings(set_flags=set_flags), (*version, 0))
    if not wanted.values:
        raise RefusedError("there is nothing to render", check="settings")
    return extras_for(wanted.values)
