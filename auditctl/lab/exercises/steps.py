"""The steps of an exercise: a closed set, each of them something that `lab reset` can take back.

A step is a mapping of one kind to its value. FILE is a path of the node, or `manifest`, `policy`, `log` or `webhook`: the
files that this node's own manifest names::

    replace: {in: FILE, old: TEXT, new: TEXT}     # the text must be there; its first occurrence
    write: {file: FILE, text: TEXT, mode: '0600'} # mode: left out, that of the file that was there, else 0600
    copy: {from: FILE, to: FILE}
    move: {from: FILE, to: FILE}
    remove: FILE                                  # a file or an empty directory
    directory: PATH                               # with its parents, 0700
    link: {file: FILE, to: TEXT}                  # a symbolic link
    mode: {file: FILE, mode: '0400'}
    restart: true                                 # end the API server; the kubelet starts it with what stands on disk
    switch: {etcd_refused: true}                  # of the embedded node (`faults`); an empty mapping: none
    enable: {policy: NAME or TEXT, set: {FLAG: VALUE}, log-path: PATH, policy-path: PATH, webhook: FILE}   # as the command
    disable: true                                 # as the command, likewise the next two
    reload: true                                  # auditctl restart
    repair: true                                  # auditctl doctor --fix

A manifest is always replaced by one rename, whatever the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as fields_of
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from auditctl.lab.grading.fields import Fields
from auditctl.lab.node.injected_faults import Faults

ROLES = ("manifest", "policy", "log", "webhook")


class Replace(NamedTuple):
    """Another text in a file."""

    file: str
    old: str
    new: str


class Write(NamedTuple):
    """A whole file."""

    file: str
    text: str
    mode: int | None


class Copy(NamedTuple):
    """The same bytes and mode at another name."""

    source: str
    target: str


class Move(NamedTuple):
    """Another name."""

    source: str
    target: str


class Remove(NamedTuple):
    """A file, or an empty directory."""

    file: str


class MakeDirectory(NamedTuple):
    """With its parents."""

    path: str


class Link(NamedTuple):
    """A symbolic link."""

    file: str
    to: str


class Mode(NamedTuple):
    """Other permissions."""

    file: str
    mode: int


class RestartStep(NamedTuple):
    """The API server ends, and the kubelet starts it anew."""


class Switch(NamedTuple):
    """What no file of a node can cause."""

    faults: Faults


class EnableStep(NamedTuple):
    """`auditctl enable`; None and empty: not said."""

    policy: str | None
    flags: Mapping[str, str]
    log_path: str | None
    policy_path: str | None
    webhook: str | None


class Disable(NamedTuple):
    """`auditctl disable`."""


class ReloadStep(NamedTuple):
    """`auditctl restart`."""


class RepairStep(NamedTuple):
    """`auditctl doctor --fix`."""


Step: TypeAlias = (
    Replace
    | Write
    | Copy
    | Move
    | Remove
    | MakeDirectory
    | Link
    | Mode
    | RestartStep
    | Switch
    | EnableStep
    | Disable
    | ReloadStep
    | RepairStep
)


def read_steps(given: Fields, key: str) -> tuple[Step, ...]:
    """The steps under ``key``; none where it is left out.

    Raises:
        RequirementError: one is none.
    """
    if not given.has(key):
        return ()
    value = given.value[key]  # type: ignore[index] # `has` says that it is a mapping
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise given.error(f"{key!r} is to be a list of steps")
    return tuple(_one(f"{given.where}: {key}[{index}]", step) for index, step in enumerate(value))


def _one(where: str, step: object) -> Step:
    if not isinstance(step, Mapping) or len(step) != 1:
        raise Fields(where, step).error("a mapping of one kind of step to its value is needed")
    ((kind, value),) = step.items()
    given = Fields(f"{where} ({kind})", value)
    if kind not in _KINDS:
        near = get_close_matches(str(kind), _KINDS, n=1)
        raise given.error("is no kind of step", f"did you mean {near[0]!r}?" if near else ", ".join(_KINDS))
    return _KINDS[kind](given)


def _file(given: Fields, name: str) -> str:
    text = given.text(name)
    return text if text in ROLES else given.path(name)


def _whole_file(given: Fields) -> str:
    text = given.whole_text()
    return text if text in ROLES else given.whole_path()


def _mode(given: Fields) -> int:
    text = given.text("mode")
    try:
        return int(text, 8)
    except ValueError as error:
        raise given.error(f"{text!r} is no mode", "octal digits in quotes, '0600'") from error


def _write(given: Fields) -> Write:
    text = given.value.get("text") if isinstance(given.value, Mapping) else None
    if not isinstance(text, str):
        raise given.error("'text' is to be a text")
    return Write(_file(given, "file"), text, _mode(given) if given.has("mode") else None)


def _switch(given: Fields) -> Switch:
    known = {field.name for field in fields_of(Faults)}
    if not isinstance(given.value, Mapping) or set(given.value) - known:
        raise given.error(f"a mapping of {', '.join(sorted(known))} is needed")
    values: dict[str, Any] = {
        str(name): tuple(value) if isinstance(value, list) else value for name, value in given.value.items()
    }
    return Switch(Faults(**values))


def _enable(given: Fields) -> EnableStep:
    known = {"policy", "set", "log-path", "policy-path", "webhook"}
    if not isinstance(given.value, Mapping) or set(given.value) - known:
        raise given.error(f"a mapping of {', '.join(sorted(known))} is needed")
    flags = Fields(f"{given.where}: set", given.value.get("set", {}))
    names = list(flags.value) if isinstance(flags.value, Mapping) else []
    texts = {name: given.text(name) if given.has(name) else None for name in known - {"set"}}
    values = {str(name): flags.scalar(str(name)) for name in names}
    return EnableStep(texts["policy"], values, texts["log-path"], texts["policy-path"], texts["webhook"])


def _plain(step: Step) -> Callable[[Fields], Step]:
    def read_true(given: Fields) -> Step:
        given.be(True)  # noqa: FBT003 (the word that is written)
        return step

    return read_true


_KINDS: Mapping[str, Callable[[Fields], Step]] = {
    "replace": lambda given: Replace(_file(given, "in"), given.text("old"), str(given.value["new"])),  # type: ignore[index]
    "write": _write,
    "copy": lambda given: Copy(_file(given, "from"), _file(given, "to")),
    "move": lambda given: Move(_file(given, "from"), _file(given, "to")),
    "remove": lambda given: Remove(_whole_file(given)),
    "directory": lambda given: MakeDirectory(given.whole_path()),
    "link": lambda given: Link(_file(given, "file"), given.text("to")),
    "mode": lambda given: Mode(_file(given, "file"), _mode(given)),
    "restart": _plain(RestartStep()),
    "switch": _switch,
    "enable": _enable,
    "disable": _plain(Disable()),
    "reload": _plain(ReloadStep()),
    "repair": _plain(RepairStep()),
}
