"""Proof that events reach the webhook's receiver: ours (``lab receiver``) is asked for the very event; a foreign one is not.

A receiver counts as ours where its server is this machine, its certificate is signed by the authority in the webhook's
own file, and it names itself in its ``Server`` header. The file's token is sent only to one that has answered so:
nothing of the file reaches a foreign receiver from here.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from auditctl.errors import InterruptionError, RefusedError
from auditctl.findings import Check, Status
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import is_ours
from auditctl.node.apiserver.loaded_policy import loaded_file
from auditctl.node.clock import Clock
from auditctl.node.preflight.webhook_config import WebhookConfig, parse, resolved
from auditctl.operations.change_model import Deadline
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.batching import batch_seconds, held
from auditctl.operations.webhook import in_container
from auditctl.settings import LOG_FLAG, RECEIVER, WEBHOOK_FLAG
from auditctl.transport import ExchangeDeadline, HttpAnswer, connect, exchange, secured

if TYPE_CHECKING:
    from auditctl.node.apiserver.process import Process

NAME = "delivery"
_SECONDS = (
    10.0  # beyond the longest wait of a batch: the server tries again after as much (webhook-batch-initial-backoff)
)
_POLL_SECONDS = (0.1, 1.0)  # the first pause, and the longest
_ANSWER_SECONDS = 5.0
_BODY_LIMIT_BYTES = 1 << 20
_UNAUTHORIZED = 401


class AwaitedEvent(NamedTuple):
    """The event that must come: its Audit-ID, its level, and the stages at which the policy records the request."""

    audit_id: str
    level: str
    stages: frozenset[str]


class NotOursError(Exception):
    """Whoever answers there is no receiver of ours; the text says why."""


def check(
    plane: ControlPlane,
    manifest: Manifest,
    process: Process,
    awaited: AwaitedEvent,
    patience: Deadline,
    *,
    may_be_down: bool = False,
) -> Check:
    """Ask the receiver until the event is there, or the batch's longest wait is over.

    ``may_be_down``: the user has allowed for a receiver that does not answer, so its silence refutes nothing.

    Raises:
        InterruptionError: the user asked to stop.
    """
    try:
        config = _config(plane, manifest, process)
    except RefusedError as error:
        return Check(NAME, Status.UNKNOWN, error.message)
    if config is None:
        path = manifest.flag(WEBHOOK_FLAG)
        return Check(
            NAME,
            Status.UNKNOWN,
            f"{path} was touched after the API server had started, so where events go is not known",
        )
    if not _may_be_ours(config):
        return Check(NAME, Status.UNKNOWN, foreign(manifest))
    return _ask_receiver(plane, manifest, config, awaited, patience, Status.UNKNOWN if may_be_down else Status.FAILED)


def _ask_receiver(
    plane: ControlPlane,
    manifest: Manifest,
    config: WebhookConfig,
    awaited: AwaitedEvent,
    patience: Deadline,
    silent: Status,
) -> Check:
    """Ask the receiver for the event; ``silent`` is the verdict where it has nothing to say."""
    delay = batch_seconds(manifest, "webhook")
    left = max(patience.deadline - plane.clock.monotonic(), 0.0)
    seconds = min(_SECONDS + delay, left)
    later = held(manifest, "webhook") if delay and delay >= left else ""
    plane.progress.step(f"waiting up to {seconds:.0f} s for the event at the webhook's receiver")
    try:
        answer = _awaited(config, awaited, plane.clock, seconds, patience)
    except NotOursError:
        return Check(NAME, Status.UNKNOWN, foreign(manifest))
    except OSError as error:
        reason = str(getattr(error, "verify_message", "") or getattr(error, "strerror", "") or error).lower()
        return Check(NAME, silent, f"the webhook's receiver {_place(config)} does not answer: {reason}")
    if not answer.events:
        text = f"no event of Audit-ID {awaited.audit_id} at the webhook's receiver {_place(config)} after {answer.seconds:.1f} s"
        return Check(NAME, Status.UNKNOWN, f"{text}; {later}") if later else Check(NAME, silent, text)
    return judge(answer, awaited, _place(config))


class DeliveryAnswer(NamedTuple):
    """What the receiver says of the Audit-ID, after how many seconds."""

    events: int
    levels: frozenset[str]
    stages: frozenset[str]
    seconds: float


def judge(answer: DeliveryAnswer, awaited: AwaitedEvent, place: str) -> Check:
    """Judge the answer. Pure. Another level than the policy's means another policy is loaded, or another server."""
    received = f"{'/'.join(sorted(answer.levels))} at {', '.join(sorted(answer.stages))}"
    if answer.levels != {awaited.level} or not answer.stages <= awaited.stages:
        expected = f"{awaited.level} at {', '.join(sorted(awaited.stages))}"
        return Check(NAME, Status.FAILED, f"the receiver {place} got {received}, and expected was {expected}")
    text = f"the webhook's receiver {place} has it: {received}, {answer.seconds:.1f} s after it was asked for"
    return Check(NAME, Status.PASSED, text)


def foreign(manifest: Manifest) -> str:
    """Return the sentence for a receiver that is not ours."""
    where = "to a webhook too" if manifest.flag(LOG_FLAG) else "to a webhook only"
    return f"events go {where}; a foreign receiver proves nothing to us"


def _config(plane: ControlPlane, manifest: Manifest, process: Process) -> WebhookConfig | None:
    """Return the webhook's file as the process has read it; None where it was touched since."""
    path = manifest.flag(WEBHOOK_FLAG) or ""
    raw = loaded_file(process, plane.root, manifest, path)
    if raw is None:
        return None
    return resolved(parse(raw, path), lambda reference: in_container(plane, manifest, reference))


def _may_be_ours(config: WebhookConfig) -> bool:
    parts = urlsplit(config.server)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    return parts.scheme == "https" and bool(config.authority) and not config.proxy and is_ours(host)


def _place(config: WebhookConfig) -> str:
    """Return the receiver's address without path and query, which may hold a secret."""
    parts = urlsplit(config.server)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"https://{host}{f':{parts.port}' if parts.port else ''}"


def _awaited(
    config: WebhookConfig, awaited: AwaitedEvent, clock: Clock, seconds: float, patience: Deadline
) -> DeliveryAnswer:
    """Poll until every stage is there, or the time is up.

    Raises:
        NotOursError: as it says. OSError, HTTPException: nobody answers, or not with a certificate of that authority.
        InterruptionError: the user asked to stop.
    """
    begun = clock.monotonic()
    deadline = begun + seconds
    pause, longest = _POLL_SECONDS
    while True:
        reply = ask(config, awaited.audit_id)
        now = clock.monotonic()
        stages = frozenset(reply["stages"])
        if stages >= awaited.stages or now >= deadline:
            return DeliveryAnswer(reply["events"], frozenset(reply["levels"]), stages, now - begun)
        if patience.interrupted():
            raise InterruptionError("interrupted while waiting for the event at the webhook's receiver")
        clock.sleep(min(pause, max(deadline - now, 0.0)))
        pause = min(pause * 2, longest)


def ask(config: WebhookConfig, audit_id: str) -> Mapping[str, Any]:
    """Return what the receiver says of one Audit-ID: ``events``, ``levels``, ``stages``.

    It is asked without the token first, which it refuses by its name: only then is it known to be ours.

    Raises:
        NotOursError: it is not ours. OSError, HTTPException: it does not answer.
    """
    answer = _get(config, audit_id, {})
    if answer.status == _UNAUTHORIZED and answer.server == RECEIVER and config.token.isprintable():
        answer = _get(config, audit_id, {"Authorization": f"Bearer {config.token}"})
    if answer.status != 200 or answer.server != RECEIVER:
        raise NotOursError("it does not say that it is a receiver of auditctl")
    try:
        reply: Mapping[str, Any] = json.loads(answer.body)
        return {"events": int(reply["events"]), "levels": list(reply["levels"]), "stages": list(reply["stages"])}
    except (ValueError, KeyError, TypeError) as error:
        raise NotOursError("its answer is not a receiver's") from error


def _get(config: WebhookConfig, audit_id: str, headers: Mapping[str, str]) -> HttpAnswer:
    """Return the receiver's answer. Raises NotOursError for an authority that is none, and OSError."""
    parts = urlsplit(config.server)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=config.authority.decode(errors="replace"))
    except ssl.SSLError as error:
        raise NotOursError("its authority is not a certificate") from error
    deadline = ExchangeDeadline.within(_ANSWER_SECONDS)
    path = f"{parts.path or '/'}?auditID={quote(audit_id)}"
    with (
        connect(host, port, deadline) as plain,
        secured(plain, context, config.server_name or host, deadline) as stream,
    ):
        return exchange(
            stream,
            ("GET", path),
            {**headers, "Connection": "close"},
            deadline,
            host=parts.netloc.rpartition("@")[2],
            limit_bytes=_BODY_LIMIT_BYTES,
        )
