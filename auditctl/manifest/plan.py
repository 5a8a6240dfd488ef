"""The difference between what the manifest says and what it should say: edits, the new text, and the proof.

A plan is the only way to a new text. Each is proved before it is handed out: the new text, read again, must equal the
old value with the RFC 6902 patch performed on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import unified_diff
from functools import partial
from typing import Any, NamedTuple

from auditctl.errors import BugError, ManifestError, RefusedError
from auditctl.findings import Finding
from auditctl.manifest.blocks import Path, entry_step, mapping_block
from auditctl.manifest.document import Document
from auditctl.manifest.edits import Edit, PlanDraft
from auditctl.manifest.flag_targets import FlagTarget, flag_target
from auditctl.manifest.mount_plan import MountPlan, audit_paths, plan_mounts
from auditctl.manifest.pod import Manifest
from auditctl.manifest.pod_edits import edit_flags, edit_mounts
from auditctl.manifest.yaml_scalars import spelled
from auditctl.redaction import redacted
from auditctl.settings import ENDING_ANNOTATION, LOG_FLAG, POLICY_ANNOTATION, Settings

__all__ = ["Edit", "Plan", "plan_annotation", "plan_disable", "plan_enable", "plan_ending", "prove"]

FIRST_WITH_POLICIES = (1, 7, 0)
ANNOTATIONS: Path = ("metadata", "annotations")


class Plan(NamedTuple):
    """Old text, new text, the edits between them in the order of a sequential patch, and what else has to be said.

    ``target`` is the new text read as a Pod; None where nothing changes.
    """

    before: str
    after: str
    edits: tuple[Edit, ...] = ()
    findings: tuple[Finding, ...] = ()
    target: Manifest | None = None

    @property
    def changes(self) -> bool:
        """Tell whether anything is to be written."""
        return self.before != self.after

    @property
    def patch(self) -> list[dict[str, Any]]:
        """Return the edits as an RFC 6902 patch."""
        return [edit.operation for edit in self.edits]

    def diff(self, name: str) -> str:
        """Return the unified diff of the text, with ``name`` in both headers; empty where nothing changes.

        It is for people: secrets that stand beside a change are hidden.
        """
        before, after = (re.split("(?<=\n)", text) for text in (self.before, self.after))
        lines = unified_diff(
            _without_empty(before), _without_empty(after), f"a/{name.lstrip('/')}", f"b/{name.lstrip('/')}"
        )
        return redacted(
            "".join(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines)
        )


def _without_empty(lines: list[str]) -> list[str]:
    return [line for line in lines if line]


def plan_enable(manifest: Manifest, settings: Settings, *, policy_sha256: str | None = None) -> Plan:
    """Return the plan that makes the manifest audit as ``settings`` say; with a digest, the annotation is set to it.

    Raises RefusedError for settings that cannot work, ManifestError for a manifest that cannot be edited exactly.
    """
    target = flag_target(manifest.audit_flags, settings, manifest.version)
    mounts = plan_mounts(manifest, target.values)
    mounts.findings += _version_findings(manifest)
    draft = PlanDraft(manifest.document)
    edit_flags(draft, manifest, target)
    edit_mounts(draft, manifest, mounts)
    if policy_sha256 is not None:
        _set_policy_annotation(draft, manifest, policy_sha256)
    return _finished(draft, mounts, partial(_paths_resolve, mounts))


def _version_findings(manifest: Manifest) -> list[Finding]:
    version = manifest.version
    if version is None or version >= FIRST_WITH_POLICIES:
        return []
    message = f"kube-apiserver {'.'.join(map(str, version))} knows no audit policy: it came with 1.7"
    return [Finding.warning("too-old-server", message, "upgrade the cluster first")]


def plan_disable(manifest: Manifest) -> Plan:
    """Return the plan that takes out every audit flag, every mount and volume that serves nothing else, our annotation.

    Raises ManifestError for a manifest that cannot be edited exactly.
    """
    target = FlagTarget({}, dict.fromkeys(manifest.audit_flags, "auditing is switched off"))
    mounts = plan_mounts(manifest, {})
    draft = PlanDraft(manifest.document)
    edit_flags(draft, manifest, target)
    edit_mounts(draft, manifest, mounts)
    _drop_annotation(draft, manifest)
    return _finished(draft, mounts, _no_audit_flags)


def plan_annotation(manifest: Manifest, sha256: str) -> Plan:
    """Return the plan that only sets our annotation: it replaces the Pod, so that a new policy is loaded."""
    draft = PlanDraft(manifest.document)
    _set_policy_annotation(draft, manifest, sha256)
    return _finished(draft, MountPlan(), lambda _: None)


def plan_ending(manifest: Manifest, mark: str) -> Plan:
    """Return the plan that only ends the running Pod: the same settings, and an annotation with ``mark``.

    Raises ManifestError for a manifest that cannot be edited exactly.
    """
    draft = PlanDraft(manifest.document)
    _set_annotation(draft, manifest, ENDING_ANNOTATION, mark, "another annotation ends the Pod")
    return _finished(draft, MountPlan(), lambda _: None)


def prove(plan: Plan, name: str = "the new manifest") -> Document:
    """Return the new text read again, once it equals the old value with the patch performed on it.

    Raises BugError where it does not: then nothing may be written.
    """
    return _proved(plan, Document.of_text(plan.before, name))


def _proved(plan: Plan, before: Document) -> Document:
    import jsonpatch as library  # here, because nothing else needs it and --help must not wait for it

    jsonpatch: Any = library  # its stubs want a TypedDict an operation
    try:
        after = Document.of_text(plan.after, before.name)
        expected = jsonpatch.JsonPatch(plan.patch).apply(before.value)
    except (ManifestError, jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise BugError(f"the proof of the edit failed ({error}); nothing was written", check="proof") from error
    if after.value != expected:
        raise BugError("the new text does not say what the patch says; nothing was written", check="proof")
    return after


def _finished(draft: PlanDraft, mounts: MountPlan, check: Callable[[Manifest], None]) -> Plan:
    document = draft.document
    plan = Plan(document.text, draft.text(), tuple(draft.edits), tuple(mounts.findings))
    if not draft.edits:
        return plan
    after = Manifest.of(_proved(plan, document))
    check(after)
    mount_paths = [mount.path for mount in after.mounts]
    if len(set(mount_paths)) < len(mount_paths):
        raise ManifestError(
            "two mounts have one mountPath: the kubelet would refuse the Pod",
            place=document.place(after.container_path),
        )
    return plan._replace(target=after)


def _paths_resolve(mounts: MountPlan, after: Manifest) -> None:
    """Raise unless every audit file is on the host, but for a log of which a finding says that it is not."""
    said = any(finding.check == "log-not-mounted" for finding in mounts.findings)
    for flag, path in audit_paths(after.audit_flags).items():
        if after.host_path(path) is None and not (said and flag == LOG_FLAG):
            raise BugError(f"no mount would cover {path}; nothing was written", check="proof")


def _no_audit_flags(after: Manifest) -> None:
    if after.audit_flags:
        raise BugError(f"audit flags would be left: {sorted(after.audit_flags)}; nothing was written", check="proof")


def _set_policy_annotation(draft: PlanDraft, manifest: Manifest, sha256: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise RefusedError(f"{sha256!r} is no SHA-256 digest", check="annotation")
    reason = "the policy has changed: a new annotation replaces the Pod"
    _set_annotation(draft, manifest, POLICY_ANNOTATION, sha256, reason)


def _set_annotation(draft: PlanDraft, manifest: Manifest, name: str, value: str, reason: str) -> None:
    path: Path = (*ANNOTATIONS, name)
    present = manifest.annotations.get(name)
    if present == value:
        return
    line = f"{name}: {spelled(value)}"
    if present is not None:
        draft.respell(path, value, reason)
    elif "annotations" in manifest.document.value["metadata"]:
        draft.add_key(path, value, [line], reason)
    else:
        step = " " * entry_step(draft.document, ("metadata",))
        draft.add_key(ANNOTATIONS, {name: value}, ["annotations:", step + line], reason)


def _drop_annotation(draft: PlanDraft, manifest: Manifest) -> None:
    if POLICY_ANNOTATION not in manifest.annotations:
        return
    reason = "our annotation, no longer needed"
    if len(manifest.annotations) > 1:
        draft.drop_key((*ANNOTATIONS, POLICY_ANNOTATION), reason)
        return
    draft.removed.append(mapping_block(draft.document, ANNOTATIONS).spans[0])
    draft.drop_key(ANNOTATIONS, reason, keep_value_lines=True)


def plan_between(manifest: Manifest, target: str) -> Plan:
    """Return the plan from a manifest to a text that is known already (a saved original, or one without our lines).

    Raises:
        ManifestError: the target is not a manifest that can be read.
    """
    from jsonpatch import make_patch

    if target == manifest.document.text:
        return Plan(target, target)
    after = Manifest.of(Document.parse(target.encode(), manifest.document.name))
    operations = make_patch(manifest.document.value, after.document.value).patch
    edits = tuple(Edit(operation, "as it was before the change") for operation in operations)
    return Plan(manifest.document.text, target, edits, target=after)
