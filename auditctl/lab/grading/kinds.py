"""The kinds of requirements as records; `requirements` says what each means in a text, and reads them."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from auditctl.policy.types import Attributes, Level, Policy, Stage


class RequestSpec(NamedTuple):
    """A request in its author's words, and what rules match against."""

    words: str
    attributes: Attributes


class Serving(NamedTuple):
    """The API server runs with the manifest's command line, and is ready."""


class ReceiptRequirement(NamedTuple):
    """A request that is sent now is recorded."""


class FlagRequirement(NamedTuple):
    """The effective value of a flag."""

    name: str
    value: str


class FlagAbsent(NamedTuple):
    """Not set at all; a name that ends in ``*`` means every flag that begins so."""

    name: str


class Expect(NamedTuple):
    """The loaded policy decides so."""

    asked: RequestSpec
    level: Level


class Stages(NamedTuple):
    """Exactly these stages are written of it (``exactly``), or it is recorded without them."""

    asked: RequestSpec
    stages: frozenset[Stage]
    exactly: bool


class SamePolicy(NamedTuple):
    """The loaded policy decides every request as one of ``policies`` does."""

    policies: tuple[Policy, ...]
    levels_only: bool


class LogHostPath(NamedTuple):
    """Where the log is on the host."""

    path: str


class Mounted(NamedTuple):
    """How the file of a flag comes into the container. None: it does not matter."""

    flag: str
    host: str | None = None
    read_only: bool | None = None
    types: tuple[str, ...] | None = None
    directory: bool | None = None


class Unmounted(NamedTuple):
    """Nothing of the Pod leads to that path of the host."""

    path: str


class NoStrays(NamedTuple):
    """No other file of the manifest directory defines the same Pod."""


class Persisted(NamedTuple):
    """kubeadm's own record has the same audit settings."""


class Recorded(NamedTuple):
    """Such an event is in the log; ``audit_id_in`` names a file with the Audit-ID that it must have."""

    asked: RequestSpec
    level: Level
    audit_id_in: str | None = None


class PolicyFile(NamedTuple):
    """A server of this version would load that file, or would refuse it."""

    path: str
    accepted: bool


class Predictions(NamedTuple):
    """A file of expectations tells the levels of these requests under a policy's file."""

    file: str
    policy: str
    requests: tuple[RequestSpec, ...]


class FileThere(NamedTuple):
    """A file or directory of the node is there, or is not."""

    path: str
    there: bool


class Webhook(NamedTuple):
    """Where the webhook's kubeconfig leads."""

    server: str


Requirement: TypeAlias = (
    Serving
    | ReceiptRequirement
    | FlagRequirement
    | FlagAbsent
    | Expect
    | Stages
    | SamePolicy
    | LogHostPath
    | Mounted
    | Unmounted
    | NoStrays
    | Persisted
    | Recorded
    | PolicyFile
    | Predictions
    | FileThere
    | Webhook
)
