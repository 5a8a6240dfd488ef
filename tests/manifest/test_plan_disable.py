"""What disable takes out, and what it leaves."""

from __future__ import annotations

import pytest

from auditctl.errors import ManifestError
from auditctl.manifest.plan import plan_disable

from .pods import disabled, enabled, manifest, small, with_flags


def test_disable_takes_out_every_audit_flag_also_unknown_ones_and_values() -> None:
    text = with_flags(
        "--audit-dynamic-configuration=true", "--audit-log-maxage", "'3'", "--audit-log-path=-", "--audit_log_compress"
    )
    assert disabled(text) == small()


def test_disable_of_nothing_is_nothing() -> None:
    plan = plan_disable(manifest(small()))
    assert (plan.changes, plan.edits, plan.diff("m")) == (False, (), "")


HAND = with_flags(
    "--audit-policy-file=/etc/kubernetes/audit-policy.yaml", "--audit-log-path=/var/log/kubernetes/audit/audit.log"
)


def hand_written(*mounts: tuple[str, str], flags: str = "") -> str:
    text = HAND.replace("    - --audit-policy", f"{flags}    - --audit-policy")
    entries = "".join(f"    - name: {name}\n      mountPath: {path}\n" for name, path in mounts)
    volumes = "".join(f"  - name: {name}\n    hostPath:\n      path: {path}\n" for name, path in mounts)
    return text.replace("  hostNetwork", entries + "  hostNetwork").replace("status: {}", volumes + "status: {}")


@pytest.mark.parametrize(
    ("mounts", "flags", "left"),
    [
        ([("a", "/etc/kubernetes/audit-policy.yaml"), ("b", "/var/log/kubernetes/audit")], "", []),
        ([("audit-log", "/var/log/kubernetes")], "", []),
        ([("a", "/var/log/kubernetes")], "", ["a"]),
        ([("audit", "/etc/kubernetes"), ("audit-log", "/var/log")], "", ["audit", "audit-log"]),
        ([("ca-certs", "/var/log/kubernetes/audit")], "", ["ca-certs"]),
        ([("a", "/var/log/kubernetes/audit")], "    - --x=/var/log/kubernetes/audit/x,b\n", ["a"]),
        ([("a", "/var/log/kubernetes/audit")], "    - --x=/var/log/kubernetes/audit-b\n", []),
        ([("other", "/srv/other")], "", ["other"]),
        ([("etcd-certs-0", "/var/log/kubernetes/audit")], "", ["etcd-certs-0"]),
    ],
)
def test_disable_takes_out_the_mounts_that_serve_nothing_else(
    mounts: list[tuple[str, str]], flags: str, left: list[str]
) -> None:
    pod = manifest(disabled(hand_written(*mounts, flags=flags)))
    assert [mount.name for mount in pod.mounts] == ["k8s-certs", *left]
    assert [volume.name for volume in pod.volumes] == ["k8s-certs", *left]


@pytest.mark.parametrize(
    ("path", "mount", "goes"),
    [
        ("/etc/kubernetes/policies/p.yaml", "/etc/kubernetes/policies", True),
        ("/etc/kubernetes/policies/p.yaml", "/etc/kubernetes/policies/p.yaml", True),
        ("/srv/audit/deep/p.yaml", "/srv/audit", True),
        ("/srv/other/deep/p.yaml", "/srv/other", False),
    ],
)
def test_a_mount_goes_where_it_is_the_file_its_directory_or_called_audit(path: str, mount: str, goes: bool) -> None:
    text = hand_written(("a", mount)).replace("/etc/kubernetes/audit-policy.yaml", path)
    assert [one.name for one in manifest(disabled(text)).mounts] == ["k8s-certs", *([] if goes else ["a"])]


def test_a_path_in_environment_or_probe_keeps_a_mount() -> None:
    text = hand_written(("a", "/var/log/kubernetes/audit")).replace(
        "    image:", "    env:\n    - name: A\n      value: x:/var/log/kubernetes/audit\n    image:"
    )
    assert [mount.name for mount in manifest(disabled(text)).mounts] == ["k8s-certs", "a"]


def test_a_volume_that_another_container_mounts_stays() -> None:
    for kind in ("initContainers", "containers"):
        other = "name: s\n    volumeMounts:\n    - {name: audit-log, mountPath: /x}\n"
        text = (
            small(("  hostNetwork", f"  {kind}:\n  - {other}  hostNetwork"))
            if kind == "initContainers"
            else small(("  containers:\n", f"  containers:\n  - {other}"))
        )
        text = enabled(text).replace("name: audit-log-2", "name: audit-log")
        pod = manifest(disabled(text))
        assert "audit-log" in {volume.name for volume in pod.volumes}
        assert "audit-log" not in {mount.name for mount in pod.mounts}


def test_a_list_that_cannot_lose_its_key_is_refused() -> None:
    text = small(
        (
            "  - command:\n",
            "  - volumeMounts:\n    - {name: audit, mountPath: /var/log/kubernetes/audit}\n    command:\n",
        ),
        ("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", ""),
    )
    text = text.replace("  volumes:\n", "  volumes:\n  - name: audit\n    hostPath: {path: /a}\n").replace(
        "    - --secure-port=6443\n", "    - --audit-log-path=/var/log/kubernetes/audit/a.log\n"
    )
    with pytest.raises(ManifestError, match="shares its line with a dash"):
        plan_disable(manifest(text))
