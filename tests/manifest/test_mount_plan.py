"""Which mounts and volumes enable adds, adopts, moves, and which paths it refuses."""

from __future__ import annotations

import pytest

from auditctl.findings import Severity
from auditctl.settings import Settings

from .pods import disabled, enabled, enabling, manifest, refusal, small, with_flags, with_mount


def test_missing_lists_are_made_where_kubeadm_has_them_and_go_again() -> None:
    text = small(
        ("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", ""),
        ("  volumes:\n  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name: k8s-certs\n", "  securityContext: {}\n"),
    )  # fmt: skip
    after = enabled(text)
    assert (
        "    name: kube-apiserver\n    volumeMounts:\n    - mountPath: /var/log/kubernetes/audit\n      name: audit-log\n"
        in after
    )
    assert "  securityContext: {}\n  volumes:\n  - hostPath:\n      path: /var/log/kubernetes/audit\n" in after
    assert disabled(after) == text
    indented = text.replace("    - ", "      - ")
    assert "    volumeMounts:\n      - mountPath: /var/log/kubernetes/audit\n        name: audit-log\n" in enabled(
        indented
    )


NO_MOUNTS = (
    "    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n",
    "",
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    image: registry.k8s.io/kube-apiserver:v1.31.14\n", "    ? image\n    : x\n"),
        ("  - command:", "  - ? name2\n    : x\n    command:"),
    ],
)
def test_beside_an_explicit_key_no_key_is_made(old: str, new: str) -> None:
    assert "cannot be edited exactly" in refusal(small(NO_MOUNTS, (old, new))).message
    assert enabling(small((old, new))).changes


def test_where_neighbours_are_in_flow_style_the_indentation_is_that_of_kubeadm() -> None:
    text = small(
        NO_MOUNTS,
        ("    - kube-apiserver\n    - --allow-privileged=true\n    - --secure-port=6443\n", "    args:\n    - --v=2\n"),
        ("command:\n", "command: [kube-apiserver]\n"),
        (
            "  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n",
            "  - hostPath: {path: /etc/kubernetes/pki}\n",
        ),
    )
    assert "    volumeMounts:\n    - mountPath: /var/log/kubernetes/audit\n" in enabled(text)
    assert "  - hostPath:\n      path: /var/log/kubernetes/audit\n" in enabled(text)
    assert disabled(enabled(text)) == text


def test_a_comment_behind_the_last_dash_is_not_taken_for_indentation() -> None:
    text = with_flags("# why\n      --v=2")
    assert "    - --audit-log-maxage=30\n" in enabled(text)
    assert disabled(enabled(text)) == text


def test_a_tag_of_the_last_item_is_not_taken_for_indentation() -> None:
    text = with_flags("!!str --v=2")
    assert disabled(enabled(text)) == text
    assert "    - --audit-log-maxage=30\n" in enabled(text)


def test_new_volumes_are_indented_as_those_that_are_there() -> None:
    text = small(
        (
            "  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name",
            "    -  hostPath:\n           path: /etc/kubernetes/pki\n           type: DirectoryOrCreate\n       name",
        )
    )
    assert (
        "    -  hostPath:\n           path: /var/log/kubernetes/audit\n           type: DirectoryOrCreate\n       name: audit-log\n"
        in enabled(text)
    )


def test_in_an_unsorted_list_new_volumes_go_to_the_end() -> None:
    names = [volume.name for volume in manifest(enabled(with_mount("/srv/x", "a"))).volumes]
    assert names == ["k8s-certs", "a", "audit-log", "audit-policy"]
    names = [mount.name for mount in manifest(enabled(with_mount("/srv/x", "zz"))).mounts]
    assert names == ["audit-log", "audit-policy", "k8s-certs", "zz"]


def test_a_comment_above_the_first_volume_stays_there() -> None:
    text = small(("  volumes:\n", "  volumes:\n  # certificates\n"))
    assert "  volumes:\n  # certificates\n  - hostPath:\n      path: /etc/kubernetes/pki\n" in enabled(text)


def test_a_covering_mount_is_adopted() -> None:
    covered = with_mount("/var/log", "logs").replace("/etc/kubernetes/pki", "/etc/kubernetes")
    after = enabled(covered)
    assert [volume.name for volume in manifest(after).volumes] == ["k8s-certs", "logs"]
    assert disabled(after) == covered


def test_a_taken_volume_name_is_not_used_again() -> None:
    text = with_mount("/srv/x", "audit-log", more="  - name: audit-log-2\n    hostPath: {path: /y}\n")
    assert {volume.name for volume in manifest(enabled(text)).volumes} == {
        "k8s-certs",
        "audit-log",
        "audit-log-2",
        "audit-log-3",
        "audit-policy",
    }
    assert disabled(enabled(text)) == text


def test_the_log_first_because_its_directory_may_cover_the_policy() -> None:
    text = enabled(small(), Settings(policy_path="/srv/audit/policy.yaml", log_path="/srv/audit/audit.log"))
    assert [mount.path for mount in manifest(text).mounts] == ["/srv/audit", "/etc/kubernetes/pki"]
    assert disabled(text) == small()


def test_a_log_below_a_read_only_mount_is_refused() -> None:
    text = with_mount("/var/log/kubernetes", "logs", mount_more="      readOnly: true\n")
    assert refusal(text).check == "read-only-log"


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (Settings(log_path="/audit.log"), "needs / mounted whole"),
        (Settings(log_path="/etc/kubernetes/audit.log"), "needs /etc/kubernetes mounted whole"),
        (Settings(log_path="/sys/kernel/audit/a.log"), "mounted whole"),
        (Settings(log_path="/dev/stdout"), "taken for a file"),
        (Settings(log_path="/proc/self/fd/1"), "taken for a file"),
        (Settings(log_path="/etc/kubernetes/manifests/a/a.log"), "in, at or above /etc/kubernetes/manifests"),
        (Settings(log_path="/etc/kubernetes/pki/a/a.log"), "in, at or above /etc/kubernetes/pki"),
        (Settings(log_path="/etc/kubernetes"), "in, at or above"),
        (Settings(log_path="audit.log"), "an absolute path"),
        (Settings(log_path="/var/log/kubernetes/"), "an absolute path"),
        (Settings(policy_path="/etc/kubernetes/manifests/../manifests/p.yaml"), "in, at or above"),
        (Settings(policy_path="/etc"), "in, at or above"),
        (Settings(policy_path="p.yaml"), "an absolute path"),
        (Settings(policy_path="/srv/a\0b"), "an absolute path"),
        (Settings(set_flags={"audit-webhook-config-file": "/etc/kubernetes/manifests/w"}), "in, at or above"),
        (Settings(policy_path="/srv/p"), "is a directory in the Pod"),
    ],
)
def test_a_path_that_cannot_be_is_refused_with_what_to_do(asked: Settings, word: str) -> None:
    refused = refusal(with_mount("/srv/p/q", "x"), asked)
    assert word in refused.message
    assert refused.fix


def test_a_mounted_directory_is_no_file() -> None:
    assert (
        "is a directory"
        in refusal(with_mount("/srv/p", "x", kind="DirectoryOrCreate"), Settings(policy_path="/srv/p")).message
    )
    assert enabling(with_mount("/srv/p", "x", kind="File"), Settings(policy_path="/srv/p")).changes


def test_paths_are_normalised() -> None:
    asked = Settings(
        log_path="//var/log//k/../kubernetes/audit/./audit.log",
        policy_path="/etc/kubernetes/audit/../audit/policy.yaml",
    )
    assert enabled(small(), asked) == enabled(small())


def test_a_new_path_takes_the_parts_of_the_old_one_with_it() -> None:
    moved = enabled(enabled(small()), Settings(log_path="/srv/audit/a.log", policy_path="/srv/p.yaml"))
    assert [mount.path for mount in manifest(moved).mounts] == ["/srv/audit", "/srv/p.yaml", "/etc/kubernetes/pki"]
    assert {volume.name for volume in manifest(moved).volumes} == {"audit-log", "audit-policy", "k8s-certs"}
    beside = enabled(enabled(small()), Settings(log_path="/var/log/kubernetes/audit/other.log"))
    assert beside == enabled(small()).replace("audit/audit.log", "audit/other.log")
    assert enabled(enabled(small()), Settings(log_path="-")) == enabled(small()).replace(
        "=/var/log/kubernetes/audit/audit.log", "=-"
    ).replace("    - mountPath: /var/log/kubernetes/audit\n      name: audit-log\n", "").replace(
        "  - hostPath:\n      path: /var/log/kubernetes/audit\n      type: DirectoryOrCreate\n    name: audit-log\n", ""
    )


SINGLE = with_mount("/var/log/kubernetes/audit.log", "log", kind="FileOrCreate").replace(
    "    - --secure-port=6443\n", "    - --secure-port=6443\n    - --audit-log-path=/var/log/kubernetes/audit.log\n"
)


def test_a_log_that_is_mounted_as_a_file_is_migrated_to_its_directory() -> None:
    pod = manifest(enabled(SINGLE))
    found = pod.host_path("/var/log/kubernetes/audit.log")
    assert found
    assert (found.path, found.mount_path, found.type) == (
        "/var/log/kubernetes/audit.log",
        "/var/log/kubernetes",
        "DirectoryOrCreate",
    )
    assert "log" not in {volume.name for volume in pod.volumes}
    elsewhere = manifest(
        enabled(SINGLE.replace("      path: /var/log/kubernetes/audit.log", "      path: /srv/logs/x.log"))
    ).host_path("/var/log/kubernetes/audit.log")
    assert elsewhere
    assert elsewhere.path == "/srv/logs/audit.log"
    covered = SINGLE.replace(
        "    - name: log\n", "    - name: k8s-certs\n      mountPath: /var/log/kubernetes\n    - name: log\n"
    )
    assert [mount.path for mount in manifest(enabled(covered)).mounts].count("/var/log/kubernetes") == 1


@pytest.mark.parametrize(
    "text",
    [
        SINGLE.replace("/var/log/kubernetes/audit.log", "/var/log/audit.log"),
        SINGLE.replace("/var/log/kubernetes/audit.log", "/var/log/audit.log").replace(
            "      path: /var/log/audit.log", "      path: /srv/logs/x.log"
        ),
        SINGLE.replace("      path: /var/log/kubernetes/audit.log", "      path: /var/log/x.log"),
        SINGLE.replace("    - --secure-port=6443\n", "    - --x=/var/log/kubernetes/audit.log\n"),
    ],
)
def test_a_log_file_whose_directory_cannot_be_mounted_is_an_error_that_names_the_fix(text: str) -> None:
    plan = enabling(text)
    assert [(one.check, one.severity) for one in plan.findings] == [("single-file-log", Severity.ERROR)]
    assert plan.findings[0].fix == f"use --log-path /var/log/kubernetes/audit/{'audit.log'}"
    assert enabling(text, Settings(log_path="/var/log/kubernetes/audit/audit.log")).findings == ()


def test_what_is_said_about_a_log_points_at_its_flag() -> None:
    text = SINGLE.replace("/var/log/kubernetes/audit.log", "/var/log/audit.log")
    found = enabling(text).findings[0]
    assert (found.path, found.file, found.line, found.column) == ("audit-log-path", "kube-apiserver.yaml", 14, 7)
    without = text.replace("    - --audit-log-path=/var/log/audit.log\n", "")
    found = enabling(without, Settings(log_path="/var/log/audit.log")).findings[0]
    assert (found.line, found.column) == (10, 5)


def test_a_list_that_loses_all_its_entries_and_gets_new_ones_stays() -> None:
    text = small(
        ("    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n", ""),
        (
            "  volumes:\n  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name: k8s-certs\n",
            "",
        ),
    )
    moved = enabled(enabled(text), Settings(policy_path="/srv/audit/p.yaml", log_path="/srv/log/a.log"))
    assert [mount.path for mount in manifest(moved).mounts] == ["/srv/log", "/srv/audit/p.yaml"]
    assert [volume.name for volume in manifest(moved).volumes] == ["audit-log", "audit-policy"]
    assert disabled(moved) == text


def test_an_empty_entry_of_a_list_is_one() -> None:
    last = small(("    name: k8s-certs\nstatus", "    name: k8s-certs\n  -\nstatus"))
    assert disabled(enabled(last)) == last
    text = small(("  volumes:\n", "  volumes:\n  -\n  - # nothing\n"))
    assert disabled(enabled(text)) == text
    assert [volume.name for volume in manifest(enabled(text)).volumes] == [
        "",
        "",
        "audit-log",
        "audit-policy",
        "k8s-certs",
    ]


def test_a_mount_that_the_other_audit_file_still_needs_stays() -> None:
    text = enabled(small(), Settings(policy_path="/srv/audit/policy.yaml", log_path="/srv/audit/audit.log"))
    moved = enabled(text, Settings(policy_path="/srv/policy.yaml"))
    assert [mount.path for mount in manifest(moved).mounts] == ["/srv/audit", "/srv/policy.yaml", "/etc/kubernetes/pki"]
    back = enabled(text, Settings(log_path="-"))
    assert [mount.path for mount in manifest(back).mounts] == ["/srv/audit", "/etc/kubernetes/pki"]


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("/etc/api.log", "/var/log/kubernetes/audit/api.log"),
        ("/dev/stdout", "-"),
    ],
)
def test_a_log_that_no_mount_covers_and_none_can_is_an_error_that_names_the_fix(path: str, fix: str) -> None:
    plan = enabling(with_flags(f"--audit-log-path={path}"))
    assert [(one.check, one.severity, one.fix) for one in plan.findings] == [
        ("log-not-mounted", Severity.ERROR, f"use --log-path {fix}")
    ]


@pytest.mark.parametrize("directory", ["/var/log", "/var/cache", "/tmp", "/srv"])
def test_a_log_directly_in_a_directory_of_the_system_is_an_error_that_may_be_allowed(directory: str) -> None:
    """B18: exam tasks ask for /var/log/kubernetes-logs.txt, and it works; `--allow system-log-directory`. Law 4 holds."""
    for before, asked in (
        (small(), Settings(log_path=f"{directory}/api.log")),
        (with_flags(f"--audit-log-path={directory}/api.log"), Settings()),
    ):
        plan = enabling(before, asked)

        assert [(one.check, one.severity) for one in plan.findings] == [("system-log-directory", Severity.ERROR)]
        assert "--allow system-log-directory" in plan.findings[0].fix
        assert directory in [mount.path for mount in manifest(plan.after).mounts]
        assert disabled(plan.after) == small()


def test_a_log_is_judged_by_its_directory_on_the_host() -> None:
    """B28: /var/log/audit of the container may be any directory of the host, and auditd's own may have any name inside."""
    harmless = with_mount("/var/log/audit", "logs").replace(
        "path: /var/log/audit\n", "path: /var/log/kubernetes/audit\n"
    )
    assert "path: /var/log/kubernetes/audit\n" in harmless
    assert enabling(harmless, Settings(log_path="/var/log/audit/x.log")).findings == ()

    hidden = with_mount("/var/log/kubernetes/audit", "logs")
    hidden = hidden.replace("path: /var/log/kubernetes/audit\n", "path: /var/log/audit\n", 2)
    hidden = hidden.replace("mountPath: /var/log/audit\n", "mountPath: /var/log/kubernetes/audit\n")
    found = enabling(hidden, Settings(log_path="/var/log/kubernetes/audit/x.log")).findings
    assert [one.check for one in found] == ["shared-log-directory"]


AUDITD_LOG = "/var/log/audit/a.log"


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        (small(), Settings(log_path=AUDITD_LOG)),
        (with_flags(f"--audit-log-path={AUDITD_LOG}"), Settings()),
        (with_mount("/var/log/audit", "logs"), Settings(log_path=AUDITD_LOG)),
    ],
    ids=["asked for", "not mounted yet", "mounted already"],
)
def test_a_log_in_auditds_directory_is_an_error_and_would_be_mounted_all_the_same(before: str, asked: Settings) -> None:
    """``--allow shared-log-directory`` turns it; then the log must be written there."""
    plan = enabling(before, asked)
    assert [(one.check, one.severity) for one in plan.findings] == [("shared-log-directory", Severity.ERROR)]
    assert plan.findings[0].fix == "use --log-path /var/log/kubernetes/audit/a.log"
    assert "/var/log/audit" in [mount.path for mount in manifest(plan.after).mounts]


def test_a_log_that_is_in_auditds_directory_already_is_no_reason_to_refuse_another_change() -> None:
    there = enabled(with_mount("/var/log/audit", "logs"), Settings(log_path=AUDITD_LOG))
    assert enabling(there, Settings(log_maxage_days=7)).findings == ()


@pytest.mark.parametrize("path", ["a.log", "$(DIR)/a.log", "/var/log/$(DIR)/a.log"])
def test_a_log_path_that_cannot_be_resolved_is_refused(path: str) -> None:
    assert refusal(with_flags(f"--audit-log-path={path}")).place


def test_the_kubelets_rule_of_one_mount_a_path_is_kept() -> None:
    assert "one mountPath" in refusal(with_mount("/etc/kubernetes/pki", "again")).message


@pytest.mark.parametrize("name", ["audit-log", "audit-policy"])
def test_a_volume_whose_mount_was_removed_is_mounted_again(name: str) -> None:
    before = enabled(small())
    lines = before.splitlines(keepends=True)
    (at,) = (index for index, line in enumerate(lines) if line == f"      name: {name}\n")
    end = at + 1 + ("readOnly" in lines[at + 1])
    broken = "".join((*lines[: at - 1], *lines[end:]))
    assert broken.count(f"name: {name}\n") == 1
    assert enabled(broken) == before


def test_a_volume_without_a_mount_that_is_of_another_type_is_not_used() -> None:
    before = enabled(small()).replace("      type: File\n", "      type: FileOrCreate\n")
    broken = before.replace(
        "    - mountPath: /etc/kubernetes/audit/policy.yaml\n      name: audit-policy\n      readOnly: true\n", ""
    )
    assert broken != before
    assert "name: audit-policy-2\n" in enabled(broken)
