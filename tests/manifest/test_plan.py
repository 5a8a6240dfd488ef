"""The annotation, and the plan itself: patch, reasons, diff, proof."""

from __future__ import annotations

import pytest

from auditctl.errors import BugError, ManifestError, RefusedError
from auditctl.manifest.plan import Edit, Plan, plan_annotation, plan_disable, prove
from auditctl.settings import Settings

from .pods import POLICY, annotated, disabled, enabled, enabling, manifest, small, with_mount

DIGEST = "0123456789abcdef" * 4


def test_the_annotation_is_made_changed_and_taken_out() -> None:
    first = annotated(small(), DIGEST)
    assert first == small(("  labels:", f"  annotations:\n    auditctl/policy-sha256: {DIGEST}\n  labels:"))
    plan = plan_annotation(manifest(first), "f" * 64)
    assert plan.after == first.replace(DIGEST, "f" * 64)
    assert plan.patch == [{"op": "replace", "path": "/metadata/annotations/auditctl~1policy-sha256", "value": "f" * 64}]
    assert not plan_annotation(manifest(first), DIGEST).changes
    assert disabled(first) == small()
    assert disabled(enabled(small(), sha256=DIGEST)) == small()


def test_the_annotation_goes_in_order_beside_others() -> None:
    text = small(("  labels:", "  annotations:\n    a: b\n    kubeadm: x\n  labels:"))
    assert f"    a: b\n    auditctl/policy-sha256: {DIGEST}\n    kubeadm: x\n" in annotated(text, DIGEST)
    assert disabled(annotated(text, DIGEST)) == text
    unsorted = small(("  labels:", "  annotations:\n    z: b\n    a: x\n  labels:"))
    assert f"    a: x\n    auditctl/policy-sha256: {DIGEST}\n" in annotated(unsorted, DIGEST)


def test_blank_lines_that_a_value_keeps_stay_with_it() -> None:
    text = small(("  labels:", "  annotations:\n    a: |+\n      x\n\n\n    b: y\n  labels:"))
    assert f"      x\n\n\n    auditctl/policy-sha256: {DIGEST}\n    b: y\n" in annotated(text, DIGEST)
    assert disabled(annotated(text, DIGEST)) == text


def test_a_comment_beside_the_annotation_stays() -> None:
    text = annotated(small(), DIGEST).replace("    auditctl/", "    # ours\n    auditctl/")
    assert "  # ours\n" in disabled(text)


@pytest.mark.parametrize("digest", ["1" * 64, "1" * 62 + "e5"])
def test_a_digest_that_yaml_would_take_for_a_number_is_quoted(digest: str) -> None:
    assert manifest(annotated(small(), digest)).annotations["auditctl/policy-sha256"] == digest


def test_what_is_not_a_digest_is_refused() -> None:
    with pytest.raises(RefusedError):
        annotated(small(), "0x" + "1" * 62)


def test_annotations_in_flow_style_cannot_grow() -> None:
    with pytest.raises(ManifestError, match="flow style"):
        annotated(small(("  labels:", "  annotations: {a: b}\n  labels:")), DIGEST)
    with pytest.raises(ManifestError, match="has no entries"):
        annotated(small(("  labels:", "  annotations:\n  labels:")), DIGEST)


def test_the_edits_are_a_sequential_patch_with_reasons() -> None:
    plan = enabling(small())
    assert plan.patch[0] == {"op": "add", "path": "/spec/containers/0/command/2", "value": "--audit-log-maxage=30"}
    assert plan.patch[4] == {"op": "add", "path": "/spec/containers/0/command/6", "value": POLICY}
    assert plan.patch[5] == {
        "op": "add",
        "path": "/spec/containers/0/volumeMounts/0",
        "value": {"mountPath": "/var/log/kubernetes/audit", "name": "audit-log"},
    }
    assert [edit.operation["path"] for edit in plan.edits[6:]] == [
        "/spec/containers/0/volumeMounts/1",
        "/spec/volumes/0",
        "/spec/volumes/1",
    ]
    assert all(edit.reason for edit in plan.edits)
    assert plan.edits[0].reason == "--audit-log-maxage=30: the default, where the manifest sets nothing"
    gone = plan_disable(manifest(plan.after))
    assert [edit.operation["op"] for edit in gone.edits] == ["remove"] * 9
    assert gone.edits[0].reason == "--audit-policy-file: auditing is switched off"


def test_the_diff_is_one_that_patch_understands() -> None:
    text = small().removesuffix("status: {}\n").removesuffix("\n")
    diff = enabling(text).diff("/etc/kubernetes/manifests/kube-apiserver.yaml")
    assert diff.startswith(
        "--- a/etc/kubernetes/manifests/kube-apiserver.yaml\n+++ b/etc/kubernetes/manifests/kube-apiserver.yaml\n@@ "
    )
    assert "\n+    - --audit-log-maxage=30\n" in diff
    assert "     name: k8s-certs\n\\ No newline at end of file\n" in diff


def test_the_diff_of_a_change_in_the_last_lines_does_not_speak_of_a_missing_line_end() -> None:
    assert "No newline" not in enabling(with_mount("/srv/x", "a").replace("status: {}\n", "")).diff("m")


def test_a_text_without_a_final_line_end_keeps_having_none() -> None:
    command_last = (
        "kind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - image: x\n    command:\n    - kube-apiserver"
    )
    for text in (command_last, command_last + "\n    - --v=2", command_last.replace("\n", "\r\n"), small()[:-1]):
        assert not enabled(text).endswith("\n")
        assert disabled(enabled(text)) == text
        moved = enabled(enabled(text), Settings(log_path="/srv/audit/a.log", webhook=True))
        assert disabled(moved) == text


def test_a_plan_that_does_not_say_what_its_patch_says_is_a_bug_of_ours() -> None:
    good = enabling(small())
    assert prove(good).text == good.after
    for bad in (
        Plan(good.before, good.after, good.edits[:-1]),
        Plan(good.before, good.after.replace("maxage=30", "maxage=31"), good.edits),
        Plan(good.before, "a: [", good.edits),
        Plan(good.before, good.after, (Edit({"op": "remove", "path": "/nowhere"}, ""),)),
    ):
        with pytest.raises(BugError):
            prove(bad)
