"""What the kubelet would refuse of a Pod from a file, and what it would silently ignore; kubeadm's own has nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from foldernode import HERE, PLAIN

from auditctl.findings import Finding, Severity
from auditctl.manifest import pod_validity
from auditctl.manifest.document import Document

TEXT = (HERE / "golden/kubeadm/v1.36.2/plain+log.yaml").read_text()
NEWEST = (1, 36)


def found(text: str, version: tuple[int, ...] | None = NEWEST) -> list[Finding]:
    return list(pod_validity.findings(Document.of_text(text, "m.yaml"), version))


@pytest.mark.parametrize("path", sorted((HERE / "golden/kubeadm").glob("*/*.yaml")), ids=lambda path: path.name)
def test_a_manifest_of_kubeadms_own_is_valid(path: Path) -> None:
    """Of every version: no false alarm."""
    if "clusterconfiguration" not in path.name:
        assert found(path.read_text()) == []


def replaced(old: str, new: str) -> str:
    assert old in TEXT, old
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (replaced("  volumes:\n", "  volumes:\n  - name: audit-log\n"), "spec.volumes[1].name", "two volumes"),
        (replaced("      name: audit-log\n", "      name: audit-logs\n"), "volumeMounts[0].name", "no volume named"),
        (
            replaced("mountPath: /var/log/kubernetes/audit", "mountPath: /etc/ssl/certs"),
            "volumeMounts[2].mountPath",
            "must be unique",
        ),
        (replaced("  volumes:\n", "  volumes:\n  - name: A_B\n"), "spec.volumes[0].name", "not a name of a volume"),
        (replaced("type: DirectoryOrCreate", "type: Dir"), "hostPath.type", "not a type of a hostPath"),
        (replaced("      path: /etc/ssl/certs", "      path: /etc/../ssl"), "hostPath.path", "'..'"),
        (replaced("  - hostPath:\n", "  - emptyDir: {}\n    hostPath:\n"), "spec.volumes[0]", "more than one source"),
        (replaced("    image: ", "    env:\n    - name: A=B\n    image: "), "env[0].name", "environment variable"),
        (replaced("    image: ", "    env:\n    - name: A\n      value: 1\n    image: "), "env[0].value", "quote it"),
        (
            replaced("  hostNetwork: true", "  serviceAccountName: x\n  hostNetwork: true"),
            "serviceAccountName",
            "refer",
        ),
        (replaced("readOnly: true", 'readOnly: "true"'), "readOnly", "true or false"),
        (replaced("apiVersion: v1\n", ""), "apiVersion", "no Pod"),
    ],
)
def test_what_the_kubelet_refuses_is_an_error_with_its_place(text: str, path: str, words: str) -> None:
    """One fault, one finding, at its line."""
    errors = [finding for finding in found(text) if finding.severity is Severity.ERROR]

    assert [finding.check for finding in errors] == ["pod-invalid"], errors
    assert errors[0].path.endswith(path)
    assert words in errors[0].message
    assert errors[0].file == "m.yaml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (replaced("readOnly: true", "readOlny: true"), "ignores 'readOlny'"),
        (replaced("  - hostPath:\n", "  - hostpath:\n"), "hostPath is meant"),
        (replaced("mountPath: /var/log/kubernetes/audit", "mountPath: /etc/ssl/certs/"), "hides the earlier"),
    ],
)
def test_what_the_kubelet_ignores_is_a_warning(text: str, words: str) -> None:
    """It starts, and not as it was meant."""
    (one,) = found(text)

    assert one.severity is Severity.WARNING
    assert words in one.message


def test_an_api_object_is_refused_from_134_on() -> None:
    """Before, it is a warning."""
    text = PLAIN.read_text().replace("  volumes:\n", "  volumes:\n  - name: s\n    secret:\n      secretName: s\n")

    assert [finding.severity for finding in found(text, (1, 34))] == [Severity.ERROR]
    assert [finding.severity for finding in found(text, (1, 33))] == [Severity.WARNING]
    assert "a Secret" in found(text)[0].message
