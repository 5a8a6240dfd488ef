"""What a grader wants to see, as records: a closed set of kinds, read from YAML or JSON values with clear errors.

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

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from auditctl import facts
from auditctl.errors import AuditctlError, ManifestError
from auditctl.facts import NEWEST
from auditctl.lab.grading.fields import Fields, RequirementError, place_of
from auditctl.lab.grading.kinds import (
    Expect,
    FileThere,
    FlagAbsent,
    FlagRequirement,
    LogHostPath,
    Mounted,
    NoStrays,
    Persisted,
    PolicyFile,
    Predictions,
    ReceiptRequirement,
    Recorded,
    RequestSpec,
    Requirement,
    SamePolicy,
    Serving,
    Stages,
    Unmounted,
    Webhook,
)
from auditctl.manifest.document import load as load_yaml
from auditctl.manifest.flags import normalised
from auditctl.operations.builtin_api import built_in
from auditctl.policy.load import load
from auditctl.policy.request_context import RequestContext, administrator
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Level, Stage
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG


def read(wants: Sequence[Mapping[str, object]]) -> tuple[Requirement, ...]:
    """The requirements of a list as YAML gives it.

    Raises:
        RequirementError: one is none of the kinds, or its value is not of the kind's form; it says which and why.
    """
    if isinstance(wants, str | bytes | Mapping) or not isinstance(wants, Sequence):
        raise RequirementError("requirements are a list of mappings, one kind each")
    return tuple(_one(index, want) for index, want in enumerate(wants))


def read_text(text: str, name: str = "") -> Sequence[Mapping[str, object]]:
    """The list of requirements in a YAML text: the text itself, or its ``wants``. ``name`` is the file's in errors.

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
        raise RequirementError(f"{where}: {str(kind)!r} is no kind of requirement", fix=fix)
    given = Fields(f"{where} ({kind})", value)
    given.only(_NAMES.get(str(kind), ()))
    return _KINDS[kind](given)


def _flag(given: Fields) -> FlagRequirement:
    name = _known(given, given.text("name"))
    return FlagRequirement(name, given.scalar("value"))


def _flag_absent(given: Fields) -> FlagAbsent:
    name = normalised(given.whole_text())
    return FlagAbsent(name if name.endswith("*") else _known(given, name))


def _known(given: Fields, name: str) -> str:
    """An audit flag, or any other flag of the API server; a typo in the first is told."""
    name = normalised(name)
    if name.startswith("audit-") and name not in facts.audit_flags():
        near = get_close_matches(name, facts.audit_flags(), n=1)
        raise given.error(f"{name!r} is no audit flag", f"did you mean {near[0]!r}?" if near else "auditctl flags")
    return name


def _expect(given: Fields) -> Expect:
    return Expect(*_decided(given, given.whole_text()))


def _decided(given: Fields, text: str) -> tuple[RequestSpec, Level]:
    words, arrow, level = (part.strip() for part in text.rpartition("->"))
    if not arrow:
        raise given.error(f"{text!r} has no '->'", "write 'REQUEST -> LEVEL'")
    try:
        return _asked(given, words), Level(level)
    except ValueError as error:
        levels = ", ".join(one.value for one in Level)
        raise given.error(f"{level!r} is no level", f"levels are {levels}") from error


def _asked(given: Fields, words: str) -> RequestSpec:
    try:
        return RequestSpec(words, parse(words, RequestContext(built_in(), NEWEST, administrator(NEWEST))))
    except AuditctlError as error:
        raise given.error(error.message, error.fix) from error


def _stages(given: Fields) -> Stages:
    stages = frozenset(_stage(given, text) for text in given.texts("are"))
    return Stages(_asked(given, given.text("request")), stages, exactly=True)


def _omits(given: Fields) -> Stages:
    words, keyword, stage = (part.strip() for part in given.whole_text().rpartition(" omits "))
    if not keyword:
        raise given.error(f"{given.whole_text()!r} has no ' omits '", "write 'REQUEST omits STAGE'")
    return Stages(_asked(given, words), frozenset([_stage(given, stage)]), exactly=False)


def _stage(given: Fields, text: str) -> Stage:
    try:
        return Stage(text)
    except ValueError as error:
        raise given.error(f"{text!r} is no stage", f"stages are {', '.join(one.value for one in Stage)}") from error


def _same(levels_only: bool) -> Callable[[Fields], SamePolicy]:  # noqa: FBT001 (the table below names it)
    def read_policies(given: Fields) -> SamePolicy:
        loaded = [load(text.encode()) for text in given.one_or_more_texts()]
        wrong = next((one.error for one in loaded if one.policy is None), "")
        if wrong:
            raise given.error(f"the API server would refuse that policy: {wrong}", "auditctl policy validate")
        return SamePolicy(tuple(one.policy for one in loaded if one.policy is not None), levels_only)

    return read_policies


def _mounted(given: Fields) -> Mounted:
    flag = normalised(given.text("flag"))
    if flag not in (POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG):
        raise given.error(f"{flag!r} names no file", f"one of {POLICY_FLAG}, {LOG_FLAG}, {WEBHOOK_FLAG}")
    types = tuple(given.texts("types")) if given.has("types") else None
    host = given.path("host") if given.has("host") else None
    return Mounted(flag, host, given.maybe_truth("read-only"), types, given.maybe_truth("directory"))


def _recorded(given: Fields) -> Recorded:
    if given.is_mapping:
        return Recorded(*_decided(given, given.text("event")), given.path("audit-id-in"))
    return Recorded(*_decided(given, given.whole_text()))


def _predictions(given: Fields) -> Predictions:
    requests = tuple(_asked(given, words) for words in given.texts("requests"))
    return Predictions(given.path("file"), given.path("policy"), requests)


def _plain(made: Requirement, word: object) -> Callable[[Fields], Requirement]:
    """A kind without a value of its own: it is written with ``word``."""

    def read_word(given: Fields) -> Requirement:
        given.be(word)
        return made

    return read_word


def _webhook(given: Fields) -> Webhook:
    try:
        place_of(given.text("server"))
    except ValueError as error:
        raise given.error(f"{given.text('server')!r} is no URL") from error
    return Webhook(given.text("server"))


# What may stand in a mapping of these kinds: a misspelt name would ask for less than its author meant.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "flag": ("name", "value"),
    "stages": ("request", "are"),
    "mount": ("flag", "host", "read-only", "types", "directory"),
    "recorded": ("event", "audit-id-in"),
    "predictions": ("requests", "file", "policy"),
    "file": ("path", "there"),
    "webhook": ("server",),
}
_KINDS: Mapping[str, Callable[[Fields], Requirement]] = {
    "serving": _plain(Serving(), True),  # noqa: FBT003 (the word that is written)
    "receipt": _plain(ReceiptRequirement(), True),  # noqa: FBT003
    "flag": _flag,
    "flag-absent": _flag_absent,
    "expect": _expect,
    "stages": _stages,
    "omits": _omits,
    "policy-same-as": _same(levels_only=False),
    "levels-same-as": _same(levels_only=True),
    "log-host-path": lambda given: LogHostPath(given.whole_path()),
    "mount": _mounted,
    "unmounted": lambda given: Unmounted(given.whole_path()),
    "manifest-strays": _plain(NoStrays(), "none"),
    "persisted": _plain(Persisted(), True),  # noqa: FBT003
    "recorded": _recorded,
    "policy-accepts": lambda given: PolicyFile(given.whole_path(), accepted=True),
    "policy-rejects": lambda given: PolicyFile(given.whole_path(), accepted=False),
    "predictions": _predictions,
    "file": lambda given: FileThere(given.path("path"), given.truth("there")),
    "webhook": _webhook,
}
