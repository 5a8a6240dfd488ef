"""The standby's Pod is made from the manifest to be, and differs where two servers would collide."""

from __future__ import annotations

import pytest
from foldernode import PLAIN

from auditctl.errors import ManifestError
from auditctl.manifest.document import Document
from auditctl.manifest.plan import plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.manifest.standby import rotated_name, standby_pod
from auditctl.settings import Settings


def manifest_of(text: str) -> Manifest:
    return Manifest.of(Document.of_text(text, "m.yaml"))


def audited() -> Manifest:
    target = plan_enable(manifest_of(PLAIN.read_text()), Settings()).target
    assert target is not None
    return target


def test_what_the_standby_shares_with_the_server_and_what_not() -> None:
    """Image, mounts, volumes, network and the new flags; not name, labels, port, probes, endpoints and log."""
    first = audited()

    made = standby_pod(first, 6444, "now")
    second = manifest_of(made.text)

    assert (second.image, second.mounts, second.volumes) == (first.image, first.mounts, first.volumes)
    assert (second.pod_name, second.namespace) == ("kube-apiserver-standby", "kube-system")
    differing = {name for name in first.flags | second.flags if first.flags.get(name) != second.flags.get(name)}
    assert differing == {
        "secure-port", "endpoint-reconciler-type", "audit-log-path", "audit-log-maxage", "audit-log-maxbackup",
    }  # fmt: skip
    assert second.secure_port == made.port == 6444
    assert second.flag("endpoint-reconciler-type") == "none"
    assert second.flag("audit-log-path") == made.log_path == "/var/log/kubernetes/audit/audit.log.standby"
    assert second.annotations == {"auditctl/standby": "now"}
    container = second.document.value["spec"]["containers"][0]
    assert not {"livenessProbe", "readinessProbe", "startupProbe", "ports", "resources"} & set(container)
    assert second.document.value["metadata"]["labels"]["component"] == "kube-apiserver-standby"


def test_the_standbys_own_rotation_deletes_nothing() -> None:
    """Neither by age nor by number: the flags that would are not there."""
    second = manifest_of(standby_pod(audited(), 6444, "now").text)

    assert second.flag("audit-log-maxage") is None
    assert second.flag("audit-log-maxbackup") is None


def test_the_log_is_named_as_no_rotated_one_while_it_is_open_and_as_one_afterwards() -> None:
    """As lumberjack names them: STEM-TIME.EXT."""
    assert rotated_name("audit.log", "2026-11-30T21-30-00.000") == "audit-2026-11-30T21-30-00.000.log"


def test_a_log_on_standard_output_stays_there() -> None:
    """It is the container's."""
    text = PLAIN.read_text().replace(
        "    - --secure-port=6443\n", "    - --secure-port=6443\n    - --audit-log-path=-\n"
    )

    made = standby_pod(manifest_of(text), 6444, "now")

    assert made.log_path is None
    assert manifest_of(made.text).flag("audit-log-path") == "-"


@pytest.mark.parametrize(
    ("line", "instead", "reason"),
    [
        ("  hostNetwork: true\n", "", "not in the host's network"),
        ("  containers:\n", "  containers:\n  - name: side\n    image: side\n    command: [side]\n", "more containers"),
    ],
)
def test_a_pod_of_which_no_second_one_can_run(line: str, instead: str, reason: str) -> None:
    """Refused, with the reason."""
    with pytest.raises(ManifestError, match=reason):
        standby_pod(manifest_of(PLAIN.read_text().replace(line, instead)), 6444, "now")
