"""Grading of the Pod's mounts and volumes, of files of the node, and of kubeadm's own record."""

from __future__ import annotations

from auditctl.compatibility import assert_never
from auditctl.errors import ManifestError, PolicyError, RefusedError
from auditctl.findings import Check, Status
from auditctl.lab.grading.flags import NOT_RUNNING
from auditctl.lab.grading.kinds import (
    FileThere,
    LogHostPath,
    Mounted,
    NoStrays,
    Persisted,
    PolicyFile,
    Predictions,
    Unmounted,
)
from auditctl.manifest.mounts import normalised_path, within
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.node.preflight import other_manifests
from auditctl.operations import policy_source
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import Running
from auditctl.policy.evaluate import evaluate
from auditctl.policy.expectations import read_expectations
from auditctl.policy.load import load
from auditctl.settings import LOG_FLAG, STANDARD_OUTPUT


def of_pod(running: Running, name: str, want: LogHostPath | Mounted | Unmounted | NoStrays | Persisted) -> Check:
    """What the Pod that runs is made of."""
    if isinstance(want, NoStrays):
        return _strays(running, name)
    if not running.is_of_manifest:
        return Check(name, Status.FAILED, NOT_RUNNING)
    match want:
        case LogHostPath(path):
            return _mounted(running, name, Mounted(LOG_FLAG, host=path))
        case Mounted():
            return _mounted(running, name, want)
        case Unmounted(path):
            return _unmounted(running.manifest, name, path)
        case Persisted():
            return _persisted(running, name)
        case _:
            assert_never(want)


def _mounted(running: Running, name: str, want: Mounted) -> Check:
    value = running.manifest.flag(want.flag)
    if not value or value == STANDARD_OUTPUT:
        return Check(name, Status.FAILED, f"--{want.flag} names no file")
    try:
        place = running.manifest.host_path(value)
    except ManifestError:
        return Check(name, Status.FAILED, f"--{want.flag}={value} lies on no plain hostPath volume")
    if place is None:
        return Check(name, Status.FAILED, f"--{want.flag}={value} is on no mount, so it is only in the container")
    if want.host is not None and place.path != want.host:
        return Check(name, Status.FAILED, f"on the host it is {place.path}, which is not what is asked for")
    if want.read_only is not None and place.read_only is not want.read_only:
        text = f"the mount {place.mount_path} is {'read-only' if place.read_only else 'read-write'}"
        return Check(name, Status.FAILED, f"{text}, which is not what is asked for")
    if want.directory is not None and place.exact is want.directory:
        what = "the file alone is" if place.exact else "its directory is"
        return Check(name, Status.FAILED, f"{what} mounted, which is not what is asked for")
    if want.types is not None and place.type not in want.types:
        return Check(name, Status.FAILED, f"the volume's type {place.type or '(none)'} is not what is asked for")
    return Check(name, Status.PASSED, f"{place.container_path} in the container is {place.path} on the host")


def _unmounted(manifest: Manifest, name: str, path: str) -> Check:
    left = [volume for volume in manifest.volumes if volume.host_path and _leads(volume.host_path, path)]
    if left:
        return Check(name, Status.FAILED, f"the volume {left[0].name} still leads to {left[0].host_path}")
    return Check(name, Status.PASSED, f"no volume of the Pod leads to {path}")


def _leads(volume: str, path: str) -> bool:
    return within(path, normalised_path(volume)) or within(normalised_path(volume), path)


def _strays(running: Running, name: str) -> Check:
    found = other_manifests.strays(running.plane.manifest_path, running.manifest)
    if found:
        text = "another file in the manifest directory defines the same Pod"
        return Check(name, Status.FAILED, text)
    return Check(name, Status.PASSED, "one file defines the Pod")


def _persisted(running: Running, name: str) -> Check:
    from auditctl.operations.kubeadm.config import differences_of

    try:
        found = differences_of(running.plane, running.manifest, None)
    except RefusedError as error:
        return Check(name, Status.UNKNOWN, error.message)
    if found:
        return Check(name, Status.FAILED, "kubeadm's own record has other audit settings")
    return Check(name, Status.PASSED, "kubeadm's own record has the same audit settings")


def of_files(plane: ControlPlane, manifest: Manifest | None, want: FileThere | Predictions | PolicyFile) -> Check:
    """What needs no API server. ``manifest`` gives the version whose reader judges; None: the newest."""
    version = policy_source.version_of(plane, manifest, live=False) if manifest else policy_source.NEWEST
    match want:
        case FileThere(path, there):
            seen = plane.root.host(path).exists()
            text = f"{path} is {'there' if seen else 'not there'}"
            return Check(f"file {path}", Status.PASSED if seen is there else Status.FAILED, text)
        case PolicyFile():
            return _policy_file(plane, version, want)
        case Predictions():
            return _predictions(plane, version, want)
        case _:
            assert_never(want)


def _policy_file(plane: ControlPlane, version: tuple[int, int], want: PolicyFile) -> Check:
    name = f"policy-{'accepts' if want.accepted else 'rejects'} {want.path}"
    try:
        loaded = load(files.read_following(plane.root.host(want.path), "policy"), version)
    except RefusedError as error:
        return Check(name, Status.FAILED, error.message)
    taken = loaded.policy is not None
    text = f"the API server would {'load' if taken else 'refuse'} {want.path}"
    return Check(name, Status.PASSED if taken is want.accepted else Status.FAILED, text)


def _predictions(plane: ControlPlane, version: tuple[int, int], want: Predictions) -> Check:
    """Every request that is asked about is in the file, in whatever words, with the level that the policy gives it."""
    name = f"predictions {want.file}"
    try:
        told = read_expectations(files.read_following(plane.root.host(want.file), "predictions"), want.file)
        policy = load(files.read_following(plane.root.host(want.policy), "policy"), version).policy
    except PolicyError as error:
        return Check(name, Status.FAILED, str(error).removesuffix("; nothing was changed"))
    except RefusedError as error:
        return Check(name, Status.FAILED, error.message)
    if policy is None:
        return Check(name, Status.FAILED, f"the API server would refuse {want.policy}")
    levels = {expectation.attributes: expectation.level for expectation in told}
    for asked in want.requests:
        if asked.attributes not in levels:
            return Check(name, Status.FAILED, f"nothing is told of `{asked.words}`")
        if levels[asked.attributes] is not evaluate(policy, asked.attributes).level:
            return Check(name, Status.FAILED, f"`{asked.words}` is told wrongly")
    return Check(name, Status.PASSED, f"all {len(want.requests)} are told rightly")
