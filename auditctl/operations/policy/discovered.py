"""What a cluster serves, CRDs included: from a file of its discovery, or asked of the cluster itself."""

from __future__ import annotations

from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import Version, built_in, read
from auditctl.policy.discovery import known_of, read_discovery
from auditctl.policy.lint_checks import Known, Resource
from auditctl.system import IS_LINUX

LIVE = "live"


def known_for(plane: ControlPlane, discovery: str, version: Version) -> Known:
    """Return what a cluster serves; without ``discovery`` what a server of that version has of its own.

    ``discovery`` is a file, or ``live``: this node's API server, or on another machine the cluster of kubectl.

    Raises:
        PolicyError: the text has another format; RefusedError: it cannot be had.
    """
    if not discovery:
        return built_in(version)
    return known_of(_live(plane) if discovery == LIVE else _of_file(discovery), built_in(version))


def _of_file(name: str) -> tuple[Resource, ...]:
    text = read(name, "discovery")
    return read_discovery(text.raw, text.name)


def _live(plane: ControlPlane) -> tuple[Resource, ...]:
    from auditctl.node.apiserver import discovery  # it brings ssl, which nobody else here needs

    if IS_LINUX and plane.manifest_path.exists():
        manifest = plane.read_manifest()[1]
        answers = discovery.from_server(plane.endpoint(manifest), plane.credentials())
        return tuple(each for answer in answers for each in read_discovery(answer, "the API server"))
    return read_discovery(discovery.from_kubectl(plane.kubeconfig), "kubectl api-resources")
