"""Read the requirements of a grader from YAML or JSON values. Each kind is one class in a module beside this one.

A requirement is a mapping of one kind to its value. REQUEST is as in `policy explain`; PATH is a path of the node::

    serving: true                             # the API server runs with the manifest's command line and is ready
    receipt: true                             # and a request that we send now is found in the log (or at the receiver)
    flag: {name: audit-log-maxage, value: 30} # the effective value, set or default, by meaning (1 is true, 60s is 1m)
    flag-absent: audit-webhook-*              # not set; a `*` ends a beginning
    expect: 'REQUEST -> LEVEL'                # decided by the loaded policy
    stages: {request: REQUEST, are: [ResponseComplete]}
    omits: 'REQUEST omits STAGE'              # recorded, but not at that stage
    policy-same-as: TEXT                      # decides every request the same (stages too); several: one of them
    levels-same-as: TEXT                      # the same, whatever the stages
    log-host-path: PATH                       # where the log is on the host
    mount: {flag: audit-policy-file, host: PATH, read-only: true, types: [File, ''], directory: false}
    unmounted: PATH                           # no mount and no volume of the Pod leads to that path of the host
    manifest-strays: none                     # no other file defines the same Pod
    persisted: true                           # kubeadm-config has the same audit settings
    recorded: 'REQUEST -> LEVEL'              # such an event is in the log
    recorded: {event: 'REQUEST -> LEVEL', audit-id-in: PATH}   # and its Audit-ID is what that file says
    policy-accepts: PATH                      # a server of this version would load that file
    policy-rejects: PATH                      # or would refuse it
    predictions: {file: PATH, policy: PATH, requests: [REQUEST, ...]}   # the file tells their levels under that policy
    file: {path: PATH, there: false}
    webhook: {server: URL}                    # where the webhook's kubeconfig leads
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from auditctl.errors import ManifestError
from auditctl.lab.grading.decisions import Expect, SamePolicy, Stages
from auditctl.lab.grading.fields import Fields, RequirementError
from auditctl.lab.grading.flags import FlagAbsent, FlagRequirement, Webhook
from auditctl.lab.grading.pod_and_files import (
    FileThere,
    LogHostPath,
    Mounted,
    NoStrays,
    Persisted,
    PolicyFile,
    Predictions,
    Unmounted,
)
from auditctl.lab.grading.requirement_kind import Requirement
from auditctl.lab.grading.server_and_log import ReceiptRequirement, Recorded, Serving
from auditctl.manifest.document import load as load_yaml

_CLASSES: tuple[type[Requirement], ...] = (
    *(Serving, ReceiptRequirement, FlagRequirement, FlagAbsent, Expect, Stages, SamePolicy, LogHostPath, Mounted),
    *(Unmounted, NoStrays, Persisted, Recorded, PolicyFile, Predictions, FileThere, Webhook),
)
_KINDS = {kind: requirement for requirement in _CLASSES for kind in requirement.kinds}


def read(wants: Sequence[Mapping[str, object]]) -> tuple[Requirement, ...]:
    """Return the requirements of a list as YAML gives it.

    Raises:
        RequirementError: one is none of the kinds, or its value is not of the kind's form; it says which and why.
    """
    if isinstance(wants, str | bytes | Mapping) or not isinstance(wants, Sequence):
        raise RequirementError("requirements are a list of mappings, one kind each")
    return tuple(_one(index, want) for index, want in enumerate(wants))


def read_text(text: str, name: str = "") -> Sequence[Mapping[str, object]]:
    """Return the list in a YAML text: the text itself, or its ``wants``. ``name`` is the file's in errors.

    Raises:
        RequirementError: it is no such list, or no YAML.
    """
    try:
        value = load_yaml(text, name)
    except ManifestError as error:  # its words are about manifests
        place = str(error.place or name)
        raise RequirementError(f"{place}: not readable as a YAML list of requirements", check="requirement") from error
    if isinstance(value, Mapping):
        value = value.get("wants")
    if not isinstance(value, list) or not value:
        raise RequirementError(f"{name}: a list of requirements is needed, or a mapping with the list `wants`")
    return value


def _one(index: int, want: object) -> Requirement:
    where = f"requirement {index + 1}"
    if not isinstance(want, Mapping) or len(want) != 1:
        raise RequirementError(f"{where}: a mapping of one kind to its value is needed", fix="one kind an item")
    ((kind, value),) = want.items()
    if kind not in _KINDS:
        near = get_close_matches(str(kind), _KINDS, n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"the kinds are {', '.join(_KINDS)}"
        raise RequirementError(f"{where}: {str(kind)!r} is not a kind of requirement", fix=fix)
    given = Fields(f"{where} ({kind})", value, str(kind))
    given.only(_KINDS[kind].fields)
    return _KINDS[kind].parse(given)
