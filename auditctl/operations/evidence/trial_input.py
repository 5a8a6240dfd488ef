"""What a trial start runs: the audit flags to be and the files that they name, with the paths of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from auditctl.manifest.flags import Flag
from auditctl.manifest.pod import HYPERKUBE, Manifest
from auditctl.node.apiserver import trial_key
from auditctl.node.apiserver.process import Process
from auditctl.node.apiserver.trial_binary import Binary
from auditctl.node.apiserver.trial_start import TrialStartInput
from auditctl.node.change import files
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.trial_webhook import NOWHERE, on_host
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

_PATH_FLAGS = frozenset({POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG})
# without these it does not come as far as auditing; the keys are made for it
_KEY_FILES = frozenset({"service-account-key-file", "service-account-signing-key-file"})
_NEEDED = _KEY_FILES | {"service-account-issuer", "api-audiences", "advertise-address", "service-cluster-ip-range"}
_NEEDED_UP_TO_1_19 = "--insecure-port=0"  # its default is 8080, which the running server may hold
_KEY = "/throw-away.key"  # the name of the key in its words; what stands there is handed over in memory


class Subject(NamedTuple):
    """What is rehearsed, and how its user knows the files. ``policy`` None: the one that the manifest names."""

    after: Manifest
    policy: bytes | None = None
    webhook: bytes | None = None
    policy_name: str = ""


def trial_input(
    plane: ControlPlane, subject: Subject, process: Process, binary: Binary
) -> tuple[TrialStartInput, bytes | None]:
    """Return the command line and the files, with every path where this machine has it; and the policy's text.

    Raises:
        ManifestError: a path cannot be resolved; RefusedError: a file cannot be read.
    """
    after = subject.after
    words = list(_words(after, process))
    policy, webhook = subject.policy, subject.webhook
    if after.flag(POLICY_FLAG) and policy is None:
        policy = _installed(plane, after, POLICY_FLAG)
    if after.flag(WEBHOOK_FLAG) and webhook is None:
        webhook = _installed(plane, after, WEBHOOK_FLAG)
    names, contents = dict[str, str](), {_KEY: trial_key.pem()}
    for flag, content in ((POLICY_FLAG, policy), (WEBHOOK_FLAG, webhook)):
        if after.flag(flag) and content is None:
            words.append(f"--{flag}={NOWHERE}{after.flag(flag)}")
            names[NOWHERE] = ""
    if not after.flag(WEBHOOK_FLAG):
        webhook = None
    elif webhook is not None:
        webhook, replaced, read = on_host(plane, after, webhook)
        names |= replaced
        contents |= read
    policy = policy if after.flag(POLICY_FLAG) else None
    webhook_path = after.flag(WEBHOOK_FLAG) or ""
    return TrialStartInput(
        binary=binary,
        words=tuple(words),
        policy=policy,
        webhook=webhook,
        names=names,
        webhook_name=webhook_path,
        contents=contents,
    ), policy


def _installed(plane: ControlPlane, after: Manifest, flag: str) -> bytes | None:
    host = node_checks.host_of(plane.root, after, flag)
    there = files.read_if_there(host, flag) if host is not None and not host.is_dir() else None
    return there.content if there is not None else None


def _words(after: Manifest, process: Process) -> Iterator[str]:
    """The flags that are rehearsed: all of auditing's, and those without which it does not come so far."""
    command = [PurePosixPath(word).name for word in process.argv[:2]]
    if HYPERKUBE in command[:1]:
        yield process.argv[1]
    if after.version is not None and after.version < (1, 20, 0):
        yield _NEEDED_UP_TO_1_19
    for flag in after.flag_list:
        if flag.name == LOG_FLAG and flag.value:
            yield f"--{LOG_FLAG}={STANDARD_OUTPUT}"
        elif (flag.is_audit and flag.name not in _PATH_FLAGS) or flag.name in _NEEDED:
            yield _word(flag, process)


def _word(flag: Flag, process: Process) -> str:
    if flag.name in _KEY_FILES:
        return f"--{flag.name}={_KEY}"
    if "$(" in flag.value:  # the kubelet has filled it in for the one that runs
        running = (word.partition("=") for word in process.flags)
        return next(
            (f"--{flag.name}={value}" for name, _, value in running if name == f"--{flag.name}"), flag.item.text
        )
    return f"--{flag.name}={flag.value}"
